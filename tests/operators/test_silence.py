"""Silence: found by what is present in which windows, whenever and in whatever order it arrives."""

import itertools
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import decode
from operators.dedup import dedup
from operators.hellos import MAX_DEVICES
from operators.silence import Change, Silence, Silences, Turn, last_closed
from operators.streams import Streams
from operators.trails import Trail
from pipelines.states import pack, unpack
from tests.factories import Message, inferences, log

MINUTE = 60_000_000
WINDOW, HOUR, DAY = 10 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE
HORIZON = 3 * DAY
START = 2_833_344  # a window that begins a day, in 2023
HOME = ("north", "digits", 3)
Pair = tuple[str, int]  # device, window


def batch(pairs: Iterable[Pair], off: Iterable[tuple[str, int, int]] = ()) -> pa.RecordBatch:
    """A row for each device and window; `off` has clocks that are off, with the window of their receipt."""
    rows = [(device, window, window, False) for device, window in pairs] + [(*each, True) for each in off]
    return pa.RecordBatch.from_pydict(
        {
            "device": pa.array([row[0] for row in rows], pa.string()).dictionary_encode(),
            "time": pa.array([row[1] * WINDOW + 1 for row in rows]).cast(pa.timestamp("us", tz="UTC")),
            "received": pa.array([row[2] * WINDOW + 2 for row in rows]).cast(pa.timestamp("us", tz="UTC")),
            "clock_off": pa.array([row[3] for row in rows], pa.bool_()),
        }
    )


def silences(silence_us: int = HOUR, horizon_us: int = HORIZON) -> Silences:
    return Silences(WINDOW, silence_us, horizon_us)


def heard(state: Silences, pairs: Iterable[Pair], ticks: Iterable[int]) -> Silences:
    """All of it taken in at once."""
    state.add(batch(pairs), None)
    for window in ticks:
        state.add(batch([]), window * WINDOW)
    return state


def tell(state: Silences, closed: int) -> list[tuple[Turn, str]]:
    changes, _ = state.tell(closed, lambda _: HOME)
    return [(change.turn, change.silence.device) for change in changes]


def found(state: Silences, closed: int) -> set[tuple[str, int, int | None]]:
    """(device, first window of the silence, window of the return)."""
    return {
        (each.device, each.since_us // WINDOW, None if each.until_us is None else each.until_us // WINDOW)
        for each in state.findings(closed).values()
    }


def wanted(
    pairs: set[Pair], ticks: set[int], closed: int, silent: int, horizon: int
) -> set[tuple[str, int, int | None]]:
    """By the definition; all lengths in windows."""
    told = set()
    for device in {device for device, _ in pairs}:
        there = sorted(window for name, window in pairs if name == device and window <= closed)
        gaps = [*itertools.pairwise(there)] + ([(there[-1], closed + 1)] if there else [])
        length = {gap: sum(window in ticks for window in range(gap[0] + 1, gap[1])) for gap in gaps}
        for gap in gaps:
            earlier = [length[one] for one in gaps if one[1] <= gap[0] and one[0] >= gap[0] - horizon]
            if gap[0] >= closed - horizon and length[gap] > max(silent, 2 * max(earlier, default=0)):
                told.add((device, gap[0] + 1, gap[1] if gap[1] <= closed else None))
    return told


WINDOWS = st.integers(START, START + 30)
PAIRS = st.sets(st.tuples(st.sampled_from(("a", "b")), WINDOWS), max_size=25)


@settings(deadline=None, max_examples=300)
@given(PAIRS, st.sets(st.integers(0, 30)), st.integers(0, 35), st.integers(0, 4), st.data())
def test_the_same_rows_in_any_order_and_batches_give_what_the_definition_says(
    pairs: set[Pair], deaf: set[int], closed: int, silent: int, data: st.DataObject
) -> None:
    horizon, ticks = 40, {START + place for place in range(36) if place not in deaf}
    order = data.draw(st.permutations(sorted(pairs) + sorted(pairs)[:3]))
    cut = data.draw(st.integers(0, len(order)))
    state = heard(silences(silent * WINDOW, horizon * WINDOW), order[:cut], ())
    state = silences(silent * WINDOW, horizon * WINDOW).restore(unpack(pack(state.snapshot())))
    heard(state, order[cut:], data.draw(st.permutations(sorted(ticks))))
    assert found(state, START + closed) == wanted(pairs, ticks, START + closed, silent, horizon)


@settings(deadline=None, max_examples=200)
@given(PAIRS, st.sets(st.integers(0, 80)), st.integers(0, 3), st.integers(2, 12))
def test_where_nothing_comes_late_nothing_is_taken_back_nor_found_afterwards(
    pairs: set[Pair], deaf: set[int], silent: int, horizon: int
) -> None:
    state = silences(silent * WINDOW, horizon * WINDOW)
    turns: dict[tuple[str, int], list[Turn]] = {}
    for now in range(START, START + 80):
        state.add(batch(pair for pair in pairs if pair[1] == now), None if now - START in deaf else now * WINDOW)
        changes, _ = state.tell(now, lambda _: HOME)
        for change in changes:
            silence = change.silence
            turns.setdefault((silence.device, silence.since_us), []).append(change.turn)
            assert silence.since_us // WINDOW <= now - silent
            assert silence.until_us in (None, now * WINDOW)
    assert all(each in ([Turn.RAISED], [Turn.RAISED, Turn.CLEARED]) for each in turns.values())
    assert not any(trail.last < START + 80 - 2 * horizon - 2 for trail in state.devices.values())


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20), st.integers(0, 90))
def test_a_trail_is_the_set_of_its_newest_windows(windows: list[int], width: int, until: int) -> None:
    trail = Trail()
    for window in windows:
        trail = trail.add(window, width)
    kept = {window for window in windows if window > max(windows) - width}
    assert {trail.last - place for place in range(width) if trail.bits >> place & 1} == kept
    assert {until - place for place in range(width) if trail.until(until, width) >> place & 1} == {
        window for window in kept if until - width < window <= until
    }
    assert trail.bits < 1 << width


