"""The space of a model's embeddings, in whole numbers: where each lies, and in which bins.

Embeddings become steps of a fixed-point grid, and everything after it is sums of whole numbers
small enough for float32 to hold exactly. So a row falls into the same bins alone or among a
million others, on any machine, and windows come out the same however the rows arrived.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.embedding import Codec

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS: Final = 256
"""Steps from 0 to the largest value of the rows the space was made of."""

MAX_STEP: Final = 2 * STEPS
"""A value beyond it counts as this."""

WEIGHT: Final = 127
"""Largest weight of a value along a direction."""

CELLS: Final = 16
"""Cells to a standard deviation along a direction."""

MAX_CELL: Final = 127
DIRECTION_BINS: Final = 8
DISTANCE_BINS: Final = 16
WAVES: Final = 64
"""Random Fourier features."""

WAVE_UNIT: Final = 1 / 1024
_TURN: Final = 4096
_ROWS: Final = 2048
_BLOCK: Final = 128  # values whose weighted sum float32 holds: 128 · (512 + 256) · 127 < 2^24
_SQUARES: Final = 16  # values whose squares' sum it holds: 16 · (512 + 256)² < 2^24
_COSINES: Final = np.rint(np.sqrt(2) * np.cos(2 * np.pi * np.arange(_TURN) / _TURN) / WAVE_UNIT).astype(np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """Directions, centroids and edges of one model's embeddings; d values, r directions, m centroids.

    Attributes:
        codec: how embeddings travel.
        unit: the step of the grid, in the embedding's own units.
        center: (d,) int64, mean in steps.
        weights: (r, d) int64 in ±127: the principal directions, leading first.
        gain: (r,) float32: cells for one unit of the weighted sum; `CELLS` cells are a standard deviation.
        direction_edges: (r, 7) int64, not falling: the first cell of each bin but the lowest.
        centroids: (m, r) int64, in cells; of clusters of the validation rows.
        distance_edges: (15,) int64, not falling: squared distance to the nearest centroid, in cells².
        norm_edges: (15,) int64, not falling: squared distance from the mean, over all d values, in steps².
        waves: (r, 64) int64: frequencies, in 1/4096 turns for each cell.
        phases: (64,) int64, in 1/4096 turns.
    """

    codec: Codec
    unit: float
    center: Ints
    weights: Ints
    gain: Floats
    direction_edges: Ints
    centroids: Ints
    distance_edges: Ints
    norm_edges: Ints
    waves: Ints
    phases: Ints

    @property
    def dims(self) -> int:
        """Values of an embedding as it travels."""
        return len(self.center)

    @property
    def directions(self) -> int:
        """Directions that are watched."""
        return len(self.weights)

    @cached_property
    def _bin_of_cell(self) -> NDArray[np.int32]:
        """(r · 255,): the bin of each cell of each direction."""
        every = np.arange(-MAX_CELL, MAX_CELL + 1)
        return np.concatenate([np.searchsorted(edges, every, side="right") for edges in self.direction_edges]).astype(
            "i4"
        )

    @cached_property
    def _center(self) -> Floats:
        return self.center.astype(np.float32)

    @cached_property
    def _turned(self) -> tuple[Floats, Floats, Floats]:
        """Weights, centroids and waves, as float32 that are whole, ready to multiply."""
        return self.weights.T.astype("f4"), self.centroids.T.astype("f4"), self.waves.astype("f4")

    def locate(self, embeddings: Floats) -> "Located":
        """Where embeddings, shape (n, d), finite, lie."""
        cells = np.empty((len(embeddings), self.directions), np.float32)
        norm = np.empty(len(embeddings))
        for at in range(0, len(embeddings), _ROWS):  # blocks that stay in the cache
            rows = slice(at, at + _ROWS)
            steps = steps_of(embeddings[rows], self.unit)
            steps -= self._center
            np.rint(self._along(steps) * self.gain, out=cells[rows])
            np.multiply(steps, steps, out=steps)
            norm[rows] = _summed(steps)
        np.clip(cells, -MAX_CELL, MAX_CELL, out=cells)
        return Located(cells=cells, norm=norm)

    def _along(self, steps: Floats) -> Floats:
        """(n, r) weighted sums, exact but for the last rounding where d is large."""
        weights = self._turned[0]
        along = steps[:, :_BLOCK] @ weights[:_BLOCK]
        if self.dims > _BLOCK:
            along = along.astype(np.float64)
            for at in range(_BLOCK, self.dims, _BLOCK):
                along += steps[:, at : at + _BLOCK] @ weights[at : at + _BLOCK]
        return along.astype(np.float32, copy=False)

    def direction_bins(self, cells: Floats) -> NDArray[np.int32]:
        """(n, r): the bin of each direction, 0 … 7."""
        place = cells.astype(np.int32)
        place += np.arange(self.directions, dtype=np.int32) * (2 * MAX_CELL + 1) + MAX_CELL
        bins: NDArray[np.int32] = self._bin_of_cell.take(place, mode="clip")
        return bins

    def nearest(self, cells: Floats) -> tuple[Ints, Floats]:
        """(n,) the nearest centroid, and (n,) the squared distance to it, in cells²."""
        centroids = self._turned[1]
        squares = np.einsum("ij,ij->j", centroids, centroids)
        apart = squares - 2 * (cells @ centroids)
        best = apart.argmin(axis=1)
        return best, apart[np.arange(len(cells)), best] + np.einsum("ij,ij->i", cells, cells)

    def wave_values(self, cells: Floats) -> NDArray[np.int32]:
        """(n, 64): √2 · cos(w·z + b) of each row, in `WAVE_UNIT`s (Rahimi and Recht, 2007)."""
        turns = (cells @ self._turned[2]).astype(np.int32)
        turns += self.phases.astype(np.int32)
        turns &= _TURN - 1
        values: NDArray[np.int32] = _COSINES.take(turns, mode="clip")
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where rows lie.

    Attributes:
        cells: (n, r) float32, whole, within ±127: along each direction.
        norm: (n,) float64, whole: squared distance from the mean, in steps².
    """

    cells: Floats
    norm: Doubles


def steps_of(embeddings: Floats, unit: float) -> Floats:
    """Embeddings, shape (n, d), in whole steps within ±`MAX_STEP`, as float32."""
    with np.errstate(over="ignore"):  # what becomes infinite is clipped
        steps = embeddings * np.float32(1.0 / unit)
    np.rint(steps, out=steps)
    return np.clip(steps, -MAX_STEP, MAX_STEP, out=steps)


def unit_of(embeddings: Floats) -> float:
    """The step that spreads `embeddings`, shape (n, d), over ±`STEPS`; 1 where all are zero."""
    largest = float(np.abs(embeddings).max(initial=0.0))
    return largest / STEPS if largest > 0 else 1.0


def _summed(squares: Floats) -> Doubles:
    """(n,) the sum of each row, exact: float32 holds the sums of `_SQUARES` values, float64 those of all."""
    n, dims = squares.shape
    whole = dims // _SQUARES * _SQUARES
    few = squares[:, :whole].reshape(-1, _SQUARES) @ np.ones(_SQUARES, np.float32)
    total: Doubles = few.reshape(n, -1).sum(axis=1, dtype=np.float64)
    total += squares[:, whole:].sum(axis=1, dtype=np.float64)
    return total
