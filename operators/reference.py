"""What a model was accepted on, as counts and sums that can be merged.

A window of the fleet is compared with this. It holds no rows: neither images nor
embeddings of the validation part can be read back from it.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators import fixed_point
from schemas.embedding import Codec
from schemas.errors import BundleError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE_BINS: Final = 16
MAX_DIMS: Final = 1024
"""Largest embedding that drift compares: its second moments take dims² · 4 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Statistics of predictions, confidence and embedding over the rows a model was accepted on.

    Attributes:
        model: name of the bundle.
        version: its counter.
        labels: names of the classes, by class id; L of them.
        rows: how many inferences.
        class_counts: (L,) int64, by predicted class.
        confidence_edges: (15,) float64, inner edges of 16 bins of the best class's calibrated
            probability, at quantiles of the rows the reference was first made of; a bin holds its lower edge.
        confidence_counts: (16,) int64.
        embedding_codec: how embeddings travelled before they were summed.
        embedding_unit: the fixed-point step of the sums.
        embedding_sum: (d,) int64, in steps; d is 0 without an embedding.
        embedding_outer: (d, d) int64, second moments about zero, in steps².
    """

    model: str
    version: int
    labels: tuple[str, ...]
    rows: int
    class_counts: Ints
    confidence_edges: Doubles
    confidence_counts: Ints
    embedding_codec: Codec
    embedding_unit: float
    embedding_sum: Ints
    embedding_outer: Ints

    @property
    def dims(self) -> int:
        """Values of an embedding as it travels; 0 without one."""
        return len(self.embedding_sum)

    @property
    def embedding_mean(self) -> Doubles:
        """(d,) float64, in the units of the embedding."""
        return self.embedding_sum / self.rows * self.embedding_unit

    @property
    def embedding_covariance(self) -> Doubles:
        """(d, d) float64, unbiased (divided by rows - 1), in squared units of the embedding."""
        mean = self.embedding_sum / self.rows
        about_zero = self.embedding_outer / self.rows
        unbiased = self.rows / max(self.rows - 1, 1)
        covariance: Doubles = (about_zero - np.outer(mean, mean)) * unbiased * self.embedding_unit**2
        return covariance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """How a reference counts: shared by all references that can be merged.

    Attributes:
        confidence_edges: (15,) float64, not falling.
        embedding_unit: fixed-point step, above 0.
    """

    confidence_edges: Doubles
    embedding_unit: float


def scale_of(confidence: Floats, embeddings: Floats) -> Scale:
    """The scale that suits these rows: edges at quantiles, a step from the largest value.

    Args:
        confidence: (n,) in [0, 1], n ≥ 1.
        embeddings: (n, d), or (0, 0) without one.
    """
    shares = np.arange(1, CONFIDENCE_BINS) / CONFIDENCE_BINS
    edges = np.quantile(confidence.astype(np.float64), shares)
    # interpolation may round to a hair below its neighbour
    return Scale(confidence_edges=np.maximum.accumulate(edges), embedding_unit=fixed_point.step_of(embeddings))


def build(
    *,
    model: str,
    version: int,
    labels: tuple[str, ...],
    class_id: NDArray[np.integer],
    confidence: Floats,
    embeddings: Floats,
    embedding_codec: Codec,
    scale: Scale | None = None,
) -> Reference:
    """The reference of n rows, as the server sees them.

    Args:
        model: name of the bundle.
        version: its counter.
        labels: names of the classes.
        class_id: (n,) predicted classes, below len(labels).
        confidence: (n,) calibrated probability of the predicted class.
        embeddings: (n, d) after the codec's round trip; (0, 0) without one.
        embedding_codec: that codec.
        scale: of the references this one will be merged with; made from the rows where not given.

    Raises:
        BundleError: no rows, or columns that do not fit each other.
    """
    if not 0 < len(class_id) == len(confidence) or len(embeddings) not in (0, len(class_id)):
        raise BundleError("a reference needs rows, and as many of each column")
    scale = scale or scale_of(confidence, embeddings)
    counts = confidence_counts(confidence, scale.confidence_edges)
    return check(
        Reference(
            model=model,
            version=version,
            labels=labels,
            rows=len(class_id),
            class_counts=np.bincount(class_id, minlength=len(labels)),
            confidence_edges=scale.confidence_edges,
            confidence_counts=counts,
            embedding_codec=embedding_codec,
            embedding_unit=scale.embedding_unit,
            embedding_sum=fixed_point.codes(embeddings, scale.embedding_unit).sum(axis=0, dtype=np.int64),
            embedding_outer=fixed_point.outer_sum(embeddings, scale.embedding_unit),
        )
    )


def confidence_counts(confidence: Floats, edges: Doubles) -> Ints:
    """(16,) int64: how many of `confidence`, shape (n,), fall into each bin."""
    return np.bincount(confidence_bin(confidence, edges), minlength=CONFIDENCE_BINS)


def confidence_bin(confidence: Floats, edges: Doubles) -> Ints:
    """(n,) int64 in 0 … 15: the bin of each confidence; an edge belongs to the bin above it."""
    return np.searchsorted(edges, confidence.astype(np.float64), side="right")


def merge(a: Reference, b: Reference) -> Reference:
    """The reference of the rows of both; exact, and the same in any order.

    Raises:
        BundleError: they are of different models, or count on different scales.
    """
    same = (
        (a.model, a.version, a.labels, a.embedding_codec) == (b.model, b.version, b.labels, b.embedding_codec)
        and a.embedding_unit == b.embedding_unit
        and np.array_equal(a.confidence_edges, b.confidence_edges)
        and a.dims == b.dims
    )
    if not same:
        raise BundleError(f"references of {a.model} {a.version} and {b.model} {b.version} count on different scales")
    return replace(
        a,
        rows=a.rows + b.rows,
        class_counts=a.class_counts + b.class_counts,
        confidence_counts=a.confidence_counts + b.confidence_counts,
        embedding_sum=a.embedding_sum + b.embedding_sum,
        embedding_outer=a.embedding_outer + b.embedding_outer,
    )


def check(reference: Reference) -> Reference:
    """The reference itself, once it is known to be possible.

    Raises:
        BundleError: its counts do not add up, or a number can't be.
    """
    for ok, what in _demands(reference):
        if not ok:
            raise BundleError(f"reference of {reference.model} {reference.version}: {what}")
    return reference


def _demands(r: Reference) -> tuple[tuple[bool, str], ...]:
    """What a reference must fulfil, each with what to say where it does not."""
    edges, d = r.confidence_edges, r.dims
    return (
        (0 < r.rows < 2**35, "rows must be 1 or more"),
        (r.class_counts.shape == (len(r.labels),), "class_counts needs one count a label"),
        (_add_up(r.class_counts, r.rows), "class_counts do not add up to rows"),
        (r.confidence_counts.shape == (CONFIDENCE_BINS,), "confidence_counts must be 16"),
        (_add_up(r.confidence_counts, r.rows), "confidence_counts do not add up to rows"),
        (edges.shape == (CONFIDENCE_BINS - 1,) and _rising(edges), "confidence_edges must be 15, rising in [0, 1]"),
        (d <= MAX_DIMS, f"an embedding of {d} values; drift compares up to {MAX_DIMS}: use codec pca-i8"),
        ((d == 0) == (r.embedding_codec is Codec.NONE), "the embedding and its codec do not go together"),
        (bool(np.isfinite(r.embedding_unit)) and r.embedding_unit > 0, "embedding_unit must be above 0"),
        (r.embedding_outer.shape == (d, d) and _possible_moments(r), "the moments of the embedding can't be"),
    )


def _add_up(counts: Ints, rows: int) -> bool:
    return bool((counts >= 0).all()) and int(counts.sum()) == rows


def _rising(edges: Doubles) -> bool:
    return bool(((edges >= 0) & (edges <= 1)).all() and (np.diff(edges) >= 0).all())


def _possible_moments(r: Reference) -> bool:
    """Whether no value is beyond the codes and no variance below 0 (but for rounding)."""
    squares = r.embedding_outer.diagonal().astype(np.float64)
    within = np.abs(r.embedding_sum) <= r.rows * fixed_point.MAX_CODE
    spread = squares * r.rows >= r.embedding_sum.astype(np.float64) ** 2 * (1 - 1e-9)
    return bool(within.all() and spread.all())
