"""Thresholds: how large a statistic gets where nothing has drifted.

The null is resampled: a reference of its own size and a window of n rows are both
drawn anew from what the reference says, since the reference is itself a sample and
its error stands in every window. Counts are multinomial. Mean embeddings are Gaussian
with the reference's covariance, whatever the shape of a single embedding, because they are
means of hundreds of rows (central limit theorem) and the reference keeps moments, not rows; the
covariance is a sample too, which makes the squared shift F-distributed (Hotelling, 1931).

An alarm asks for several windows in a row. They share the reference, so they are not
independent: with n rows in a window and N in the reference, the correlation is
ρ = n / (n + N), and all k of them exceed a level a together with a chance near
a^(k / (1 + (k-1)ρ)) (coefficient of tail dependence; Ledford and Tawn, 1996, Biometrika). The level
is lowered so that this chance is what it would be for independent windows.
"""

import hashlib
import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.reference import Reference
from operators.statistics import (
    Counts,
    Statistic,
    kolmogorov_smirnov,
    population_stability,
    principal_directions,
    smoothed_shares,
)
from schemas.errors import SettingsError

Doubles = NDArray[np.float64]

DRAWS: Final = 16_000
MAX_LEVEL: Final = 0.25
_TAIL_DRAWS: Final = 10
_GRID: Final = 2**0.25
_BLOCK: Final = 1 << 20


def level_for(
    false_alarms_per_day: float,
    windows_per_day: float,
    cohorts: int,
    statistics: int = 3,
    consecutive: int = 2,
    draws: int = DRAWS,
) -> float:
    """The chance α with which one window may exceed its threshold, where nothing drifts.

    α = (rate / tests)^(1/consecutive) with tests = windows · cohorts · statistics a day, at most 0.25. Then the
    expected number of alarms a day is the rate, if rows are independent draws: expectations add up even though
    the statistics of one window depend on each other, and thresholds allow for the shared reference. Each window that
    completes a run of `consecutive` counts as an alarm.

    Args:
        false_alarms_per_day: for everything that is watched, together; above 0.
        windows_per_day: of one cohort; one day over the window's step.
        cohorts: how many things are watched, such as sites.
        statistics: how many are compared in each window.
        consecutive: windows in a row that must exceed.
        draws: resamples that a threshold will be made of.

    Raises:
        SettingsError: one of them is not above 0, or α is too small for so few draws.
    """
    if not min(false_alarms_per_day, windows_per_day, cohorts, statistics, consecutive) > 0:
        raise SettingsError("false alarms, windows, cohorts, statistics and consecutive must all be above 0")
    tests = windows_per_day * cohorts * statistics
    alpha = float(min((false_alarms_per_day / tests) ** (1 / consecutive), MAX_LEVEL))
    _check_level(alpha, draws)
    return alpha


def threshold(
    reference: Reference, statistic: Statistic, rows: int, alpha: float, consecutive: int = 2, draws: int = DRAWS
) -> float:
    """The value that `statistic` of a window of `rows` rows exceeds with chance α where nothing drifts.

    Deterministic, and remembered: it is drawn once for each step of a geometric grid of rows. Rows are rounded down,
    where thresholds are higher (by up to 9 %), so the error is towards fewer alarms.

    Args:
        reference: what nothing-drifts means.
        statistic: which one; `embedding_mean` needs a reference with an embedding.
        rows: in the window, at least 1.
        alpha: in (0, 0.25], as `level_for` gives it.
        consecutive: windows in a row that an alarm needs.
        draws: resamples, at least 10/α.

    Raises:
        SettingsError: α is out of range, or too small for so few draws.
    """
    _check_level(alpha, draws)
    return _threshold(reference, statistic, _on_grid(rows), alpha, consecutive, draws)


def _check_level(alpha: float, draws: int) -> None:
    if not 0 < alpha <= MAX_LEVEL:
        raise SettingsError(f"a level of {alpha:g} is not in (0, {MAX_LEVEL}]")
    if draws * alpha < _TAIL_DRAWS * (1 - 1e-9):
        wanted = math.ceil(_TAIL_DRAWS / alpha)
        raise SettingsError(
            f"a level of {alpha:.2g} for one window needs {wanted} draws, not {draws}: "
            "draw more, allow more false alarms a day, or use longer windows"
        )


