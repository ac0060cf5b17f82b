"""Examples: the rows of a cohort that are nearest to what grew, for eyes and for labels."""

import heapq
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.features import places
from operators.panes import positions
from operators.scale import Scale
from operators.statistics import smoothed_shares
from operators.windows import columns_of

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST: Final = 10
_SHOWN: Final = ("time", "device", "stream", "seq", "site")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A row that looks as what grew.

    Attributes:
        score: Σ over the moved features of ln(observed / expected) of its bins, in nats.
        time, device, stream, seq, site: of the row.
        class_id, confidence: what the model said.
        digest: of its raw sample.
    """

    score: float
    time: datetime
    device: str
    stream: str
    seq: int
    site: str
    class_id: int
    confidence: float
    digest: str


class Examples:
    """Keeps the best rows of all that it is shown; the same ones in whatever order they come."""

    def __init__(self, scale: Scale, gains: Doubles) -> None:
        """Begin with none.

        Args:
            scale: of the model.
            gains: (width,) of a pane, from `gains_of`.
        """
        self._scale, self._gains = scale, gains
        self._best: list[Example] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Look at more rows of one model version, columns of `inferences`; those of a wrong clock do not count."""
        columns = columns_of(rows, self._scale)
        scores = self._gains[positions(self._scale, columns)].sum(axis=1)
        scores[~columns.sound] = 0.0
        floor = np.partition(scores, -MOST)[-MOST] if len(scores) > MOST else 0.0
        near = np.flatnonzero((scores >= floor) & (scores > 0))
        told = {name: rows[name].take(pa.array(near)).to_pylist() for name in (*_SHOWN, "sample_digest")}
        digests = told.pop("sample_digest")
        for place, at in enumerate(near.tolist()):
            self._best.append(
                Example(
                    score=float(scores[at]),
                    class_id=int(columns.class_id[at]),
                    confidence=float(columns.confidence[at]),
                    digest=digests[place].hex() if digests[place] else "",
                    **{name: values[place] for name, values in told.items()},
                )
            )
        self._best = heapq.nsmallest(MOST, self._best, key=_order)

    def found(self) -> list[Example]:
        """The best ones, best first; of equals those with the smallest digest, which is as good as a draw."""
        return self._best


def gains_of(scale: Scale, names: frozenset[str], expected: Ints, observed: Ints, width: int) -> Doubles:
    """(width,) what a row in each place of a pane adds to its score.

    Args:
        scale: of the model.
        names: of the features that moved; the others add nothing.
        expected: the stack that the cohort is compared with.
        observed: the stack of its windows since the change.
        width: of a pane.
    """
    gains = np.zeros(width)
    for feature, place in zip(scale.features, places(scale.features), strict=True):
        if feature.name in names and expected[place].any() and observed[place].any():
            shares = smoothed_shares(observed[place]) / smoothed_shares(expected[place])
            gains[place.start + 2 : place.stop + 2] = np.log(shares)
    return gains


def _order(one: Example) -> tuple[float, str, str, str, int]:
    return -one.score, one.digest, one.device, one.stream, one.seq
