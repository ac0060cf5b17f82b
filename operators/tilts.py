"""Tilts: the ways in which a feature's shares may come to differ from its reference.

Each is another distribution over the same bins. An ordinal feature is tilted along its mean rank, its
spread and its skew, up and down, by several sizes. Of a nominal one, each class gains or loses.
A tilt q against the reference p gives each event the likelihood ratio q / p of its bin, and what
is kept is its logarithm, lowered by what the reference may be wrong (`allowance`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, Kind
from operators.statistics import smoothed_shares

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

SHIFTS: Final = (0.25, 0.5, 1.0)
"""Sizes of ordinal tilts: by how many standard deviations of the score its mean moves. Each is twice the one before."""

DEGREES: Final = (0.5, 0.45, 0.05)
"""Weights of mean, spread and skew."""

GAINS: Final = (0.15, 0.4)
"""Shares of all events that go over to one class."""

RARE: Final = 0.02
"""A class with a smaller share may also gain no more than `RARE_GAIN`."""

RARE_GAIN: Final = 0.03

LOSS: Final = 0.2
"""What is left of a class that loses."""

GAINING: Final = 0.9
"""Weight of all gains together; losses have the rest."""

STANDARD_ERRORS: Final = 1.0
_MIXED: Final = 1e-6
_DEPENDENT: Final = 1e-5
_RESOLVED: Final = 6.0
_REACH: Final = 0.8
_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Tilts:
    """Alternatives of one feature.

    Attributes:
        log_ratios: (k, bins) float64, ln(q / p) in nats less the allowance.
        weights: (k,) float64 above 0, their sum is 1.
    """

    log_ratios: Doubles
    weights: Doubles


def tilts(feature: Feature, counts: Ints, rows: int, standard_errors: float = STANDARD_ERRORS) -> Tilts:
    """All alternatives of a feature; there are none of a single bin, or where the reference counted nothing.

    Args:
        feature: what the bins mean.
        counts: (bins,) of the reference; empty bins are smoothed, see `smoothed_shares`.
        rows: independent events in the reference, at least 1.
        standard_errors: by how many of its own standard errors the reference may be off before
            a world without drift looks drifted; 0 takes the reference for the truth.
    """
    if feature.bins < 2 or not counts.any():
        return Tilts(np.empty((0, feature.bins)), np.empty(0))
    shares = smoothed_shares(counts)
    found = list(_ordinal(shares, rows) if feature.kind is Kind.ORDINAL else _nominal(shares))
    others = np.array([other for other, _ in found])
    weights = np.array([weight for _, weight in found])
    # no event is impossible under any tilt, so that none alone ends all evidence
    ratios = (1 - _MIXED) * (others / shares) + _MIXED
    # what smoothing gave to bins that the reference found empty may not be there at all
    counted = np.log(np.maximum((ratios * (counts / counts.sum())).sum(axis=-1), 1.0))
    lowered = np.log(ratios) - (counted + allowance(shares, ratios, rows, standard_errors))[:, None]
    return Tilts(lowered, weights / weights.sum())


def allowance(shares: Doubles, ratios: Doubles, rows: int, standard_errors: float) -> Doubles:
    """(k,) nats an event, by which each tilt is lowered for the error of a reference of `rows` events.

    The mean ratio under the true shares is 1 + e, with e the error of a mean of `rows` draws of the ratio. It stays
    below Bernstein's bound z·√(Var/rows) + z²·max/(6·rows) with z standard errors (Bernstein, 1924; Boucheron, Lugosi
    and Massart, 2013, theorem 2.10), and ln(1 + e) ≤ e. So each tilt is an e-value for every truth
    within z standard errors of the reference as far as this tilt can see, not for the reference alone.

    Args:
        shares: (bins,) of the reference.
        ratios: (k, bins) q / p.
        rows: in the reference.
        standard_errors: z, at least 0.
    """
    variance = np.maximum(((ratios**2) * shares).sum(axis=-1) - 1, 0.0)
    spread = standard_errors * np.sqrt(variance / rows)
    allowed: Doubles = np.log1p(spread + standard_errors**2 * ratios.max(axis=-1) / (6 * rows))
    return allowed


def standard_errors_for(interval_events: float, rows: int) -> float:
    """How wrong a reference of n events may be, for one false alarm in N events: z = √ln(1 + N/4n).

    What the reference's error adds to the evidence grows with the events that it is held against, so that a longer
    interval needs more allowance; with it the chance of an error beyond z, near exp(-z²/2), falls as √(4n/N). The form
    is that of the boundary of a normal mixture (Robbins, 1970); the factor 4 is measured, not derived.

    Args:
        interval_events: N, of the whole fleet.
        rows: n.
    """
    return math.sqrt(math.log1p(interval_events / (4 * rows)))


def scores(shares: Doubles) -> Doubles:
    """(d, bins): what is linear, quadratic and cubic in the mid-rank, orthonormal under the shares; d ≤ 3.

    The mid-rank of a bin, or ridit, is the share below it and half its own (Bross, 1958). Polynomials are made
    orthonormal one after the other (Gram and Schmidt), as in smooth tests of fit (Neyman, 1937); there are no more
    of them than bins - 1, and fewer where nearly all events lie in one or two bins.

    Args:
        shares: (bins,) above 0.
    """
    ranks = np.cumsum(shares) - shares / 2
    found, power = [np.ones_like(shares)], np.ones_like(shares)
    for degree in range(1, min(len(DEGREES), len(shares) - 1) + 1):
        power = found[1] * power if degree > 1 else ranks - (ranks * shares).sum()
        score, size = power, _norm(power, shares)
        for other in found:
            score = score - (score * other * shares).sum() * other
        if _norm(score, shares) <= _DEPENDENT * size:
            break
        found.append(score / _norm(score, shares))
        power = power if degree > 1 else found[1]
    return np.array(found[1:]).reshape(-1, len(shares))


def _norm(score: Doubles, shares: Doubles) -> float:
    return float(np.sqrt((score**2 * shares).sum()))


def _ordinal(shares: Doubles, rows: int) -> Iterator[tuple[Doubles, float]]:
    """Exponential tilts (Efron, 1981) along each score, both ways."""
    sizes = shifts(rows)
    for score, weight in zip(scores(shares), DEGREES, strict=False):
        for along in (score, -score):
            for shift in sizes:
                yield exponential_tilt(shares, along, min(shift, _REACH * float(along.max()))), weight


def exponential_tilt(shares: Doubles, score: Doubles, mean: float) -> Doubles:
    """(bins,): p·exp(θ·score) / Z with θ ≥ 0 such that the mean score is `mean`, found by halving.

    Args:
        shares: (bins,) above 0, under which the mean score is 0.
        score: (bins,).
        mean: at least 0 and below the largest score.
    """
    low, high = 0.0, 1.0
    while _mean(_tilted(shares, score, high), score) < mean:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _mean(_tilted(shares, score, middle), score) < mean:
            low = middle
        else:
            high = middle
    return _tilted(shares, score, low)


def shifts(rows: int) -> tuple[float, ...]:
    """`SHIFTS`, and halves of the smallest, while a reference of `rows` events can tell such a shift from its error."""
    found = list(SHIFTS)
    while found[0] / 2 >= _RESOLVED / math.sqrt(rows):
        found.insert(0, found[0] / 2)
    return tuple(found)


def _tilted(shares: Doubles, score: Doubles, theta: float) -> Doubles:
    raised = shares * np.exp(theta * (score - score.max()))
    tilted: Doubles = raised / raised.sum()
    return tilted


def _mean(shares: Doubles, score: Doubles) -> float:
    return float((shares * score).sum())


def _nominal(shares: Doubles) -> Iterator[tuple[Doubles, float]]:
    """Each class gains from all others, and loses to all others, in proportion."""
    for own in np.eye(len(shares)):
        gains = GAINS if shares @ own >= RARE else (RARE_GAIN, *GAINS)
        for gain in gains:
            yield (1 - gain) * shares + gain * own, GAINING / len(gains)
        kept = np.where(own > 0, LOSS * shares, shares)
        yield kept / kept.sum(), 1 - GAINING
