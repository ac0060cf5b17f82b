"""History: the windows of a cohort that lie in the lake, as numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from operators.cohorts import Cohort
from schemas.errors import InputError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_WINDOWS: Final = """
select epoch_us(window_start) as start, epoch_us(window_end) as until, rows, events, e_value, expected_accuracy,
       expected_accuracy_error, provisional, counts
from current_windows
where model = $model and model_version = $version and level = $level and cohort = $cohort
and window_start >= coalesce($since, window_start) and window_end <= coalesce($until, window_end)
order by window_start"""
_BEFORE: Final = """
select min(window_start) from (
    select window_start from current_windows
    where model = $model and model_version = $version and level = $level and cohort = $cohort and window_start < $since
    order by window_start desc limit $most)"""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Windows of one cohort, T of them, in the order of time.

    Attributes:
        starts, ends: (T,) int64 microseconds.
        rows, events: (T,) int64.
        log_e: (T,) ln of the e-value; -inf where there is no evidence.
        accuracy, accuracy_error: (T,) expected; nan where nobody knows.
        provisional: (T,) compared with its own first windows.
        panes: (T, width) int64.
    """

    starts: Ints
    ends: Ints
    rows: Ints
    events: Ints
    log_e: Doubles
    accuracy: Doubles
    accuracy_error: Doubles
    provisional: NDArray[np.bool_]
    panes: Ints


def history_of(
    lake: duckdb.DuckDBPyConnection,
    cohort: Cohort,
    width: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> History:
    """The windows of a cohort that lie between two times; the last word on each.

    Args:
        lake: as `pipelines.views.connect` gives it.
        cohort: model, model version, level, name.
        width: of a pane on the model's scale.
        since: windows that begin before are left out.
        until: and those that end later.

    Raises:
        InputError: they were counted on another scale: the model was built again under its version.
    """
    found = lake.execute(_WINDOWS, _names(cohort) | {"since": since, "until": until}).fetchnumpy()
    counts = found["counts"]
    if any(len(each) != width for each in counts):
        raise InputError(
            f"{cohort[0]} {cohort[1]}: its windows were counted in other bins than those of the bundle in the models "
            "folder; name the folder with the bundle that ran then: --set models.path=DIR"
        )
    return History(
        starts=found["start"],
        ends=found["until"],
        rows=found["rows"],
        events=found["events"],
        log_e=_logs(_filled(found["e_value"])),
        accuracy=_filled(found["expected_accuracy"]),
        accuracy_error=_filled(found["expected_accuracy_error"]),
        provisional=np.ma.filled(found["provisional"], False).astype(bool),
        panes=np.stack(counts).astype(np.int64) if len(counts) else np.empty((0, width), np.int64),
    )


def start_before(lake: duckdb.DuckDBPyConnection, cohort: Cohort, since: datetime, most: int) -> datetime:
    """The start of the window so many before a time, or of the first one."""
    [(found,)] = lake.execute(_BEFORE, _names(cohort) | {"since": since, "most": most}).fetchall()
    return found or since


def _names(cohort: Cohort) -> dict[str, Any]:
    return dict(zip(("model", "version", "level", "cohort"), cohort, strict=True))


def _filled(column: Any) -> Doubles:
    """A column of numbers that may be null, with nan for null."""
    return np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)


def _logs(values: Doubles) -> Doubles:
    with np.errstate(divide="ignore"):
        found: Doubles = np.log(values)
    return found