def steady(device: str, first: int, last: int) -> list[Pair]:
    return [(device, window) for window in range(START + first, START + last + 1)]


def test_a_device_that_stops_is_found_after_the_setting_and_cleared_when_it_sends_again() -> None:
    state = heard(silences(), steady("a", 0, 20) + steady("b", 0, 60), range(START, START + 61))
    assert tell(state, START + 26) == []  # an hour, not more
    assert tell(state, START + 27) == [(Turn.RAISED, "a")]
    (silence,) = state.findings(START + 27).values()
    assert silence == Silence("a", (START + 21) * WINDOW, None)
    assert tell(state, START + 40) == []
    heard(state, [("a", START + 45)], ())
    assert tell(state, START + 44) == []
    assert tell(state, START + 45) == [(Turn.CLEARED, "a")]
    assert found(state, START + 60) == {("a", START + 21, START + 45)}


def test_a_silence_must_be_twice_as_long_as_the_one_before() -> None:
    state = heard(silences(), [*steady("a", 0, 20), ("a", START + 31)], range(START, START + 60))
    assert found(state, START + 31 + 20) == {("a", START + 21, START + 31)}
    assert found(state, START + 31 + 21) == {("a", START + 21, START + 31), ("a", START + 32, None)}


def test_rows_of_that_time_that_come_late_take_it_back() -> None:
    state = heard(silences(), steady("a", 0, 20), range(START, START + 61))
    assert tell(state, START + 60) == [(Turn.RAISED, "a")]
    heard(state, steady("a", 21, 60), ())
    assert tell(state, START + 60) == [(Turn.RETRACTED, "a")]
    assert found(state, START + 60) == set()


