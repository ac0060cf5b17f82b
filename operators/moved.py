"""Moved: what of the features has changed, where to and by how much, for people to read.

The evidence has said that something moved; this says what, from the counts since the onset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, Kind, places
from operators.fleet_control import weights
from operators.statistics import smoothed_shares
from operators.tilts import scores

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedBin:
    """A bin, or class, that holds more or fewer events than it should.

    Attributes:
        place: its index among the feature's bins.
        expected, observed: shares in the reference and since the onset, smoothed.
        log_ratio: ln(observed / expected) in nats; above 0 where it grew.
        z: observed - expected in standard errors, those of the reference included.
    """

    place: int
    expected: float
    observed: float
    log_ratio: float
    z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How one feature differs from its reference.

    Attributes:
        name: of the feature.
        share: of all evidence, in [0, 1]; those of all features add up to 1 where there is any.
        mean_shift: of the mid-rank, in the reference's standard deviations of it; above 0 towards higher bins. None of
            a nominal feature.
        spread_ratio: standard deviation of the mid-rank over that of the reference; None of a nominal feature.
        grown, shrunk: bins that moved most, the largest |z| first, at most `MOST` of each.
    """

    name: str
    share: float
    mean_shift: float | None
    spread_ratio: float | None
    grown: tuple[MovedBin, ...]
    shrunk: tuple[MovedBin, ...]


def moved(features: Sequence[Feature], reference: Ints, stack: Ints, evidence: Doubles) -> tuple[Moved, ...]:
    """Every feature that was counted in both, the one with the most evidence first; of equal ones as they stand.

    Args:
        features: F of them, as they stand in a stack.
        reference: (width,) counts.
        stack: (width,) counts since the onset, all windows together.
        evidence: (F,) ln M of each feature.
    """
    shares = _evidence_shares(features, evidence)
    counted = [
        (share, feature, reference[place], stack[place])
        for share, feature, place in zip(shares.tolist(), features, places(features), strict=True)
        if reference[place].any() and stack[place].any()
    ]
    return tuple(_moved(*one) for one in sorted(counted, key=lambda one: -one[0]))


def _evidence_shares(features: Sequence[Feature], evidence: Doubles) -> Doubles:
    """(F,) each feature's part of the weighted mean of M."""
    largest = evidence.max()
    if largest == -np.inf:
        return np.zeros(len(features))
    parts = np.exp(evidence - largest) * weights(features)
    shares: Doubles = parts / parts.sum()
    return shares


def _moved(share: float, feature: Feature, reference: Ints, counts: Ints) -> Moved:
    bins = _bins(reference, counts)
    by_size = sorted(bins, key=lambda one: -abs(one.z))
    mean, spread = _moments(reference, counts) if feature.kind is Kind.ORDINAL and feature.bins > 1 else (None, None)
    return Moved(
        name=feature.name,
        share=share,
        mean_shift=mean,
        spread_ratio=spread,
        grown=tuple(one for one in by_size if one.z > 0)[:MOST],
        shrunk=tuple(one for one in by_size if one.z < 0)[:MOST],
    )


def _moments(reference: Ints, counts: Ints) -> tuple[float, float]:
    """Mean and standard deviation of the standardised mid-rank, which are 0 and 1 in the reference."""
    rank, shares = scores(smoothed_shares(reference))[0], counts / counts.sum()
    mean = float((rank * shares).sum())
    return mean, float(np.sqrt(((rank - mean) ** 2 * shares).sum()))


def _bins(reference: Ints, counts: Ints) -> list[MovedBin]:
    """All bins; z is that of two proportions with their pooled variance (Fleiss, 1981)."""
    expected, observed = smoothed_shares(reference), smoothed_shares(counts)
    pooled = smoothed_shares(reference + counts)
    error = np.sqrt(pooled * (1 - pooled) * (1 / reference.sum() + 1 / counts.sum()))
    z = np.divide(observed - expected, error, out=np.zeros_like(error), where=error > 0)
    columns = (expected, observed, np.log(observed / expected), z)
    return [
        MovedBin(place=place, expected=e, observed=o, log_ratio=ratio, z=score)
        for place, (e, o, ratio, score) in enumerate(zip(*(column.tolist() for column in columns), strict=True))
    ]
