"""How far a window lies from the reference: one number for each statistic.

All take counts of many windows at once, along the leading axes, and none has a fixed
threshold: what is large depends on the rows of window and reference, see `nulls`.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Counts = NDArray[np.int64] | Doubles

PSEUDO_COUNT: Final = 0.5


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


def jensen_shannon(reference: Counts, window: Counts) -> Doubles:
    """Jensen-Shannon divergence of counts in the same bins, in nats, in [0, ln 2].

    ½ KL(p | m) + ½ KL(q | m) with m = (p + q) / 2, and p and q the smoothed shares of window and
    reference (Lin, 1991). Not its square root, which other tools call a distance. Near 0 it is an eighth of
    `population_stability`. For example, of counts (50, 50) and (80, 20) it is 0.05.

    Args:
        reference: (…, bins) counts.
        window: (…, bins) counts, broadcast against the reference.
    """
    p, q = smoothed_shares(window), smoothed_shares(reference)
    mixed = (p + q) / 2
    divergence = (p * np.log(p / mixed) + q * np.log(q / mixed)).sum(axis=-1) / 2
    bounded: Doubles = np.clip(divergence, 0.0, math.log(2))
    return bounded


def kolmogorov_smirnov(reference: Counts, window: Counts) -> Doubles:
    """Largest distance of the two cumulative distributions at the bin edges, in [0, 1].

    The two-sample statistic of Kolmogorov (1933) and Smirnov (1939), of ordered bins: exact for
    values that only change between bins, and never larger than that of the unbinned values.

    Args:
        reference: (…, bins) counts, at least one row.
        window: (…, bins) counts, at least one row.
    """
    distance: Doubles = np.abs(_cumulative(window) - _cumulative(reference)).max(axis=-1)
    return distance


def mid_ranks(reference: Counts) -> Doubles:
    """Where each bin stands in the reference: the share below it and half its own, last axis, in [0, 1].

    The ridit of a bin (Bross, 1958, Biometrics). Its mean over the reference is ½, whatever is measured.

    Args:
        reference: (…, bins) counts, at least one row.
    """
    cumulative = _cumulative(reference)
    below = np.concatenate([np.zeros_like(cumulative[..., :1]), cumulative[..., :-1]], axis=-1)
    ranks: Doubles = (cumulative + below) / 2
    return ranks


def wasserstein(reference: Counts, window: Counts) -> Doubles:
    """How far rows have to be moved to turn window into reference, in ranks of the reference, in [0, ½].

    The distance of order 1 (Kantorovich, 1942; Vaserstein, 1969) of ordered bins, Σ |P - Q| over the gaps between
    bins, with each bin at its `mid_ranks`. So it has no unit of its own: 0.1 means that the average row moved by a
    tenth of the reference. It is not symmetric, and bins that lie together beyond the reference are one to it.
    For example, of counts (50, 50) and (80, 20) it is 0.15: 30 % of the rows moved by half the reference.

    Args:
        reference: (…, bins) counts, at least one row.
        window: (…, bins) counts, at least one row.
    """
    apart = np.abs(_cumulative(window) - _cumulative(reference))[..., :-1]
    distance: Doubles = (apart * np.diff(mid_ranks(reference), axis=-1)).sum(axis=-1)
    return distance


def _cumulative(counts: Counts) -> Doubles:
    """Share of the rows in each bin or below it, last axis."""
    running = np.cumsum(counts.astype(np.float64), axis=-1)
    shares: Doubles = running / running[..., -1:]
    return shares


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