def test_rows_of_a_part_of_that_time_move_its_begin() -> None:
    state = heard(silences(), steady("a", 0, 20), range(START, START + 61))
    assert tell(state, START + 60) == [(Turn.RAISED, "a")]
    heard(state, steady("a", 21, 30), ())
    changes, silent = state.tell(START + 60, lambda _: HOME)
    moved = [(change.turn, change.silence.since_us // WINDOW - START) for change in changes]
    assert moved == [(Turn.RETRACTED, 21), (Turn.RAISED, 31)]
    assert silent == {"a"}


def test_a_device_that_is_off_every_night_is_found_in_the_first_alone() -> None:
    day = [place for place in range(144) if 48 <= place < 120]  # 8 to 20 o'clock
    pairs = [("a", START + 144 * number + place) for number in range(10) for place in day]
    state, turns = silences(), []
    for now in range(START, START + 1440):
        state.add(batch(pair for pair in pairs if pair[1] == now), now * WINDOW)
        turns += [(turn, (now - START) // 144) for turn, _ in tell(state, now)]
    assert turns == [(Turn.RAISED, 0), (Turn.CLEARED, 1)]


def test_while_ingest_is_down_nobody_falls_silent() -> None:
    devices = [f"cam-{number}" for number in range(20)]
    before = [pair for device in devices for pair in steady(device, 0, 20)]
    state = heard(silences(), before, range(START, START + 21))
    back = START + 20 + 144  # a day later
    for now in range(back, back + 6):
        assert tell(heard(state, [], [now]), now) == []
    kept = [pair for device in devices[1:] for pair in steady(device, 21, 20 + 144 + 20)]
    heard(state, kept, range(back + 6, back + 20))  # all but the first send what they kept
    assert tell(state, back + 19) == [(Turn.RAISED, "cam-0")]
    assert found(state, back + 19) == {("cam-0", START + 21, None)}


def test_a_silence_outlives_the_horizon_as_it_was_told() -> None:
    state = heard(silences(horizon_us=20 * WINDOW), steady("a", 0, 10), range(START, START + 21))
    assert tell(state, START + 20) == [(Turn.RAISED, "a")]
    for now in range(START + 21, START + 51):
        changes, silent = heard(state, [], [now]).tell(now, lambda _: HOME)
        assert (changes, silent) == ([], {"a"})
    assert tell(state, START + 51) == []
    assert state.devices == {}
    assert state.told == {}


def test_a_return_from_a_silence_that_was_never_told_is_told_whole() -> None:
    state = heard(silences(), [("a", START), ("a", START + 30)], range(START, START + 31))
    assert tell(state, START + 30) == [(Turn.RAISED, "a"), (Turn.CLEARED, "a")]


def test_a_device_is_waited_for_until_it_is_silent() -> None:
    state = heard(silences(), steady("a", 0, 20), range(START, START + 61))
    assert [state.tell(START + place, lambda _: HOME)[1] for place in (21, 26, 27)] == [set(), set(), {"a"}]


def test_a_device_that_has_just_begun_is_waited_for() -> None:
    state = heard(silences(), [("a", START + 5)], range(START, START + 6))
    assert state.tell(START + 4, lambda _: HOME) == ([], frozenset())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(("a", "b")), st.integers(0, 20)), max_size=10), st.data())
def test_through_dedup_neither_repeats_nor_order_nor_cuts_matter(drawn: list[Pair], data: st.DataObject) -> None:
    messages = [
        inferences(device, seed=seq, first_seq=seq, count=1, device_time_us=(START + place) * WINDOW)
        for seq, (device, place) in enumerate(drawn)
    ]
    tick = (START + 21) * WINDOW

    def run(order: list[Message], cut: int) -> Silences:
        streams: Streams = {}
        state = silences()
        for some, first, tick_us in ((order[:cut], 0, None), (order[cut:], cut, tick)):
            records = log(some, first, received_us=tick, tick_us=tick_us)
            unique = dedup(streams, decode(records, {}))
            state.add(unique.inferences, unique.tick_us)
            state = silences().restore(unpack(pack(state.snapshot())))
        return state

    again = data.draw(st.lists(st.sampled_from(messages), max_size=4) if messages else st.just([]))
    order = data.draw(st.permutations(messages + again))
    assert run(order, data.draw(st.integers(0, len(order)))) == run(messages, 0)


def test_a_wrong_clock_is_no_silence() -> None:
    state = heard(silences(), [], range(START, START + 61))
    state.add(batch([], [("a", START - 4000, START + place) for place in range(61)]), None)
    assert found(state, START + 60) == set()
    assert state.devices["a"].last == START + 60


def test_it_says_where_the_device_was_if_that_is_known() -> None:
    state = heard(silences(), [("a", START), ("b", START)], range(START, START + 31))
    changes, _ = state.tell(START + 30, lambda device: HOME if device == "a" else None)
    assert [each.home for each in changes] == [HOME, None]
    assert changes[0] == Change(Turn.RAISED, Silence("a", (START + 1) * WINDOW, None), HOME)


def test_a_window_is_closed_once_its_end_and_the_grace_are_past() -> None:
    end = (START + 1) * WINDOW
    assert last_closed(end, WINDOW, 0) == START
    assert last_closed(end + MINUTE - 1, WINDOW, MINUTE) == START - 1
    assert last_closed(end + MINUTE, WINDOW, MINUTE) == START


@pytest.mark.parametrize("jump", [10**9, -(2**40)])
def test_a_server_clock_far_off_costs_no_memory(jump: int) -> None:
    state = heard(silences(), [("a", START)], [START])
    heard(state, [("a", max(0, START + jump))], [max(0, START + jump)])
    assert state.devices["a"].bits.bit_length() <= 2 * HORIZON // WINDOW + 1
    assert state.ticked.bits.bit_length() <= 2 * HORIZON // WINDOW + 1
    state.findings(START + 10**9)


def test_state_is_bounded() -> None:
    state = silences()
    state.devices = {f"cam-{number}": Trail(START, 1) for number in range(MAX_DEVICES)}
    state.add(batch([("one-more", START), ("cam-7", START + 1)]), None)
    assert "one-more" not in state.devices
    assert state.devices["cam-7"] == Trail(START + 1, 3)


@pytest.mark.parametrize(
    ("mean_rows", "first_day", "later"), [(10, 0, 0), (2, 0, 0.001), (1, 0.12, 0.01), (1 / 3, 1, 0.02)]
)
def test_how_often_it_cries_wolf(mean_rows: float, first_day: float, later: float) -> None:
    """Rows at random, with this mean for each window: false findings a device, on its first day and a day after it."""
    present = np.random.default_rng(7).poisson(mean_rows, (200, 6 * 144)) > 0
    pairs = [(f"cam-{a}", START + int(b)) for a, b in np.argwhere(present)]
    state = heard(silences(horizon_us=6 * DAY), pairs, range(START, START + 6 * 144))
    since = [each.since_us // WINDOW - START for each in state.findings(START + 6 * 144 - 1).values()]
    assert sum(each < 144 for each in since) <= first_day * 200
    assert sum(each >= 144 for each in since) <= later * 200 * 5
    assert mean_rows > 1 or since
