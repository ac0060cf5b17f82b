"""Features: what of a row is watched, each in a few bins, and where their counts stand side by side.

A *stack* is the counts of several features in one vector, in the order of the features. Stacks add
up, so every window, cohort and reference is a sum of the stacks of its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whether neighbouring bins mean neighbouring values."""

    ORDINAL = "ordinal"
    NOMINAL = "nominal"


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that is watched.

    Attributes:
        name: in settings, rows and SQL, such as `confidence` or `embedding_3`.
        group: features that stand for one thing share its weight, such as `embedding`.
        kind: of its bins.
        bins: how many.
    """

    name: str
    group: str
    kind: Kind
    bins: int


def places(features: Sequence[Feature]) -> Iterator[slice]:
    """Where each feature's counts stand in a stack."""
    start = 0
    for feature in features:
        yield slice(start, start + feature.bins)
        start += feature.bins
