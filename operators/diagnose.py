"""Diagnostics: how far windows lie from the reference, in measures people know, each beside its null interval.

They explain; they do not alarm. Their intervals are left by one healthy window in a hundred, and
every window has dozens of features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, places
from operators.measures import MEASURES, Measure
from operators.nulls import LEVEL, null_intervals

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagnosis:
    """One measure of windows, feature by feature.

    Attributes:
        value: (…, F) float64. Nan where the feature's kind does not have the measure, or there is nothing to compare.
        low, high: (…, F) float64: the null interval, nan where the value is.
    """

    value: Doubles
    low: Doubles
    high: Doubles


def diagnose(
    features: Sequence[Feature], reference_stack: Ints, reference_rows: int, stacks: Ints, level: float = LEVEL
) -> dict[str, Diagnosis]:
    """Every measure of every feature of some windows, by the measure's name.

    The windows may be one or many, of one cohort or many: each is told the same, to the last bit.

    Args:
        features: as they stand in a stack.
        reference_stack: (width,) int64.
        reference_rows: independent events in it, at least 1; fewer than its counts where frames repeat.
        stacks: (…, width) int64, counts of events of windows.
        level: chance of a healthy window to lie outside an interval, in [0.005, 0.5].

    Raises:
        SettingsError: the level is out of range.
    """
    found = np.full((*stacks.shape[:-1], len(features), len(MEASURES), 3), np.nan)
    for at, (feature, place) in enumerate(zip(features, places(features), strict=True)):
        reference, windows = reference_stack[place], stacks[..., place]
        events = windows.sum(axis=-1)
        seen = events > 0
        if reference.any() and seen.any():
            counted = np.ascontiguousarray(windows[seen])
            found[seen, at, :, 0] = np.stack(list(_values(feature, reference, counted)), axis=-1)
            found[seen, at, :, 1:] = null_intervals(feature.kind, reference, reference_rows, events[seen], level)
    return {
        measure.name: Diagnosis(value=found[..., k, 0], low=found[..., k, 1], high=found[..., k, 2])
        for k, measure in enumerate(MEASURES)
    }


def _values(feature: Feature, reference: Ints, windows: Ints) -> Iterator[Doubles]:
    for measure in MEASURES:
        yield _value(measure, feature, reference, windows)


def _value(measure: Measure, feature: Feature, reference: Ints, windows: Ints) -> Doubles:
    if feature.kind in measure.kinds:
        return measure.between(reference, windows)
    return np.full(windows.shape[:-1], np.nan)
