"""Find: the alarm that somebody names, and what became of it."""

from typing import Any, Final

import duckdb

from pipelines.views import rows_of
from schemas.errors import InputError

_NAMED: Final = "select * from current_alarms where starts_with(alarm_id, ?) order by raised_at desc, alarm_id"
_NEWEST: Final = "select alarm_id, level, cohort from current_alarms order by changed desc, alarm_id limit 5"
_STORY: Final = "select revision, state, changed, statistic, e_value from alarms where alarm_id = ? order by revision"
_MOST_NAMED: Final = 5


def find_alarm(lake: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """The last word on an alarm, a row of `alarms`.

    Args:
        lake: as `pipelines.views.connect` gives it.
        name: its id, or as many of the first digits as tell it from every other.

    Raises:
        InputError: there is none, or several.
    """
    found = rows_of(lake.execute(_NAMED, [name.strip().lower()]))
    if not found or not name.strip():
        newest = rows_of(lake.execute(_NEWEST))
        told = ", ".join(f"{each['alarm_id']} ({each['level']} {each['cohort']})" for each in newest)
        raise InputError(f"no alarm {name!r}; " + (f"the newest are {told}" if told else "there has been none yet"))
    if len(found) > 1:
        told = ", ".join(each["alarm_id"] for each in found[:_MOST_NAMED])
        raise InputError(f"{len(found)} alarms begin with {name!r}: {told}{', …' * (len(found) > _MOST_NAMED)}")
    return found[0]


def story_of(lake: duckdb.DuckDBPyConnection, alarm_id: str) -> list[dict[str, Any]]:
    """Each revision of an alarm, the first one first."""
    return rows_of(lake.execute(_STORY, [alarm_id]))
