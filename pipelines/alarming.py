"""Which cohorts alarm now, as gauges for Prometheus; bounded, since devices choose what cohorts are called."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from prometheus_client import Gauge

MOST_COHORTS: Final = 1000
"""Cohorts that are shown; beyond them the ones that have been well for longest go."""
_COHORT: Final = ("model", "model_version", "level", "cohort")
_OPEN: Final = frozenset({"raised", "confirmed"})
ALARMING: Final = Gauge("gleaner_alarming", "1 while the cohort alarms, 0 once it does no more", _COHORT)
E_VALUE: Final = Gauge("gleaner_e_value", "Evidence of the window judged last, where the cohort alarms", _COHORT)


class Alarming:
    """The cohorts whose alarms have changed, and which of their alarms stand."""

    def __init__(self) -> None:
        """None yet."""
        self._standing: dict[tuple[str, ...], set[str]] = {}

    def show(self, row: Mapping[str, Any]) -> None:
        """Show what a row of `alarms` says."""
        cohort = _cohort(row)
        standing = self._standing.pop(cohort, set())
        if row["state"] in _OPEN:
            standing.add(row["alarm_id"])
        else:
            standing.discard(row["alarm_id"])
        self._standing[cohort] = standing  # the newest last
        ALARMING.labels(*cohort).set(1 if standing else 0)
        if not standing:
            _hide(E_VALUE, cohort)
        if len(self._standing) > MOST_COHORTS:
            self._forget_one()

    def judge(self, row: Mapping[str, Any]) -> None:
        """Show the evidence in a row of `windows`, if its cohort alarms."""
        cohort = _cohort(row)
        if self._standing.get(cohort) and row["e_value"] is not None:
            E_VALUE.labels(*cohort).set(row["e_value"])

    def _forget_one(self) -> None:
        """Show the cohort no more that has been well for longest; where all alarm, the one that has for longest."""
        well = (cohort for cohort, standing in self._standing.items() if not standing)
        oldest = next(well, next(iter(self._standing)))
        del self._standing[oldest]
        _hide(ALARMING, oldest)
        _hide(E_VALUE, oldest)


def _cohort(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in _COHORT)


def _hide(gauge: Gauge, cohort: tuple[str, ...]) -> None:
    with suppress(KeyError):  # it was not shown
        gauge.remove(*cohort)
