"""Fit a space: directions, centroids and edges that suit the embeddings of validation rows.

It is fitted once, in floating point, and then stored as whole numbers: what counts on it later is exact.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.mmd import frequencies
from operators.space import CELLS, DIRECTION_BINS, DISTANCE_BINS, WAVES, WEIGHT, Space, steps_of, unit_of
from operators.statistics import principal_directions
from schemas.embedding import Codec
from schemas.errors import BundleError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_DIMS: Final = 1024
"""Largest embedding that drift compares: its covariance takes dims² · 8 bytes while it is fitted."""

MAX_DIRECTIONS: Final = 16
ROWS_A_DIRECTION: Final = 8
MAX_CENTROIDS: Final = 16
_LEAST: Final = 1e-30  # below it, no float32 says how many steps a value is
_BLOCK_ROWS: Final = 1 << 12
_PAIRED: Final = 512
_TURN: Final = 4096
_SEED: Final = 0


def fit_space(embeddings: Floats, codec: Codec, classes: int) -> Space | None:
    """The space of embeddings, shape (n, d), finite; None where there are none or they do not vary.

    Directions are the leading principal ones (Pearson, 1901) that vary at all, at most 16 and at most one for 8 rows;
    each points to where its largest weight is above 0, so that the same rows give the same.

    Args:
        embeddings: of the validation rows, after the codec's round trip.
        codec: how they travel.
        classes: as many clusters are looked for, from 2 to 16.

    Raises:
        BundleError: they have more than `MAX_DIMS` values.
    """
    rows, dims = embeddings.shape
    if dims > MAX_DIMS:
        raise BundleError(f"an embedding of {dims} values; drift compares up to {MAX_DIMS}: use codec pca-i8")
    if rows < 2 or not float(np.abs(embeddings).max(initial=0.0)) > _LEAST:
        return None
    unit = unit_of(embeddings)
    center, covariance = _moments(embeddings, unit)
    weights, gain = _directions(covariance, rows)
    if not len(weights):
        return None
    draft = Space(
        codec=codec,
        unit=unit,
        center=center,
        weights=weights,
        gain=gain,
        direction_edges=np.zeros((len(weights), DIRECTION_BINS - 1), np.int64),
        centroids=np.zeros((1, len(weights)), np.int64),
        distance_edges=np.zeros(DISTANCE_BINS - 1, np.int64),
        norm_edges=np.zeros(DISTANCE_BINS - 1, np.int64),
        waves=np.zeros((len(weights), WAVES), np.int64),
        phases=np.zeros(WAVES, np.int64),
    )
    return _with_edges(draft, embeddings, classes)


def _moments(embeddings: Floats, unit: float) -> tuple[Ints, Doubles]:
    """The rounded mean in steps, (d,), and the covariance in steps², (d, d)."""
    rows, dims = embeddings.shape
    total = np.zeros(dims)
    for at in range(0, rows, _BLOCK_ROWS):
        total += steps_of(embeddings[at : at + _BLOCK_ROWS], unit).sum(axis=0, dtype=np.float64)
    center = np.rint(total / rows)
    about = np.zeros((dims, dims))
    for at in range(0, rows, _BLOCK_ROWS):
        block = steps_of(embeddings[at : at + _BLOCK_ROWS], unit) - center
        about += block.T @ block
    off = total / rows - center
    return center.astype(np.int64), (about - rows * np.outer(off, off)) / (rows - 1)


def _directions(covariance: Doubles, rows: int) -> tuple[Ints, Floats]:
    """Weights (r, d) in ±127, and gain (r,): `CELLS` cells are a standard deviation."""
    most = min(MAX_DIRECTIONS, max(1, rows // ROWS_A_DIRECTION))
    found = principal_directions(covariance, 1.0, most)
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    weights = np.rint(found / largest * WEIGHT)
    variance = np.einsum("rd,de,re->r", weights, covariance, weights)
    varies = variance > 0
    return weights[varies].astype(np.int64), (CELLS / np.sqrt(variance[varies])).astype(np.float32)


def _with_edges(draft: Space, embeddings: Floats, classes: int) -> Space:
    """The space with centroids, waves and edges of its own rows."""
    located = draft.locate(embeddings)
    cells = located.cells.astype(np.float64)
    waves, phases = _waves(cells)
    space = replace(
        draft,
        direction_edges=np.array([_edges(along, DIRECTION_BINS) for along in cells.T]),
        centroids=_centroids(cells, classes),
        norm_edges=_edges(located.norm, DISTANCE_BINS),
        waves=waves,
        phases=phases,
    )
    _, distance = space.nearest(located.cells)
    return replace(space, distance_edges=_edges(distance.astype(np.float64), DISTANCE_BINS))


def _edges(values: Doubles, bins: int) -> Ints:
    """(bins - 1,) first values of all bins but the lowest; (n,) whole values fill them as evenly as ties allow."""
    ranked = np.sort(values)
    wanted = len(ranked) * np.arange(1, bins) / bins
    edges = ranked[wanted.astype(np.int64)]
    below, through = (np.searchsorted(ranked, edges, side) for side in ("left", "right"))
    return (edges + (through - wanted < wanted - below)).astype(np.int64)


def _centroids(cells: Doubles, classes: int) -> Ints:
    """(m, r) whole means of the clusters of rows, m ≤ 16 (k-means: Lloyd, 1982; Arthur and Vassilvitskii, 2007)."""
    from sklearn.cluster import KMeans  # it takes a second to import, and no service needs it

    most = min(MAX_CENTROIDS, max(2, classes), len(np.unique(cells, axis=0)))
    cluster = KMeans(most, n_init=4, random_state=_SEED).fit(cells).labels_
    sums = np.zeros((most, cells.shape[1]))
    np.add.at(sums, cluster, cells)
    # means anew from whole sums: those of the library depend on its threads in the last bit
    means = sums / np.maximum(np.bincount(cluster, minlength=most), 1)[:, None]
    return np.unique(np.rint(means).astype(np.int64), axis=0)


def _waves(cells: Doubles) -> tuple[Ints, Ints]:
    """Frequencies (r, 64) and phases (64,), in 1/4096 turns.

    The bandwidth is the median distance of two rows (Gretton et al., 2012), but at least a standard deviation: finer
    waves than that do not fit into 8 bits.
    """
    chosen = np.random.default_rng(_SEED).permutation(len(cells))[:_PAIRED]
    some = cells[chosen] / CELLS
    squares = ((some[:, None] - some[None]) ** 2).sum(axis=-1)
    bandwidth = float(np.sqrt(np.median(squares[np.triu_indices(len(some), 1)])))
    w, b = frequencies(cells.shape[1], WAVES, _SEED, max(bandwidth, 1.0))
    turn = _TURN / (2 * np.pi)
    waves = np.clip(np.rint(w / CELLS * turn), -WEIGHT, WEIGHT).astype(np.int64)
    return waves, np.rint(b * turn).astype(np.int64) % _TURN
