"""Panes: a window's counts as one vector of integers that add up.

    [rows, class counts (L), confidence counts (16), embedding sum (d)]

The pane of some rows is the sum of the panes of its parts, exactly, whatever the
parts and their order: late rows, resent batches and restarts change nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators import fixed_point
from operators.reference import CONFIDENCE_BINS, Reference, confidence_bin

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where what stands in a pane.

    Attributes:
        labels: number of classes.
        dims: values of an embedding as it travels; 0 without one.
    """

    labels: int
    dims: int

    @property
    def rows(self) -> int:
        """Position of the row count."""
        return 0

    @property
    def classes(self) -> slice:
        """Where the predictions of each class are counted."""
        return slice(1, 1 + self.labels)

    @property
    def confidence(self) -> slice:
        """Where the 16 confidence bins are counted."""
        return slice(self.classes.stop, self.classes.stop + CONFIDENCE_BINS)

    @property
    def embedding(self) -> slice:
        """Where the embedding is summed, in the reference's fixed-point steps."""
        return slice(self.confidence.stop, self.confidence.stop + self.dims)

    @property
    def width(self) -> int:
        """Numbers in a pane."""
        return 1 + self.labels + CONFIDENCE_BINS + self.dims


def layout_of(reference: Reference) -> Layout:
    """The layout of panes that are compared with `reference`."""
    return Layout(labels=len(reference.labels), dims=reference.dims)


def panes(
    reference: Reference,
    group: NDArray[np.int32],
    groups: int,
    class_id: NDArray[np.integer],
    confidence: Floats,
    embeddings: Floats,
) -> Ints:
    """One pane for each group of rows: (groups, width) int64.

    Args:
        reference: gives bins, fixed-point step and layout.
        group: (n,) in 0 … groups - 1: the pane that each row belongs to.
        groups: how many panes.
        class_id: (n,) predicted classes.
        confidence: (n,) in [0, 1].
        embeddings: (n, d) decoded and finite; not read where the reference has none.

    Raises:
        ValueError: a class that the reference does not know, or an embedding of other dimensions.
    """
    layout = layout_of(reference)
    if len(class_id) and int(class_id.max()) >= layout.labels:
        raise ValueError(f"class {int(class_id.max())} of {layout.labels}")
    out = np.zeros((groups, layout.width), np.int64)
    out[:, layout.rows] = np.bincount(group, minlength=groups)
    out[:, layout.classes] = _counts(group, groups, class_id, layout.labels)
    bins = confidence_bin(confidence, reference.confidence_edges)
    out[:, layout.confidence] = _counts(group, groups, bins, CONFIDENCE_BINS)
    if layout.dims:
        out[:, layout.embedding] = _sums(group, groups, embeddings, reference)
    return out


def _counts(group: NDArray[np.int32], groups: int, column: NDArray[np.integer], kinds: int) -> Ints:
    """(groups, kinds): how often each kind is in each group."""
    place = group.astype(np.int64) * kinds + column
    return np.bincount(place, minlength=groups * kinds).reshape(groups, kinds)


def _sums(group: NDArray[np.int32], groups: int, embeddings: Floats, reference: Reference) -> Ints:
    """(groups, d): the sum of the embeddings of each group, in fixed-point steps.

    Rows are sorted by group, and each group is added in blocks that stay in the cache and
    whose float32 sums are exact; np.add.at takes ten times as long.
    """
    if embeddings.shape != (len(group), reference.dims):
        raise ValueError(f"embeddings of shape {embeddings.shape}, not ({len(group)}, {reference.dims})")
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(groups + 1))
    out = np.zeros((groups, reference.dims), np.int64)
    for present in np.flatnonzero(np.diff(bounds)):
        for at in range(bounds[present], bounds[present + 1], fixed_point.BLOCK_ROWS):
            rows = order[at : min(at + fixed_point.BLOCK_ROWS, bounds[present + 1])]
            block = fixed_point.codes(embeddings[rows], reference.embedding_unit)
            out[present] += block.sum(axis=0).astype(np.int64)
    return out
