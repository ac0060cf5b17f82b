"""Runs: each begins where a value differs from the one before, a message where its offset or its device does."""

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.runs import compress, message_starts, run_starts, words_at

VALUES = st.lists(st.integers(-3, 3), max_size=30)


@given(VALUES)
def test_runs_are_those_of_itertools(values: list[int]) -> None:
    lengths = [len(list(group)) for _, group in itertools.groupby(values)]
    assert run_starts(np.array(values, np.int64)).tolist() == [0, *itertools.accumulate(lengths)][: len(lengths)]


@given(VALUES)
def test_codes_stand_for_their_values(values: list[int]) -> None:
    codes, present = compress(np.array(values, np.int64))
    assert [present[code] for code in codes] == values
    assert present == sorted(set(values))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=20))
def test_messages_of_two_devices_are_two_even_at_the_same_offset_of_two_partitions(rows: list[tuple[str, int]]) -> None:
    columns = {
        "device": pa.array([device for device, _ in rows], pa.string()).dictionary_encode(),
        "log_offset": pa.array([offset for _, offset in rows], pa.int64()),
    }
    starts = message_starts(pa.RecordBatch.from_pydict(columns))
    wanted = [place for place in range(len(rows)) if place == 0 or rows[place] != rows[place - 1]]
    assert starts.tolist() == wanted
    assert words_at(columns["device"], starts) == [rows[place][0] for place in wanted]
