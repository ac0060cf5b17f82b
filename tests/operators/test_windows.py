"""Windows: rows counted into panes, whatever batch or order they come in; near repeats are no events."""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cohorts import levels
from operators.panes import layout_of
from operators.scale import universal
from operators.windows import MAX_STRANGERS, Counted, Counting, Panes, add_panes, count_rows, fitting
from schemas.embedding import Codec
from tests.factories import LABELS, NOON, Message, header, inferences, payload, rows

WINDOW = 300_000  # a third of a second: the rows of one message fall into several
COUNTING = Counting(scales={}, levels=levels(("site", "device", "class")), window_us=WINDOW)
SITES = Counting(scales={}, levels=levels(("site",)), window_us=WINDOW)
LAYOUT = layout_of(universal())


def count(batches: Sequence[pa.RecordBatch], counting: Counting = COUNTING) -> Panes:
    """What several batches add up to, one after the other; panes of nothing left out."""
    counted, panes = Counted(), Panes()
    for batch in batches:
        add_panes(panes, count_rows(counted, batch, counting))
    return panes


def equal(a: Panes, b: Panes) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(pane, b[key]) for key, pane in a.items())


def burst(seed: int, lengths: Sequence[int], stream: int = 0) -> list[Message]:
    """One record a message of a stream: each sight is shown as often as its length says."""
    messages, seq = [], 0
    for sight, length in enumerate(lengths):
        for _ in range(length):
            of = header(first_seq=seq, count=1, stream=bytes([stream] * 16), codec=Codec.NONE, dims=0)
            body = payload(of, seed=1000 * seed + sight, device_time_delta_us=np.array([seq * 100_000], np.int32))
            messages.append((f"cam-{stream}", inferences()[1], body))
            seq += 1
    return messages


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.lists(st.integers(1, 4), max_size=6), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 70), max_size=4),
    data=st.data(),
)
def test_any_order_and_any_cut_gives_the_same_panes(
    lengths: list[list[int]], cuts: list[int], data: st.DataObject
) -> None:
    messages = [message for stream, each in enumerate(lengths) for message in burst(stream, each, stream)]
    whole = count([rows(messages)])
    shuffled = data.draw(st.permutations(messages))
    bounds = [0, *sorted(min(cut, len(messages)) for cut in cuts), len(messages)]
    parts = [rows(shuffled[a:b]) for a, b in itertools.pairwise(bounds)]
    assert equal(count(parts), whole)
    assert sum(int(pane[LAYOUT.rows]) for key, pane in whole.items() if key[2] == "site") == len(messages)


def test_a_burst_of_equal_frames_is_one_event() -> None:
    total = sum(count([rows(burst(0, [12, 5, 1]))], SITES).values())
    assert (total[LAYOUT.rows], total[LAYOUT.events]) == (18, 3)
    assert total[LAYOUT.stack].sum() == 3 * (len(universal().features))


def test_a_row_whose_predecessor_comes_later_is_taken_back() -> None:
    first, second = burst(0, [2])
    late = count([rows([second]), rows([first])], SITES)
    assert sum(int(pane[LAYOUT.events]) for pane in late.values()) == 1
    assert equal(late, count([rows([first, second])], SITES))


def test_the_same_sight_of_another_model_version_is_an_event() -> None:
    messages = [
        inferences(first_seq=seq, count=1, model_version=version, codec=Codec.NONE, dims=0)
        for seq, version in enumerate((1, 2))
    ]
    assert [int(pane[LAYOUT.events]) for pane in count([rows(messages)], SITES).values()] == [1, 1]


def test_rows_of_a_wrong_clock_are_counted_apart() -> None:
    ahead = inferences(device_time_us=NOON + 10**12, count=1)
    (pane,) = count([rows([ahead])], SITES).values()
    assert (pane[LAYOUT.rows], pane[LAYOUT.events]) == (1, 0)
    assert pane[LAYOUT.at["quality"]].tolist() == [0, 1, 0, 0]


def test_each_row_is_in_the_pane_of_its_window_and_cohort() -> None:
    batch = rows([inferences(seed=s, site=site, first_seq=5 * s, count=5) for s, site in enumerate(("north", "south"))])
    found = count([batch])
    for row in batch.to_pylist():
        start = round(row["time"].timestamp() * 1_000_000) // WINDOW * WINDOW
        for level, cohort in (("site", row["site"]), ("device", "cam-1"), ("class", str(row["class_ids"][0]))):
            pane = found["digits", 3, level, cohort, start]
            assert pane[LAYOUT.at["prediction_mix"]][row["class_ids"][0]] > 0
    assert {key[3] for key in found if key[2] == "class"} <= {str(number) for number in range(LABELS)}


def test_models_that_devices_invent_are_bounded() -> None:
    many = [inferences(seed=n, model=f"m-{n}", stream=n.to_bytes(16, "big")) for n in range(MAX_STRANGERS + 5)]
    assert len({key[0] for key in count([rows(many)], SITES)}) == MAX_STRANGERS


def test_panes_of_another_scale_do_not_fit() -> None:
    panes = {("digits", 3, "site", "north", 0): np.zeros(3, np.int64), ("letters", 1, "site", "north", 0): np.zeros(3)}
    assert list(fitting(panes, {("digits", 3): universal()})) == [("letters", 1, "site", "north", 0)]


def test_nothing_is_counted_of_nothing() -> None:
    assert count([rows([])]) == {}
