"""States: what is packed for the recovery store comes back as it was."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alarms import Alarm, State
from operators.budget import Spent
from operators.candidates import Candidates
from operators.cohorts import levels
from operators.decode import Clock, Receipt
from operators.describe import Finding
from operators.forks import Prints
from operators.hellos import Facts
from operators.repeats import Ends, Sight
from operators.requests import Heard, Request
from operators.rounds import Part, Rounds
from operators.seen import Seen
from operators.select import Chosen, Selection
from operators.series import Series
from operators.silence import Change, Silence, Turn
from operators.streams import Device, Stream
from operators.watch import Judged, Policy, Told
from operators.windows import Counting, Ticket
from pipelines import states
from pipelines.states import keep_fleet, keep_gathered, keep_rounds, keep_streams, keep_watched, pack, unpack
from tests.factories import NOON, candidate
from tests.operators.references import small_reference

COHORT = ("digits", 3, "site", "north")
FINDING = Finding(statistic="confidence", group="confidence", since=10, events=40, moved="[]")
CHANGE = Change(Turn.RAISED, Silence("cam-1", 10, None), ("north", "digits", 3))
ALARM = Alarm(
    alarm_id="0123456789abcdef",
    revision=1,
    state=State.CONFIRMED,
    cohort=COHORT,
    statistic="confidence",
    group="confidence",
    since=10,
    raised=20,
    raised_at=30,
    cleared_at=None,
    events=40,
    log_e=12.5,
    log_needed=9.0,
    cause="0123456789abcdef",
    moved="[]",
)
SELECTION = Selection(
    request_id=b"i" * 16, candidate=candidate(7), model="digits", strategy="margin", probability=None, time_us=NOON
)
PRINTS = Prints(5, b"\x01\x00\x00\x00" * 5, bytes(16), b"told")
VALUES = {
    "Seen": Seen(4, ((6, 7), (9, 12))),
    "Prints": PRINTS,
    "Stream": Stream(Seen(4), PRINTS),
    "Device": Device({"00": Stream(Seen(4, ((6, 7),)), PRINTS), "11": Stream()}, 1, (b"12345678",)),
    "Candidate": candidate(3, 0.25, 2**64 - 1),
    "Candidates": Candidates(9, (candidate(1), candidate(2)), (candidate(3),)),
    "Selection": SELECTION,
    "Request": Request(SELECTION, NOON + 1, NOON + 2),
    "Receipt": Receipt("cam-1", "topic", NOON, 7, b"payload"),
    "Heard": Heard(NOON, 3, Receipt("cam-1", "topic", NOON, 7, b"payload")),
    "Spent": Spent(NOON, 1.5, 2.5, 0.5, 4, 2, 300, {"cam-1": 2}),
    "Chosen": Chosen(Spent(by_device={"cam-2": 1}), (b"12345678",)),
    "Finding": FINDING,
    "Sight": Sight(("digits", 3), 7, bytes(8)),
    "Ticket": Ticket(("digits", 3), ((*COHORT, 10),), bytes(8), bytes(8), True),
    "Ends": Ends({4: Sight(("digits", 3), 7, bytes(8))}, {9: (Sight(("digits", 3), 7, bytes(8)), None)}),
    "Told": Told({}, {COHORT: 40}, (CHANGE,)),
    "Judged": Judged({COHORT: {10: 1.5}}, {(COHORT, 10): FINDING}, {COHORT: 40}, (CHANGE,)),
    "Change": CHANGE,
    "Silence": CHANGE.silence,
    "Alarm": ALARM,
}
POLICY = Policy(
    levels=levels(("site", "hardware")),
    window_us=10,
    grace_us=2,
    round_us=5,
    horizon_us=100,
    interval_windows=1000.0,
    max_cohorts=64,
    first_events=100,
    silence_us=50,
)
PLAIN = (dict, tuple, str, int, float, bytes, bool, type(None))


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(each) for key, each in value.items())
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return type(value) in PLAIN


def there_and_back(value: Any) -> Any:
    packed = pack(value)
    assert is_plain(packed)
    return unpack(pickle.loads(pickle.dumps(packed)))


def test_every_class_that_is_kept_is_here() -> None:
    assert set(VALUES) == set(states._CLASSES)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_was(name: str) -> None:
    value = VALUES[name]
    assert type(value).__name__ == name
    assert there_and_back(value) == value
    assert type(there_and_back({"key": (value,)})["key"][0]) is type(value)


LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)
TEXTS = st.text() | st.sampled_from(("@Seen", "@array", "@", "@@", "@nothing"))
TREES = st.recursive(
    LEAVES | st.sampled_from(list(VALUES.values())) | TEXTS,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(TEXTS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(TREES)
def test_any_nesting_of_them_comes_back(tree: Any) -> None:
    assert there_and_back(tree) == tree


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (0, 4)])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint16])
def test_arrays_come_back(shape: tuple[int, ...], dtype: type) -> None:
    array: Any = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    again = there_and_back({"pane": array})["pane"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array)
    sliced: Any = np.arange(20, dtype=dtype).reshape(4, 5)[::2, 1:3]
    assert np.array_equal(there_and_back(sliced), sliced)


def test_a_packed_state_does_not_change_with_the_live_one() -> None:
    live = {"cam-1": Device({"stream": Stream(Seen(1))})}
    packed = pack(live)
    live["cam-1"].streams["stream"].seen = Seen(2)
    assert unpack(packed) == {"cam-1": Device({"stream": Stream(Seen(1))})}


def test_each_step_starts_empty_and_resumes() -> None:
    streams = keep_streams()
    assert streams.load(None) == {}
    known = {"cam-1": VALUES["Device"]}
    assert streams.load(there_and_back(streams.save(known))) == known

    rounds = keep_rounds(2, 30)
    waiting = Rounds(2, {0: 4}, [Part(0, 4, {"digits": Candidates(1, (candidate(1),), (candidate(1),))})])
    state = (waiting, {"digits": Chosen(Spent(5), (b"12345678",))})
    assert rounds.load(there_and_back(rounds.save(state))) == state
    assert rounds.load(None) == (Rounds(2), {})
    assert keep_rounds(2, 60).load(there_and_back(rounds.save(state))) == (Rounds(2), state[1])


def test_what_is_gathered_resumes() -> None:
    keep = keep_gathered(POLICY, Counting(scales={}, levels=POLICY.levels, window_us=10), Clock())
    state = keep.load(None)
    state.round = 4
    state.panes[*COHORT, 10] = np.arange(5)
    state.counted.streams["00"] = VALUES["Ends"]
    state.counted.strangers = (("letters", 1),)
    state.counted.known.devices["cam-1"] = Facts("board", "1.0", (("lens", "wide"),))
    state.quality.counts["cam-1", 10] = (1, 2)
    again = keep.load(there_and_back(keep.save(state)))
    assert np.array_equal(again.panes.pop((*COHORT, 10)), state.panes.pop((*COHORT, 10)))
    assert again == state


def test_with_other_windows_counting_begins_anew_but_devices_stay_known() -> None:
    counting = Counting(scales={}, levels=POLICY.levels, window_us=10)
    state = keep_gathered(POLICY, counting, Clock()).load(None)
    state.counted.known.devices["cam-1"] = Facts("board", "1.0")
    state.panes[*COHORT, 10] = np.arange(5)
    saved = there_and_back(keep_gathered(POLICY, counting, Clock()).save(state))
    again = keep_gathered(replace(POLICY, window_us=20), counting, Clock()).load(saved)
    assert again.counted.known.devices == state.counted.known.devices
    assert again.panes == {}


def test_panes_of_a_reference_that_was_built_again_otherwise_do_not_resume() -> None:
    reference = small_reference()
    model, width = (reference.model, reference.version), len(reference.pane)
    keep = keep_gathered(POLICY, Counting(scales={model: reference.scale}, levels=(), window_us=10), Clock())
    state = keep.load(None)
    for start, numbers in ((10, width), (20, width + 1)):
        state.panes[*model, "site", "north", start] = np.ones(numbers, np.int64)
    assert list(keep.load(there_and_back(keep.save(state))).panes) == [(*model, "site", "north", 10)]


def test_series_resume() -> None:
    keep = keep_watched(2, POLICY)
    state = keep.load(None)
    assert (state.rounds, state.series) == (Rounds(2), {})
    series = state.series[COHORT] = Series(panes={10: np.arange(5)}, settled=3, states=(np.ones(4), np.zeros(2)))
    series.said[10] = (2, 77)
    list(state.rounds.add(Part(1, 2, Told({(*COHORT, 10): np.ones(5, np.int64)}))))
    again = keep.load(there_and_back(keep.save(state)))
    resumed = again.series[COHORT]
    assert np.array_equal(resumed.panes[10], series.panes[10])
    assert [each.tolist() for each in resumed.states] == [[1.0] * 4, [0.0] * 2]
    assert (resumed.settled, resumed.first, resumed.said) == (3, None, {10: (2, 77)})
    assert again.rounds.told == state.rounds.told
    assert np.array_equal(again.rounds.waiting[0].content.panes[*COHORT, 10], np.ones(5))


def test_alarms_resume() -> None:
    keep = keep_fleet(8, POLICY)
    state = keep.load(None)
    state.evidence[COHORT] = {10: 1.5}
    state.findings[COHORT, 10] = FINDING
    state.began[COHORT] = 10
    state.alarms = (ALARM,)
    state.watermarks[COHORT] = 40
    assert keep.load(there_and_back(keep.save(state))) == state
