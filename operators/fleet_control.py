"""Fleet control: many features and many cohorts, and still one stated false-alarm interval.

Within a window, Shiryaev-Roberts statistics M of features and cohorts may depend on each other in any way, so long
as no window depends on those before it: what holds of each one's expectation, E[M_T] ≤ E[T] for every stopping time T
where nothing changes, holds of every weighted mean (Shin, Ramdas and Rinaldo, 2023, "E-detectors"). Nothing is paid
for their number but the weight.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


def combine(evidence: Doubles, features: Sequence[Feature]) -> Doubles:
    """(…,) nats: the logarithm of the mean of M over the features, by weight.

    Each group has the same weight, split evenly among its features.

    Args:
        evidence: (…, F) ln M.
        features: F of them.
    """
    combined: Doubles = np.logaddexp.reduce(evidence + np.log(weights(features)), axis=-1)
    return combined


def weights(features: Sequence[Feature]) -> Doubles:
    """(F,) above 0, their sum is 1."""
    sizes = Counter(feature.group for feature in features)
    return np.array([1 / (len(sizes) * sizes[feature.group]) for feature in features])


def alarmed(log_m: Doubles, interval_windows: float, cohorts: int | None = None) -> Bools:
    """(C,): which cohorts are in alarm, with at most one false alarm in `interval_windows` windows of the whole fleet.

    The k cohorts with the largest M, for the largest k with M_(k) ≥ A·C/k: the rule of e-BH (Wang and Ramdas, 2022,
    Journal of the Royal Statistical Society B), on Shiryaev-Roberts statistics. Proof of the interval: if k cohorts
    have M ≥ A·C/k, then the mean of M over all C cohorts is at least k/C · A·C/k = A, since no M is below 0. That mean
    is an e-detector, being a mean of e-detectors. So the first alarm does not come before the mean
    reaches A, and A ≤ E[mean at that time] ≤ E[that time], in windows.

    Args:
        log_m: (C,) ln M, as `combine` gives it.
        interval_windows: A, above 0.
        cohorts: how many are watched, if more than have spoken; those have M = 0.
    """
    return _largest(log_m, math.log(interval_windows), cohorts or len(log_m))


def e_bh(log_e: Doubles, level: float) -> Bools:
    """(C,): which hypotheses are rejected, with a false-discovery rate of at most `level`, whatever their dependence.

    The k with the largest e-values, for the largest k with e_(k) ≥ C / (level·k) (Wang and Ramdas, 2022, e-BH). An
    e-value has a mean of at most 1 where its hypothesis holds; M_T / T of a cohort is one, for a T
    fixed beforehand (see `e_values`).

    Args:
        log_e: (C,) logarithms of e-values.
        level: in (0, 1].
    """
    return _largest(log_e, -math.log(level), len(log_e))


def e_values(log_m: Doubles, windows: int | NDArray[np.int64]) -> Doubles:
    """Logarithms of M_T / T: e-values after T windows, since E[M_T] ≤ T where nothing changes.

    Args:
        log_m: (…,) ln M after the last window.
        windows: T of each, at least 1.
    """
    return log_m - np.log(windows)


def _largest(log_e: Doubles, log_limit: float, cohorts: int) -> Bools:
    """The k largest, for the largest k with log_e_(k) ≥ log_limit + ln(cohorts / k)."""
    descending = np.sort(log_e)[::-1]
    limits = log_limit + np.log(cohorts / np.arange(1, len(log_e) + 1))
    passed = np.flatnonzero(descending >= limits)
    if not len(passed):
        return np.zeros(len(log_e), np.bool_)
    chosen: Bools = log_e >= descending[passed[-1]]
    return chosen
