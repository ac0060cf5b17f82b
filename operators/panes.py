"""Panes: a window's counts as one vector of integers that add up.

    [rows, events, stack of all features, rows with waves, sums of waves]

The pane of some rows is the sum of the panes of its parts, exactly, whatever the parts and
their order: late rows, resent batches and restarts change nothing.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from operators.bins import bins_of
from operators.features import places
from operators.scale import LATENCY_EDGES_US, Scale
from operators.space import WAVES, Located

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_BLOCK_ROWS = 1 << 13  # their places stay in the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where what stands in a pane.

    Attributes:
        at: name of a feature → where it stands.
        stack: all features together.
        waves: sums of random Fourier features; empty without an embedding.
        width: numbers in a pane.
    """

    at: dict[str, slice]
    stack: slice
    waves: slice
    width: int

    @property
    def rows(self) -> int:
        """Position of the row count."""
        return 0

    @property
    def events(self) -> int:
        """Position of the count of rows that are no near repeat of the one before them."""
        return 1

    @property
    def waved(self) -> int:
        """Position of the count of rows in the sums of waves."""
        return int(self.waves.start) - 1


@lru_cache(maxsize=256)
def layout_of(scale: Scale) -> Layout:
    """The layout of panes on a scale."""
    stood = list(places(scale.features))
    at = {f.name: slice(2 + p.start, 2 + p.stop) for f, p in zip(scale.features, stood, strict=True)}
    stack = slice(2, 2 + stood[-1].stop)
    waves = slice(stack.stop + 1, stack.stop + 1 + (WAVES if scale.space else 0))
    return Layout(at=at, stack=stack, waves=waves, width=waves.stop)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """What is watched of n rows of one model version.

    Attributes:
        class_id: (n,) predicted classes.
        confidence, second: (n,) scores of the best class and the next, in [0, 1].
        entropy: (n,) nats.
        latency_us: (n,) inference time.
        located: where the embeddings lie, where there are any.
        waved: (n,) whether a row is in the sums of waves.
        sound: (n,) whether its clock is right.
    """

    class_id: NDArray[np.integer]
    confidence: Floats
    second: Floats
    entropy: Floats
    latency_us: NDArray[np.integer]
    located: Located | None
    waved: NDArray[np.bool_]
    sound: NDArray[np.bool_]


def positions(scale: Scale, columns: Columns) -> NDArray[np.int32]:
    """(n, features - 1): where in a pane each row counts, for every feature but `quality`."""
    at = layout_of(scale).at
    margin = columns.confidence - columns.second
    found: dict[str, NDArray[np.integer]] = {
        "prediction_mix": scale.class_slots(columns.class_id),
        "confidence": bins_of(scale.confidence_edges, columns.confidence),
        "margin": bins_of(scale.margin_edges, margin),
        "entropy": bins_of(scale.entropy_edges, columns.entropy),
        "latency": bins_of(LATENCY_EDGES_US, columns.latency_us),
    }
    space, located = scale.space, columns.located
    directions = space.directions if space else 0
    out = np.empty((len(margin), len(found) + directions + (3 if space else 0)), np.int32)
    for column, (name, own) in enumerate(found.items()):
        np.add(own, at[name].start, out=out[:, column], casting="unsafe")
    if space is not None and located is not None:
        first = len(found)
        bins = space.direction_bins(located.cells)
        starts = np.array([at[f"embedding_{i}"].start for i in range(1, directions + 1)], np.int32)
        np.add(bins, starts, out=out[:, first : first + directions])
        centroid, distance = space.nearest(located.cells)
        out[:, -3] = centroid + at["centroid"].start
        out[:, -2] = bins_of(space.distance_edges, distance) + at["centroid_distance"].start
        out[:, -1] = bins_of(space.norm_edges, located.norm) + at["embedding_norm"].start
    return out


def count(
    scale: Scale,
    columns: Columns,
    position: NDArray[np.int32],
    event: NDArray[np.bool_],
    group: NDArray[np.integer],
    groups: int,
) -> Ints:
    """One pane for each group of rows: (groups, width) int64.

    A row that is no event, or whose clock is off, counts among the rows and in `quality` alone.

    Args:
        scale: gives bins and layout.
        columns: of the rows.
        position: (n, features - 1), as `positions` gives it.
        event: (n,) whether a row is no near repeat of the one before it.
        group: (n,) in 0 … groups - 1: the pane that each row belongs to.
        groups: how many panes.
    """
    layout = layout_of(scale)
    out = np.zeros((groups, layout.width), np.int64)
    out[:, layout.rows] = np.bincount(group, minlength=groups)
    quality = layout.at["quality"].start
    evident = event & columns.sound
    if evident.all():
        position, chosen, waved = position, group, columns.waved
    else:
        off = np.bincount(group[~columns.sound], minlength=groups)
        out[:, quality + 1] = off
        position, chosen, waved = position[evident], group[evident], columns.waved & evident
    events = np.bincount(chosen, minlength=groups)
    out[:, layout.events] = events
    out[:, quality] = events
    _add(out, position, chosen)
    if scale.space is not None and columns.located is not None:
        _add_waves(out, layout, scale, columns.located.cells[waved], group[waved])
    return out


def _add(out: Ints, position: NDArray[np.int32], group: NDArray[np.integer]) -> None:
    """Count each position in the pane of its row."""
    width = out.shape[1]
    block = max(_BLOCK_ROWS, out.size // max(position.shape[1], 1))
    flat = out.reshape(-1)
    for at in range(0, len(position), block):
        place = position[at : at + block] + (group[at : at + block] * width).astype(np.int64)[:, None]
        flat += np.bincount(place.ravel(), minlength=out.size)


def _add_waves(out: Ints, layout: Layout, scale: Scale, cells: Floats, group: NDArray[np.integer]) -> None:
    """Sum the waves of the chosen rows; exact: a sum of whole numbers that float64 holds."""
    if scale.space is None or not len(cells):
        return
    values = scale.space.wave_values(cells)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    present = group[order][starts]
    out[present, layout.waves] += np.add.reduceat(values[order], starts, axis=0, dtype=np.int64)
    out[:, layout.waved] += np.bincount(group, minlength=len(out))


def narrow(pane: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same numbers with 32 bits, where they allow it: half the memory of windows that are kept for days."""
    fits = len(pane) == 0 or (pane.max() < 2**31 and pane.min() > -(2**31))
    return pane.astype(np.int32 if fits else np.int64)


def pack_pane(pane: NDArray[np.integer]) -> bytes:
    """A pane in few bytes: whole numbers as narrow as they allow, compressed."""
    own = narrow(pane)
    return own.dtype.char.encode() + zlib.compress(own.tobytes(), 1)


def unpack_pane(data: bytes) -> Ints:
    """What `pack_pane` packed."""
    return np.frombuffer(zlib.decompress(data[1:]), np.dtype(data[:1].decode())).astype(np.int64)
