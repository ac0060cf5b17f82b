"""Candidates: the rows of a round that could be worth a label, few from each partition.

What a partition passes on is bounded by what could be selected at all: the rows with
the highest score, and those with the lowest hash, from which the random control share
is drawn. Both kinds merge over partitions by taking the best again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.chance import row_hash
from operators.uncertainty import margin_uncertainty

COLUMNS = ("device", "stream", "seq", "site", "model_version", "sample_digest", "sample_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One row that could be selected.

    Attributes:
        row: the columns of `COLUMNS`, plain values.
        partition: of the log, where its device lives.
        score: how much it is worth, in [0, 1].
        hash: its random number, uniform in 0 … 2^64 - 1.
    """

    row: Mapping[str, Any]
    partition: int
    score: float
    hash: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one model in one part of a round.

    Attributes:
        seen: rows there were, candidates or not.
        best: by falling score, at most the bound.
        control: by rising hash, at most the bound.
    """

    seen: int = 0
    best: tuple[Candidate, ...] = ()
    control: tuple[Candidate, ...] = ()


def by_score(candidate: Candidate) -> tuple[float, int]:
    """Sort key: the highest score first, ties by hash."""
    return (-candidate.score, candidate.hash)


def by_hash(candidate: Candidate) -> int:
    """Sort key: the lowest hash first."""
    return candidate.hash


def merge(a: Candidates, b: Candidates, bound: int) -> Candidates:
    """The candidates of both, again at most `bound` of each kind."""
    best = sorted(a.best + b.best, key=by_score)[:bound]
    control = sorted(a.control + b.control, key=by_hash)[:bound]
    return Candidates(a.seen + b.seen, tuple(best), tuple(control))


def find_candidates(rows: pa.RecordBatch, partition: int, seed: str, bound: int) -> dict[str, Candidates]:
    """Model → its candidates among `rows` (columns of `inferences`)."""
    if not rows.num_rows:
        return {}
    score = margin_uncertainty(rows["scores"])
    chance = row_hash(seed, rows["stream"], rows["seq"].to_numpy())
    model = rows["model"]
    found = {}
    for code, name in enumerate(model.dictionary.to_pylist()):
        places = np.flatnonzero(model.indices.to_numpy() == code)
        if len(places):
            best = places[_lowest(-score[places], chance[places], bound)]
            control = places[_lowest(chance[places], chance[places], bound)]
            found[name] = Candidates(
                len(places),
                tuple(sorted(_take(rows, best, partition, score, chance), key=by_score)),
                tuple(sorted(_take(rows, control, partition, score, chance), key=by_hash)),
            )
    return found


def _lowest(keys: NDArray[Any], ties: NDArray[np.uint64], bound: int) -> NDArray[np.int64]:
    """The places of the `bound` lowest keys, ties broken, in no order."""
    if bound >= len(keys):
        return np.arange(len(keys))
    places = np.flatnonzero(keys <= np.partition(keys, bound - 1)[bound - 1])
    return places[np.lexsort((ties[places], keys[places]))[:bound]]


def _take(
    rows: pa.RecordBatch, places: NDArray[np.int64], partition: int, score: NDArray[Any], chance: NDArray[Any]
) -> list[Candidate]:
    taken = rows.select(list(COLUMNS)).take(pa.array(places)).to_pylist()
    return [
        Candidate(row=row, partition=partition, score=float(score[place]), hash=int(chance[place]))
        for row, place in zip(taken, places, strict=True)
    ]
