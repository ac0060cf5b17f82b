"""Standing: how each cohort stands now: its evidence, what an alarm would need, and the alarm it is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import duckdb
import numpy as np

from operators.cohorts import Cohort
from operators.fleet_control import alarmed
from pipelines.views import rows_of

RECENT: Final = 24
"""Windows that a table shows of each cohort."""

_NEWEST: Final = """
select model, model_version, level, cohort, count(*) as windows, max(window_end) as until,
       arg_max(events, window_start) as events, arg_max(e_value, window_start) as e_value,
       arg_max(provisional, window_start) as provisional, list(e_value order by window_start)[-$recent:] as recent,
       list(window_start order by window_start)[-$recent:][1] as recent_since,
       arg_max_null(expected_accuracy, window_start) as expected_accuracy,
       arg_max_null(expected_accuracy_error, window_start) as expected_accuracy_error
from current_windows group by model, model_version, level, cohort"""
_LEADING: Final = """
select model, model_version, level, cohort, arg_max(statistic, e_value) as statistic
from current_drift d semi join (
    select model, model_version, level, cohort, max(window_start) as window_start
    from current_windows group by model, model_version, level, cohort) n
using (model, model_version, level, cohort, window_start)
where e_value > 0 group by model, model_version, level, cohort"""
_OPEN: Final = """
select model, model_version, level, cohort, alarm_id, state, statistic, since, raised_at, cause
from open_alarms order by raised_at, alarm_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one cohort stands.

    Attributes:
        cohort: model, model version, level, name.
        windows: that were judged.
        until: end of the newest one; None of a cohort that has none, such as a silent device.
        events: in it.
        e_value: after it.
        needed: e-value that an alarm of it needs now.
        recent: e-values after the last windows, oldest first, at most `RECENT`.
        recent_since: start of the first of those.
        statistic: that leads: of the alarm, or else with the most evidence.
        provisional: compared with its own first windows.
        expected_accuracy, expected_accuracy_error: of the newest window.
        alarms: rows of its alarms that last, the first one first.
    """

    cohort: Cohort
    windows: int = 0
    until: datetime | None = None
    events: int = 0
    e_value: float = 0.0
    needed: float | None = None
    recent: tuple[float, ...] = ()
    recent_since: datetime | None = None
    statistic: str | None = None
    provisional: bool = False
    expected_accuracy: float | None = None
    expected_accuracy_error: float | None = None
    alarms: tuple[dict[str, Any], ...] = ()

    @property
    def since(self) -> datetime | None:
        """When the first of its alarms began."""
        return min((alarm["since"] for alarm in self.alarms), default=None)


def standings(lake: duckdb.DuckDBPyConnection, interval_windows: float) -> list[Standing]:
    """Every cohort that was judged or is in alarm; those in alarm first, by cause, the first of a cause first.

    Args:
        lake: as `pipelines.views.connect` gives it.
        interval_windows: windows between false alarms, as the settings have it.
    """
    newest = _by_cohort(lake, _NEWEST, {"recent": RECENT})
    leading = _by_cohort(lake, _LEADING)
    alarms: dict[Cohort, list[dict[str, Any]]] = {}
    for row in rows_of(lake.execute(_OPEN)):
        alarms.setdefault(_cohort(row), []).append(row)
    needed = needed_of({cohort: row["e_value"] for cohort, row in newest.items()}, interval_windows)
    found = []
    for cohort in newest.keys() | alarms.keys():
        row, own = newest.get(cohort, {}), alarms.get(cohort, [])
        statistic = own[0]["statistic"] if own else leading.get(cohort, {}).get("statistic")
        told = {name: value for name, value in row.items() if name in Standing.__slots__ and name != "cohort"}
        told |= {"recent": tuple(row.get("recent", ())), "statistic": statistic, "alarms": tuple(own)}
        found.append(Standing(cohort=cohort, needed=needed.get(cohort), **told))
    return _sorted(found)


def _sorted(found: list[Standing]) -> list[Standing]:
    began: dict[str, datetime] = {}
    for each in found:
        for alarm in each.alarms[:1]:
            began[alarm["cause"]] = min(began.get(alarm["cause"], alarm["since"]), alarm["since"])

    def key(each: Standing) -> tuple[Any, ...]:
        if not each.alarms:
            return (True, each.cohort)
        alarm = each.alarms[0]
        return (False, began[alarm["cause"]], alarm["cause"], alarm["alarm_id"] != alarm["cause"], each.cohort)

    return sorted(found, key=key)


def needed_of(e_values: Mapping[Cohort, float], interval_windows: float) -> dict[Cohort, float]:
    """The e-value that an alarm of each cohort needs, by `fleet_control.alarmed`: less, the more are in alarm."""
    cohorts = list(e_values)
    with np.errstate(divide="ignore"):
        log_m = np.log(np.array([e_values[cohort] for cohort in cohorts], np.float64))
    chosen = alarmed(log_m, interval_windows) if cohorts else np.zeros(0, bool)
    others = int(chosen.sum())
    return {
        cohort: interval_windows * len(cohorts) / (others if inside else others + 1)
        for cohort, inside in zip(cohorts, chosen.tolist(), strict=True)
    }


def _by_cohort(
    lake: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any] | None = None
) -> dict[Cohort, dict[str, Any]]:
    return {_cohort(row): row for row in rows_of(lake.execute(query, dict(values or {})))}


def _cohort(row: Mapping[str, Any]) -> Cohort:
    return row["model"], row["model_version"], row["level"], row["cohort"]
