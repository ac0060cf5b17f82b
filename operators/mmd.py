"""Maximum mean discrepancy of embeddings, from sums of random Fourier features.

It is the distance of two means in the space of a Gaussian kernel (Gretton et al., 2012, JMLR). That kernel is
the mean of φ(x) · φ(y) over features φ(x) = √2 cos(w·x + b), with w drawn from its spectrum (Rahimi and Recht,
2007, NeurIPS): so m sums of a window, and m of the reference, are enough, and rows are not needed again.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SettingsError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_DRAWS: Final = 10_000
_LEAST_LEVEL: Final = 0.005


def frequencies(dims: int, m: int, seed: int = 0, bandwidth: float | None = None) -> tuple[Doubles, Doubles]:
    """Frequencies w, shape (r, m), in radians for each standard deviation, and phases b, shape (m,), in radians.

    They make the kernel exp(-‖x - y‖² / 2σ²). Without a bandwidth σ is √(2r), the root mean square distance of
    two rows of the reference in standardised coordinates; the median distance, which is commonly taken, is near it.

    Args:
        dims: r, coordinates of a row, at least 1.
        m: how many features.
        seed: of the draw.
        bandwidth: σ in standard deviations, above 0.

    Raises:
        SettingsError: dims or bandwidth out of range.
    """
    if dims < 1:
        raise SettingsError("maximum mean discrepancy needs at least one coordinate")
    sigma = math.sqrt(2 * dims) if bandwidth is None else bandwidth
    if not 0 < sigma < math.inf:
        raise SettingsError(f"a bandwidth of {sigma:g} standard deviations is not above 0")
    rng = np.random.default_rng(seed)
    return rng.normal(size=(dims, m)) / sigma, rng.uniform(0, 2 * math.pi, m)


def maximum_mean_discrepancy(
    sums: Ints, events: Ints, reference_sums: Ints, reference_events: int, unit: float
) -> Doubles:
    """Distance of the windows' mean features from the reference's, (…,) float64, in [0, 2·√2]; nan without events.

    √(1/m · Σ (μ - μ_ref)²). Where nothing drifts it is not 0 but near √((1/n + 1/N) · variance): see `null_interval`.

    Args:
        sums: (…, m) sums of features over the events of windows, in units.
        events: (…,) how many.
        reference_sums: (m,) of the reference.
        reference_events: how many, at least 1.
        unit: what one step of a sum is worth.
    """
    seen = np.maximum(events, 1)[..., None]
    apart = (sums / seen - reference_sums / reference_events) * unit
    distance = np.sqrt((apart**2).mean(axis=-1))
    return np.where(events > 0, distance, np.nan)


def null_interval(
    reference_sums: Ints,
    reference_products: Ints,
    reference_events: int,
    events: Ints,
    unit: float,
    level: float = 0.01,
) -> Doubles:
    """(…, 2): low and high, outside which the discrepancy lies with chance `level` where nothing drifts.

    The means of both are nearly normal with the covariance of the features in the reference, so the square is a sum
    of χ² of one degree, each times an eigenvalue of it over m, and all of it times 1/n + 1/N (Gretton et al.,
    2012). Features are bounded, so this holds in windows of 30 events too. Nan without events.

    Args:
        reference_sums: (m,) in units.
        reference_products: (m, m) sums of products of two features, in units².
        reference_events: N, at least 2.
        events: (…,) n of windows.
        unit: what one step of a sum is worth.
        level: chance to lie outside, in [0.005, 0.5].

    Raises:
        SettingsError: the level is out of range.
    """
    if not _LEAST_LEVEL <= level <= 0.5:
        raise SettingsError(f"a null interval's level of {level:g} is not in [{_LEAST_LEVEL}, 0.5]")
    of_one = _quantiles(reference_sums.tobytes(), reference_products.tobytes(), reference_events, level)
    both = np.where(events > 0, 1 / np.maximum(events, 1) + 1 / reference_events, np.nan)
    interval: Doubles = np.sqrt(both)[..., None] * of_one * unit
    return interval


@lru_cache(maxsize=256)
def _quantiles(sums: bytes, products: bytes, events: int, level: float) -> Doubles:
    """(2,) quantiles of √(Σ λ χ² / m), with λ the eigenvalues of the features' covariance."""
    mean = np.frombuffer(sums, np.int64) / events
    about_zero = np.frombuffer(products, np.int64).reshape(len(mean), -1) / events
    covariance = (about_zero - np.outer(mean, mean)) * (events / max(events - 1, 1))
    values = np.clip(np.linalg.eigvalsh(covariance), 0.0, None)
    squares = _squares(len(mean)) @ values / len(mean)
    ends: Doubles = np.sqrt(np.quantile(squares, (level / 2, 1 - level / 2)))
    return ends


@lru_cache(maxsize=4)
def _squares(m: int) -> Doubles:
    """(draws, m) of χ² with one degree of freedom."""
    return np.random.default_rng(0).chisquare(1, (_DRAWS, m))
