"""How far a window lies from the reference: one number for each statistic.

All take counts or means of many windows at once, along the leading axes, and none
has a threshold: that depends on the rows of window and reference, see `calibration`.
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Counts = NDArray[np.int64] | Doubles

PSEUDO_COUNT: Final = 0.5


class Statistic(StrEnum):
    """What is compared, and with what: the name in settings, rows and SQL."""

    PREDICTION_MIX = "prediction_mix"  # population_stability of predicted classes
    CONFIDENCE = "confidence"  # kolmogorov_smirnov of the best class's probability
    EMBEDDING_MEAN = "embedding_mean"  # embedding_mean_shift


def smoothed_shares(counts: Counts) -> Doubles:
    """Shares of the bins, last axis, with half a pseudo-count in each; they sum to 1.

    Jeffreys' prior of a multinomial (Jeffreys, 1946): no bin has a share of 0, so no logarithm
    is infinite, and the result depends on how many rows there were, as it should.
    """
    padded = counts + PSEUDO_COUNT
    shares: Doubles = padded / padded.sum(axis=-1, keepdims=True)
    return shares


def population_stability(reference: Counts, window: Counts) -> Doubles:
    """Population stability index of counts in the same bins, in nats, ≥ 0.

    Σ (p - q) · ln(p / q) over the bins, with p and q the smoothed shares of window and reference:
    the sum of both Kullback-Leibler divergences (Jeffreys, 1946; Kullback and Leibler, 1951).
    It shrinks with the number of rows where nothing drifts, so a fixed limit such as 0.25 means
    something else for every window. For example, of counts (50, 50) and (80, 20) it is 0.41.

    Args:
        reference: (…, bins) counts.
        window: (…, bins) counts, broadcast against the reference.
    """
    p, q = smoothed_shares(window), smoothed_shares(reference)
    index: Doubles = ((p - q) * np.log(p / q)).sum(axis=-1)
    return index


def kolmogorov_smirnov(reference: Counts, window: Counts) -> Doubles:
    """Largest distance of the two cumulative distributions at the bin edges, in [0, 1].

    The two-sample statistic of Kolmogorov (1933) and Smirnov (1939), of ordered bins: exact for
    values that only change between bins, and never larger than that of the unbinned values.

    Args:
        reference: (…, bins) counts, at least one row.
        window: (…, bins) counts, at least one row.
    """
    p = np.cumsum(window, axis=-1) / np.sum(window, axis=-1, keepdims=True)
    q = np.cumsum(reference, axis=-1) / np.sum(reference, axis=-1, keepdims=True)
    distance: Doubles = np.abs(p - q).max(axis=-1)
    return distance


def embedding_mean_shift(means: Doubles, reference_mean: Doubles, directions: Doubles) -> Doubles:
    """How far mean embeddings lie from the reference's, in reference standard deviations, ≥ 0.

    √(1/r · Σ_k z_k²) with z_k = v_kᵀ(m - m_ref) / σ_k over the r leading principal directions: the
    root mean square of r standardised shifts, which is Mahalanobis' distance (Mahalanobis, 1936;
    Hotelling, 1931) in that subspace, over √r, so that it reads the same for any r.

    Args:
        means: (…, d) mean embeddings of windows.
        reference_mean: (d,).
        directions: (r, d) rows v_k / σ_k, as `principal_directions` gives them, r ≥ 1.
    """
    # not BLAS: it rounds otherwise for one window than for many, and a replay must give the same
    z = np.einsum("...d,rd->...r", means - reference_mean, directions)
    shift: Doubles = np.sqrt((z**2).mean(axis=-1))
    return shift


def principal_directions(covariance: Doubles, variance_share: float = 0.95, most: int = 16) -> Doubles:
    """(r, d): the leading eigenvectors of a covariance, each divided by its standard deviation.

    As many as hold `variance_share` of the variance (Jolliffe, 2002), at most `most`. Directions
    without variance are dropped: a shift there has no scale to be measured in.

    Args:
        covariance: (d, d) symmetric.
        variance_share: in (0, 1].
        most: upper limit of r.
    """
    if not covariance.size:
        return np.empty((0, 0))
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    degenerate = values <= max(values[0], 0.0) * 1e-9
    held = np.cumsum(np.clip(values, 0.0, None))
    needed = int(np.searchsorted(held, variance_share * held[-1] * (1 - 1e-12))) + 1
    r = min(needed, most, int((~degenerate).sum()))
    return np.asarray(vectors[:, :r].T / np.sqrt(values[:r])[:, None])
