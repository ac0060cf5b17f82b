"""Repeats: rows that show what the row before them showed, so that a still camera is one witness, not twelve.

A row is an *event* unless it is a near repeat of the record just before it in its stream: the same best
class, and nearly the same place. Which rows are events depends on the records alone, not on how or when they
arrived: where the record before comes later, the row is an event until then, and is taken back after.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.panes import Columns
from operators.space import CELLS

Ints = NDArray[np.int64]

REPEAT_SIGMA: Final = 0.1
"""Root mean square distance of repeats over the directions, in standard deviations of the reference."""

MAX_ENDS: Final = 64
"""Ends of runs that are kept for each stream; where records never arrive, the oldest go."""

_ODDS: Final = np.exp(np.arange(-12 * 64, 12 * 64 + 1) / 64)
_STEPS: Final = _ODDS / (1 + _ODDS)
"""Steps of 1/64 in log-odds: where a model has no embedding, places are those of its scores."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a row showed: enough to know a repeat of it.

    Attributes:
        model: name and version.
        class_id: the best class.
        place: int16 numbers, as bytes.
    """

    model: tuple[str, int]
    class_id: int
    place: bytes

    def repeats(self, other: "Sight", limit: float) -> bool:
        """Whether both show nearly the same; `limit` as `Places` has it."""
        if (self.model, self.class_id, len(self.place)) != (other.model, other.class_id, len(other.place)):
            return False
        apart = np.frombuffer(self.place, np.int16).astype(np.int64) - np.frombuffer(other.place, np.int16)
        return bool((apart * apart).sum() <= limit)


@dataclass(slots=True)
class Ends:
    """The ends of one stream's runs of records, oldest first; at most `MAX_ENDS` of each.

    Attributes:
        tails: last seq of a run → what it showed.
        heads: first seq of a run whose record before has not come → what it showed, and a ticket for
            what was counted of it.
    """

    tails: dict[int, Sight] = field(default_factory=dict)
    heads: dict[int, tuple[Sight, Any]] = field(default_factory=dict)

    def bound(self) -> None:
        """Forget the oldest ends beyond the bound."""
        for kept in (self.tails, self.heads):
            while len(kept) > MAX_ENDS:
                del kept[next(iter(kept))]


Streams = MutableMapping[str, Ends]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of one stream, in one batch.

    Attributes:
        stream: its name.
        first, last: seq of the first and the last.
        start, end: places of their rows.
    """

    stream: str
    first: int
    last: int
    start: int
    end: int


def places_of(columns: Columns) -> tuple[NDArray[np.int16], float]:
    """(n, s): where each row lies, and the largest squared distance of a repeat."""
    if columns.located is not None:
        cells = columns.located.cells.astype(np.int16)
        return cells, cells.shape[1] * (REPEAT_SIGMA * CELLS) ** 2
    scores = (columns.confidence, columns.second, columns.entropy / (1 + columns.entropy))
    return np.stack([np.searchsorted(_STEPS, each) for each in scores], axis=1).astype(np.int16), float(len(scores))


def near_neighbours(
    class_id: NDArray[np.integer], places: NDArray[np.int16], limit: float, row: Ints, before: Ints
) -> NDArray[np.bool_]:
    """Whether each of some rows nearly repeats the row given as the one before it."""
    apart = places[row].astype(np.float32) - places[before]  # whole numbers below 2^24: exact
    near: NDArray[np.bool_] = np.einsum("ij,ij->i", apart, apart) <= limit
    alike: NDArray[np.bool_] = near & (class_id[row] == class_id[before])
    return alike


def find_runs(stream: NDArray[np.integer], names: Sequence[str], seq: Ints) -> tuple[list[Run], Ints, Ints]:
    """The runs in a batch, and each row that has its record before in the batch, with that one's place.

    Args:
        stream: (n,) codes into `names`.
        names: of the streams.
        seq: (n,) record numbers; no record is there twice.
    """
    n = len(seq)
    starts = np.flatnonzero(np.concatenate(([True], (np.diff(seq) != 1) | (np.diff(stream) != 0))))
    ends = np.append(starts[1:], n) - 1
    order = np.lexsort((seq[starts], stream[starts]))
    starts, ends = starts[order], ends[order]
    joined = (stream[starts[1:]] == stream[starts[:-1]]) & (seq[starts[1:]] == seq[ends[:-1]] + 1)
    first = np.flatnonzero(np.concatenate(([True], ~joined)))
    last = np.append(first[1:], len(starts)) - 1
    inner = np.ones(n, bool)
    inner[starts] = False
    row = np.concatenate((np.flatnonzero(inner), starts[1:][joined]))
    before = np.concatenate((np.flatnonzero(inner) - 1, ends[:-1][joined]))
    runs = [
        Run(names[code], from_seq, to_seq, start, end)
        for code, from_seq, to_seq, start, end in zip(
            stream[starts[first]].tolist(),
            seq[starts[first]].tolist(),
            seq[ends[last]].tolist(),
            starts[first].tolist(),
            ends[last].tolist(),
            strict=True,
        )
    ]
    return runs, row, before


def meet(
    streams: Streams, run: Run, first: Sight, last: Sight, limit: float, ticket: Callable[[], Any]
) -> tuple[bool, Any]:
    """Join a run to what is known of its stream.

    Args:
        streams: the state; updated in place.
        run: what came.
        first: what its first row showed.
        last: what its last row showed.
        limit: largest squared distance of a repeat.
        ticket: makes what will be needed to take the first row back.

    Returns:
        Whether its first row repeats the record before it; and the ticket of the row after its last, if
        that one came earlier and is now known for a repeat, else None.
    """
    ends = streams.get(run.stream)
    if ends is None:
        ends = streams[run.stream] = Ends()
    before = ends.tails.pop(run.first - 1, None)
    repeated = before is not None and first.repeats(before, limit)
    if before is None and run.first > 0:
        ends.heads[run.first] = (first, ticket())
    after = ends.heads.pop(run.last + 1, None)
    if after is None:
        ends.tails[run.last] = last
    ends.bound()
    return repeated, after[1] if after is not None and after[0].repeats(last, limit) else None
