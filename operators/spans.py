"""Spans: from when to when each cohort is in alarm, by the evidence of all of them together."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.fleet_control import alarmed

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of windows in which a cohort is in alarm.

    Attributes:
        raised: start of the window that raised it.
        cleared: start of the window that cleared it; None while it lasts.
        log_e: ln M at `raised`.
        log_needed: ln M that was needed then.
    """

    raised: int
    cleared: int | None
    log_e: float
    log_needed: float


def spans(
    evidence: Mapping[K, Mapping[int, float]],
    began: Sequence[int],
    interval_windows: float,
    clear_nats: float,
    lasting: Mapping[K, Span],
) -> dict[K, list[Span]]:
    """The spans of each cohort, in the order of time; a function of the evidence alone.

    A cohort is in alarm from the window in which `fleet_control.alarmed` chooses it until its evidence has
    fallen to `clear_nats`. A window without rows leaves its evidence as it is.

    Args:
        evidence: cohort → start of a window → ln M after it; cohorts that are left out are far from any alarm.
        began: starts of the first windows of all cohorts that were ever watched, ascending.
        interval_windows: see `alarmed`.
        clear_nats: below ln of the interval.
        lasting: spans that last from before the first evidence.
    """
    cohorts = sorted({*evidence, *lasting}, key=str)
    found: dict[K, list[Span]] = {cohort: [] for cohort in cohorts}
    current: dict[int, Span] = {at: lasting[cohort] for at, cohort in enumerate(cohorts) if cohort in lasting}
    values: NDArray[np.float64] = np.full(len(cohorts), -np.inf)
    for start in sorted({start for each in evidence.values() for start in each}):
        told = [at for at, cohort in enumerate(cohorts) if start in evidence.get(cohort, {})]
        for at in told:
            values[at] = evidence[cohorts[at]][start]
        watched = max(bisect_right(began, start), len(cohorts))
        chosen = alarmed(values, interval_windows, watched)
        needed = np.log(interval_windows) + np.log(watched / max(int(chosen.sum()), 1))
        for at in np.flatnonzero(chosen).tolist():
            if at not in current:
                current[at] = Span(start, None, float(values[at]), float(needed))
        for at in [at for at in told if at in current and values[at] <= clear_nats]:
            span = current.pop(at)
            found[cohorts[at]].append(Span(span.raised, start, span.log_e, span.log_needed))
    for at, span in current.items():
        found[cohorts[at]].append(span)
    return found
