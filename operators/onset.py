"""Onset: since when a cohort has drifted."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """An estimate of the first window after a change.

    Attributes:
        window: its place among the windows that were looked at; 0 may also mean "before those".
        earliest, latest: the change lies between them with the stated probability, both included.
        nats: the evidence of the windows from `window` on.
    """

    window: int
    earliest: int
    latest: int
    nats: float


def onset(log_ratios: Doubles, coverage: float = COVERAGE) -> Onset:
    """Where the change most likely began, of windows in the order of time.

    The start s with the largest sum of log-likelihood ratios from s to the last window: the estimate of maximum
    likelihood (Hinkley, 1970, Biometrika), where CUSUM was last at 0 (Page, 1954); of equal ones the latest. The
    range is that of the posterior of s, each start being as likely beforehand: the terms that a
    Shiryaev-Roberts statistic adds up.

    Args:
        log_ratios: (T,) nats of each window under the tilt that explains the change best, T ≥ 1.
        coverage: probability that the range holds the change, in (0, 1), if windows are as the tilt says.
    """
    sums = np.cumsum(log_ratios[::-1])[::-1]
    window = len(sums) - 1 - int(sums[::-1].argmax())
    below = np.cumsum(np.exp(sums - sums.max()))
    below /= below[-1]
    tail = (1 - coverage) / 2
    earliest, latest = np.searchsorted(below, (tail, 1 - tail)).tolist()
    return Onset(
        window=window, earliest=min(earliest, window), latest=max(latest, window), nats=math.fsum(log_ratios[window:])
    )


def leading(log_ratios: Doubles, log_weights: Doubles) -> int:
    """The tilt that explains the last windows best: with the largest CUSUM plus its weight; of equal ones the first.

    Args:
        log_ratios: (T, k) nats of each window and tilt, T ≥ 1.
        log_weights: (k,) logarithm of each tilt's weight.
    """
    largest = np.cumsum(log_ratios[::-1], axis=0).max(axis=0)
    return int((largest + log_weights).argmax())
