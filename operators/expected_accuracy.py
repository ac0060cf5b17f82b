"""Expected accuracy: how often the model is right in a window, from its confidence, without labels.

The accuracy of each confidence bin is known from the reference, and a window is a mix of these bins (confidence-based
performance estimation, CBPE: NannyML, 2022; Białek et al., 2025, NeurIPS). It holds as long as a row of a given
confidence is right as often as it was: through healthy operation, and where easy and hard rows come in another
proportion. It does not see that a class now means something else, and it is too high where inputs are so broken that
the model is confidently wrong. Labels, where there are some, put it right: `anchored`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BundleError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR_ROWS: Final = 2.0
"""Rows of a bin's own confidence that are added to what the reference saw in it."""

MODEL_ERROR: Final = 0.1
"""Standard deviation by which expected accuracy may be off where the world has changed, before labels say."""

POOLED_ROWS: Final = 2.0
"""Labels of a bin that weigh as much as what all other labels say of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Accuracies:
    """How often a model is right in each bin of its confidence; B bins in K blocks.

    Attributes:
        bins: (B,) float64 in (0, 1), not falling.
        starts: (K,) int64: the first bin of each block of bins that were made equal.
        variances: (K,) float64: squared standard error of each block.
    """

    bins: Doubles
    starts: Ints
    variances: Doubles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """Expected accuracy of windows.

    Attributes:
        value: (…,) float64 in [0, 1]; nan without rows.
        error: (…,) float64: standard error; nan without rows.
    """

    value: Doubles
    error: Doubles


def accuracies(counts: Ints, correct: Ints, edges: Doubles) -> Accuracies | None:
    """The accuracy of each confidence bin, None where no labels are known.

    Each bin starts with `PRIOR_ROWS` rows that are right as often as the middle of the bin says: confidence is
    calibrated when a bundle is built. Then accuracy is made not to fall with confidence.

    Args:
        counts: (B,) labelled rows of the reference in each bin.
        correct: (B,) those of them that were right; empty where nobody knows.
        edges: (B - 1,) inner edges of the bins, in [0, 1], not falling.

    Raises:
        BundleError: more rows are right than there are.
    """
    if not len(correct):
        return None
    if correct.shape != counts.shape or (correct < 0).any() or (correct > counts).any():
        raise BundleError("a reference has more correct rows in a confidence bin than rows; build the bundle again")
    middles = (np.concatenate([[0.0], edges]) + np.concatenate([edges, [1.0]])) / 2
    rows = counts.astype(np.float64) + PRIOR_ROWS
    blocks = pool_adjacent_violators((correct + PRIOR_ROWS * middles) / rows, rows)
    starts = np.array([start for start, _, _ in blocks])
    values, weights = (np.array([block[part] for block in blocks]) for part in (1, 2))
    bins = np.repeat(values, np.diff(starts, append=len(counts)))
    return Accuracies(bins=bins, starts=starts, variances=values * (1 - values) / (weights + 1))


def pool_adjacent_violators(values: Doubles, weights: Doubles) -> list[tuple[int, float, float]]:
    """The nearest values that do not fall, in blocks: (first place, value, weight) of each.

    Least weighted squares; neighbours that fall, or are equal, become one block with their mean
    (Ayer et al., 1955, Annals of Mathematical Statistics).
    """
    blocks: list[tuple[int, float, float]] = []
    for place, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        block = (place, value, weight)
        while blocks and blocks[-1][1] >= block[1]:
            start, below, mass = blocks.pop()
            total = mass + block[2]
            block = (start, (below * mass + block[1] * block[2]) / total, total)
        blocks.append(block)
    return blocks


def expected_accuracy(known: Accuracies, counts: Ints) -> Expected:
    """Expected accuracy of windows, from their confidence bins alone.

    The error has two parts: that the rows of a window are right or wrong by chance, and that the reference's bins are
    known from so many rows only. It does not hold that the world may have changed.

    Args:
        known: of the reference.
        counts: (…, B) rows of windows in each bin.
    """
    rows = counts.sum(axis=-1)
    shares = counts / np.maximum(rows, 1)[..., None]
    by_chance = (shares * (known.bins * (1 - known.bins))).sum(axis=-1) / np.maximum(rows, 1)
    by_block = np.add.reduceat(shares, known.starts, axis=-1)
    variance = by_chance + (by_block**2 * known.variances).sum(axis=-1)
    return Expected(
        value=np.where(rows > 0, (shares * known.bins).sum(axis=-1), np.nan),
        error=np.where(rows > 0, np.sqrt(variance), np.nan),
    )


def anchored(known: Accuracies, counts: Ints, labelled: Ints, correct: Ints) -> Expected:
    """Expected accuracy put right by labels, where there are some; as without them where there are none.

    The labelled rows say by how much each bin's accuracy is off, weighted by the window's bins, so that it hardly
    matters that doubtful rows are labelled more often (difference estimator: Cassel, Särndal and Wretman, 1976,
    Biometrika; post-stratified). That and the expectation are weighted by their precision, where the expectation may
    be off by `MODEL_ERROR`, or by as much as the labels show beyond their own error. With every row labelled the
    value is the share that was right, and the error 0.

    Args:
        known: of the reference.
        counts: (…, B) rows of windows in each bin.
        labelled: (…, B) those of them whose label came.
        correct: (…, B) those of them that were right, at most `labelled`.
    """
    alone = expected_accuracy(known, counts)
    off, variance = _residual(known, counts, labelled, correct)
    prior = alone.error**2 + np.maximum(MODEL_ERROR**2, off**2 - variance)
    weight = prior / (prior + variance)
    use = labelled.any(axis=-1) & counts.any(axis=-1)
    return Expected(
        value=np.where(use, np.clip(alone.value + weight * off, 0.0, 1.0), alone.value),
        error=np.where(use, np.sqrt(weight * variance), alone.error),
    )


def _residual(known: Accuracies, counts: Ints, labelled: Ints, correct: Ints) -> tuple[Doubles, Doubles]:
    """(…,) by how much labels say that the expectation is off, and its variance.

    Each bin's own labels are drawn towards the mean of all of them, as by `POOLED_ROWS` further labels, the less
    the more of the bin's rows are labelled (partial pooling: Fay and Herriot, 1979, JASA).
    """
    shares = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    unknown = np.where(counts > 0, np.clip(1 - labelled / np.maximum(counts, 1), 0.0, 1.0), 1.0)
    rows = labelled + POOLED_ROWS * unknown
    labels = np.maximum(labelled.sum(axis=-1), 1)
    lent = (shares * POOLED_ROWS * unknown / rows).sum(axis=-1) / labels
    weights = shares / rows + lent[..., None]  # of each label
    off = (weights * (correct - labelled * known.bins)).sum(axis=-1)
    right = (correct.sum(axis=-1) + 0.5) / (labels + 1)
    return off, right * (1 - right) * (weights**2 * labelled * unknown).sum(axis=-1)
