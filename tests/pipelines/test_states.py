"""States: what is packed for the recovery store comes back as it was."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.budget import Spent
from operators.candidates import Candidates
from operators.decode import Receipt
from operators.drift import Finding
from operators.forks import Prints
from operators.panes import layout_of
from operators.requests import Heard, Request
from operators.rounds import Part, Rounds
from operators.seen import Seen
from operators.select import Chosen, Selection
from operators.statistics import Statistic
from operators.streams import Device, Stream
from operators.watch import Policy, Verdict
from pipelines import states
from pipelines.states import keep_rounds, keep_streams, keep_watched, pack, unpack
from tests.factories import NOON, candidate
from tests.operators.drawn import draw_rows, reference_of

FINDING = Finding(statistic=Statistic.CONFIDENCE, value=0.25, threshold=0.5, rows=40, exceeds=False)
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
    "Verdict": Verdict(2, (FINDING, FINDING), (True, False)),
}
POLICY = Policy(window_us=10, grace_us=2, round_us=5, horizon_us=100, alpha=0.01, consecutive=2, min_rows=3)
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
    waiting = Rounds(2, {0: 4}, [Part(0, 4, 40, {"digits": Candidates(1, (candidate(1),), (candidate(1),))})])
    state = (waiting, {"digits": Chosen(Spent(5), (b"12345678",))})
    assert rounds.load(there_and_back(rounds.save(state))) == state
    assert rounds.load(None) == (Rounds(2), {})
    assert keep_rounds(2, 60).load(there_and_back(rounds.save(state))) == (Rounds(2), state[1])


def test_windows_resume() -> None:
    keep = keep_watched(2, POLICY, {})
    state = keep.load(None)
    assert (state.rounds, state.panes, state.verdicts) == (Rounds(2), {}, {})
    key = ("digits", 3, "north", 10)
    state.panes[key] = np.arange(5)
    state.verdicts[key] = VALUES["Verdict"]
    list(state.rounds.add(Part(1, 2, 10, {key: np.ones(5, np.int64)})))
    again = keep.load(there_and_back(keep.save(state)))
    assert np.array_equal(again.panes[key], state.panes[key])
    assert again.verdicts == state.verdicts
    assert again.rounds.told == state.rounds.told
    assert np.array_equal(again.rounds.waiting[0].content[key], np.ones(5))


def test_panes_of_a_reference_that_was_built_again_otherwise_do_not_resume() -> None:
    reference = reference_of(draw_rows(50))
    model, width = (reference.model, reference.version), layout_of(reference).width
    keep = keep_watched(1, POLICY, {model: reference})
    state = keep.load(None)
    for start, numbers in ((10, width), (20, width + 1)):
        state.panes[*model, "north", start] = np.ones(numbers, np.int64)
        state.verdicts[*model, "north", start] = VALUES["Verdict"]
    state.rounds.waiting = [Part(0, 2, 10, {(*model, "south", 10): np.ones(width + 1, np.int64)})]
    again = keep.load(there_and_back(keep.save(state)))
    assert set(again.panes) == set(again.verdicts) == {(*model, "north", 10)}
    assert again.rounds.waiting[0].content == {}
