"""Fit: the scale that suits the validation rows of a model, and the reference that they make on it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.panes import Columns
from operators.reference import Reference, build
from operators.scale import BINS, MAX_SLOTS, Scale
from pipelines.models.fit_space import fit_space
from schemas.embedding import Codec
from schemas.errors import BundleError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_FITTED: Final = 3
"""The space is fitted to one row in so many; the others are counted on it."""

_ENOUGH: Final = 90  # with fewer rows all are used for both
_SHARES: Final = np.arange(1, BINS) / BINS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What the server would receive of n validation samples, n ≥ 1.

    Attributes:
        class_id: (n,) predicted classes.
        confidence: (n,) calibrated probability of the best class.
        second: (n,) that of the next; 0 where the device tells one class only.
        entropy: (n,) nats, over all classes.
        embeddings: (n, d) after the codec's round trip; (0, 0) without one.
        codec: of the embeddings.
    """

    class_id: NDArray[np.integer]
    confidence: Floats
    second: Floats
    entropy: Floats
    embeddings: Floats
    codec: Codec


def accept(
    *,
    model: str,
    version: int,
    labels: tuple[str, ...],
    rows: Rows,
    truth: Ints | None = None,
    scale: Scale | None = None,
) -> Reference:
    """The reference of validation rows.

    Args:
        model: name of the bundle.
        version: its counter.
        labels: names of the classes.
        rows: what the model says.
        truth: (n,) true classes, where they are known.
        scale: of the references that this one will be merged with; fitted to the rows where not given.

    Raises:
        BundleError: no rows, or columns that do not fit each other.
    """
    n = len(rows.class_id)
    lengths = {len(rows.confidence), len(rows.second), len(rows.entropy), n if truth is None else len(truth)}
    if n == 0 or lengths != {n} or len(rows.embeddings) not in (0, n):
        raise BundleError(f"{model} {version}: a reference needs rows, and as many of each column")
    unseen = None
    if scale is None:
        unseen = np.arange(n) % _FITTED > 0 if n >= _ENOUGH else None
        scale = fit(labels, rows, None if unseen is None else ~unseen)
    return build(model=model, version=version, scale=scale, columns=columns_of(rows, scale, unseen), truth=truth)


def fit(labels: tuple[str, ...], rows: Rows, chosen: NDArray[np.bool_] | None = None) -> Scale:
    """The scale of validation rows: edges at their quantiles, so that each bin holds as many of them as ties allow.

    Args:
        labels: names of the classes.
        rows: of validation.
        chosen: (n,) those that the space of the embeddings is fitted to; by default all.
    """
    embeddings = rows.embeddings if chosen is None or not len(rows.embeddings) else rows.embeddings[chosen]
    return Scale(
        labels=labels,
        slots=_slots(rows.class_id, len(labels)),
        confidence_edges=_edges(rows.confidence),
        margin_edges=_edges(rows.confidence - rows.second),
        entropy_edges=_edges(rows.entropy),
        space=fit_space(embeddings, rows.codec, len(labels)),
    )


def columns_of(rows: Rows, scale: Scale, unseen: NDArray[np.bool_] | None = None) -> Columns:
    """What is counted of validation rows: they took no time, and no clock could be wrong.

    Args:
        rows: of validation.
        scale: to count on.
        unseen: (n,) those that the space of the embeddings was not fitted to; by default all.
    """
    n = len(rows.class_id)
    return Columns(
        class_id=rows.class_id,
        confidence=rows.confidence,
        second=rows.second,
        entropy=rows.entropy,
        latency_us=np.zeros(n, np.int64),
        located=scale.space.locate(rows.embeddings) if scale.space else None,
        waved=np.ones(n, bool) if unseen is None else unseen,
        sound=np.ones(n, bool),
    )


def _edges(values: Floats) -> Doubles:
    # interpolation may round to a hair below its neighbour
    return np.maximum.accumulate(np.quantile(values.astype(np.float64), _SHARES))


def _slots(class_id: NDArray[np.integer], labels: int) -> Ints:
    """(labels,) the slot of each class: of its own for the 63 that are predicted most, the last for all others."""
    if labels <= MAX_SLOTS:
        return np.arange(labels)
    frequent = np.argsort(-np.bincount(class_id, minlength=labels), kind="stable")[: MAX_SLOTS - 1]
    slots = np.full(labels, MAX_SLOTS - 1)
    slots[np.sort(frequent)] = np.arange(MAX_SLOTS - 1)
    return slots
