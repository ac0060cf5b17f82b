"""Runs: where the rows of each message begin, so that what a message's rows share is looked at once."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def run_starts(values: NDArray[Any]) -> Ints:
    """The first place of each run of equal values; shape (runs,)."""
    if not len(values):
        return np.zeros(0, np.int64)
    return np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))


def message_starts(rows: pa.RecordBatch) -> Ints:
    """The first row of each message (columns of `inferences`): its rows stand together.

    Of one log partition `log_offset` tells messages apart; rows of several have to be of different devices too.
    """
    offsets, devices = rows["log_offset"].to_numpy(), rows["device"].indices.to_numpy()
    return np.union1d(run_starts(offsets), run_starts(devices))


def words_at(column: Any, places: Ints) -> list[str]:
    """The texts of a dictionary column at some of its rows."""
    words = column.dictionary.to_pylist()
    return [words[code] for code in column.indices.to_numpy()[places].tolist()]


def times_of(rows: pa.RecordBatch, column: str = "time") -> Ints:
    """A column of times as microseconds since 1970, (n,) int64."""
    us: Ints = rows[column].cast(pa.int64()).to_numpy()
    return us


def compress(values: Ints) -> tuple[Ints, list[int]]:
    """The values as codes (n,) into those that occur, and these, sorted.

    Rows of a message mostly have the same value, so runs are sorted instead of rows.
    """
    starts = run_starts(values)
    present, inverse = np.unique(values[starts], return_inverse=True)
    return np.repeat(inverse.reshape(-1), np.diff(starts, append=len(values))), present.tolist()
