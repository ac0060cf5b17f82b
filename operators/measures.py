"""Measures: the distances that are told of every window, each with what its null is like."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from operators.features import Kind
from operators.statistics import (
    Counts,
    Doubles,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability,
    wasserstein,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One distance of a window from the reference.

    Attributes:
        name: in rows and SQL.
        between: of (…, bins) reference counts and (…, bins) window counts.
        kinds: of features that it can be taken of.
        power: without drift it shrinks with the rows as (1/n + 1/N)^power: 1 for what is of the second
            order in the difference of the shares, ½ for what is of the first.
    """

    name: str
    between: Callable[[Counts, Counts], Doubles]
    kinds: tuple[Kind, ...]
    power: float


MEASURES: Final = (
    Measure(name="population_stability", between=population_stability, kinds=tuple(Kind), power=1.0),
    Measure(name="jensen_shannon", between=jensen_shannon, kinds=tuple(Kind), power=1.0),
    Measure(name="kolmogorov_smirnov", between=kolmogorov_smirnov, kinds=(Kind.ORDINAL,), power=0.5),
    Measure(name="wasserstein", between=wasserstein, kinds=(Kind.ORDINAL,), power=0.5),
)