@lru_cache(maxsize=4096)
def _threshold(
    reference: Reference, statistic: Statistic, rows: int, alpha: float, consecutive: int, draws: int
) -> float:
    shared = rows / (rows + reference.rows)
    level = alpha ** (1 + (consecutive - 1) * shared)
    return _exceeded_with(level, null(reference, statistic, rows, draws), statistic)


def _on_grid(rows: int) -> int:
    """The largest ⌊2^(j/4)⌋ that is not above `rows`."""
    step = math.floor(math.log(rows, _GRID) + 1e-9) + 1
    return next(point for j in (step, step - 1, 0) if (point := math.floor(_GRID**j + 1e-9)) <= rows)


def _exceeded_with(level: float, values: Doubles, statistic: Statistic) -> float:
    """The quantile 1 - level of drawn values; beyond the last ten, on the tail's exponential.

    The logarithm of the chance falls no slower than linearly in the index, and in the square of the other
    two (all are near a χ² law), so that carrying on straight gives a threshold that is rather too high.
    """
    energies = np.sort(values if statistic is Statistic.PREDICTION_MIX else values**2)
    inner = _TAIL_DRAWS / len(energies)
    energy = _upper(energies, max(level, inner))
    if level < inner:
        energy += (energy - _upper(energies, 10 * inner)) / math.log(10) * math.log(inner / level)
    return energy if statistic is Statistic.PREDICTION_MIX else math.sqrt(energy)


def _upper(ascending: Doubles, share: float) -> float:
    """The smallest drawn value that at most this share of the draws exceed."""
    return float(ascending[len(ascending) - 1 - math.floor(share * len(ascending) + 1e-9)])


def null(reference: Reference, statistic: Statistic, rows: int, draws: int) -> Doubles:
    """(draws,) values of `statistic` where reference and window are both drawn from the reference.

    Args:
        reference: what is resampled.
        statistic: which one.
        rows: of a window.
        draws: how many.
    """
    rng = np.random.default_rng(_seed(reference, statistic))
    if statistic is Statistic.EMBEDDING_MEAN:
        return _null_shift(reference, rows, draws, rng)
    counts = reference.class_counts if statistic is Statistic.PREDICTION_MIX else reference.confidence_counts
    block = max(_BLOCK // len(counts), 1)
    parts = [min(block, draws - at) for at in range(0, draws, block)]
    return np.concatenate([_null_counts(counts, reference.rows, statistic, rows, part, rng) for part in parts])


def _null_counts(
    counts: Counts, size: int, statistic: Statistic, rows: int, draws: int, rng: np.random.Generator
) -> Doubles:
    shares = smoothed_shares(counts)  # a class the reference never saw may still come
    references, windows = rng.multinomial(size, shares, draws), rng.multinomial(rows, shares, draws)
    if statistic is Statistic.PREDICTION_MIX:
        return population_stability(references, windows)
    return kolmogorov_smirnov(references, windows)


def _null_shift(reference: Reference, rows: int, draws: int, rng: np.random.Generator) -> Doubles:
    """√((1/n + 1/N) · (N-1)/(N-r) · F(r, N-r)): Hotelling's two samples, the covariance from one of them."""
    size, r = reference.rows, len(directions(reference))
    shift = (1 / rows + 1 / size) * (size - 1) / (size - r) * rng.f(r, size - r, draws)
    return np.sqrt(shift)


@lru_cache(maxsize=256)
def directions(reference: Reference) -> Doubles:
    """(r, d): the scaled principal directions of the reference's embedding, see `principal_directions`.

    At most 16, and no more than an eighth of the rows, so that each variance is known well enough to divide by.
    """
    return principal_directions(reference.embedding_covariance, most=min(16, reference.rows // 8))


def _seed(reference: Reference, statistic: Statistic) -> int:
    text = f"{reference.model}/{reference.version}/{statistic}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
