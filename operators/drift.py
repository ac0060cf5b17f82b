"""Whether windows have drifted from the reference, and when that is an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.calibration import DRAWS, directions, threshold
from operators.panes import Layout, layout_of
from operators.reference import Reference
from operators.statistics import Statistic, embedding_mean_shift, kolmogorov_smirnov, population_stability

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One statistic of one window, and what it would be without drift.

    Attributes:
        statistic: which one.
        value: nats, share or standard deviations, as the statistic says.
        threshold: exceeded with chance α where nothing drifts.
        rows: in the window.
        exceeds: value > threshold.
    """

    statistic: Statistic
    value: float
    threshold: float
    rows: int
    exceeds: bool


def evaluate(
    reference: Reference, panes: Ints, alpha: float, min_rows: int, consecutive: int = 2, draws: int = DRAWS
) -> tuple[tuple[Finding, ...], ...]:
    """For each window its findings, one for each statistic that the reference allows.

    A window of fewer than `min_rows` rows has none: it is neither well nor drifted.

    Args:
        reference: what the model was accepted on.
        panes: (windows, width) int64, or one of (width,), as `panes.panes` counts them.
        alpha: chance for one window to exceed, as `level_for` gives it.
        min_rows: fewest rows that are judged, at least 1.
        consecutive: windows in a row that an alarm needs; the same as for `level_for` and `alarms`.
        draws: resamples for a threshold, at least 10/α.

    Raises:
        SettingsError: α is too small for the draws.
    """
    windows = np.atleast_2d(panes)
    layout = layout_of(reference)
    judged = windows[:, layout.rows] >= max(min_rows, 1)
    values = iter(zip(*_values(reference, layout, windows[judged]).values(), strict=True))
    found = []
    for ok, rows in zip(judged.tolist(), windows[:, layout.rows].tolist(), strict=True):
        limits = (
            {s: threshold(reference, s, rows, alpha, consecutive, draws) for s in compared(reference)} if ok else {}
        )
        found.append(
            tuple(_finding(s, v, limits[s], rows) for s, v in zip(limits, next(values), strict=True)) if ok else ()
        )
    return tuple(found)


def compared(reference: Reference) -> tuple[Statistic, ...]:
    """The statistics that a reference allows; without a varying embedding there are two."""
    usable = reference.dims > 0 and len(directions(reference)) > 0
    return tuple(Statistic) if usable else (Statistic.PREDICTION_MIX, Statistic.CONFIDENCE)


def alarms(exceeds: Sequence[bool], consecutive: int = 2) -> tuple[bool, ...]:
    """At which windows one statistic of one cohort alarms: it and the windows before it exceed.

    Args:
        exceeds: of each judged window, in the order of time.
        consecutive: windows in a row, this one included, at least 1.
    """
    run, found = 0, []
    for exceeded in exceeds:
        run = run + 1 if exceeded else 0
        found.append(run >= consecutive)
    return tuple(found)


def _values(reference: Reference, layout: Layout, windows: Ints) -> dict[Statistic, Doubles]:
    """(windows,) values of each statistic; every window has rows."""
    values = {
        Statistic.PREDICTION_MIX: population_stability(reference.class_counts, windows[:, layout.classes]),
        Statistic.CONFIDENCE: kolmogorov_smirnov(reference.confidence_counts, windows[:, layout.confidence]),
    }
    if Statistic.EMBEDDING_MEAN in compared(reference):
        means = windows[:, layout.embedding] / windows[:, layout.rows, None] * reference.embedding_unit
        shifts = embedding_mean_shift(means, reference.embedding_mean, directions(reference))
        values[Statistic.EMBEDDING_MEAN] = shifts
    return values


def _finding(statistic: Statistic, value: float, limit: float, rows: int) -> Finding:
    return Finding(statistic=statistic, value=float(value), threshold=limit, rows=rows, exceeds=bool(value > limit))
