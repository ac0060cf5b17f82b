"""Rebase: windows of production that somebody holds to be well, as what cohorts are compared with from now on."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from operators.alarms import State
from operators.features import places
from operators.panes import layout_of
from operators.reference import Reference
from operators.statistics import jensen_shannon
from pipelines.drift.history import history_of
from pipelines.references import References, bless_file
from pipelines.views import rows_of
from schemas.errors import InputError, LakeError

Ints = NDArray[np.int64]

FEWEST_EVENTS: Final = 500
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"-(\d{1,6})([mhdw])")

_NEWEST: Final = "select max(window_end) from current_windows where model = ? and model_version = ?"
_COHORTS: Final = """
select level, cohort, sum(events)::bigint as events from current_windows
where model = $model and model_version = $version and level = coalesce($level, level)
and cohort = coalesce($cohort, cohort) and window_start >= $since and window_end <= $until
group by level, cohort"""
_ALARMS: Final = """
select alarm_id, level, cohort, state from current_alarms
where model = $model and model_version = $version and state <> 'retracted' and statistic <> 'silence'
and since < $until and coalesce(cleared_at, $until) > $since
and ($cohort is null or (level = $level and cohort = $cohort)) order by since, alarm_id"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rebasing:
    """A reference that may be blessed.

    Attributes:
        model: its name.
        version: its counter.
        level, cohort: that it is for; both empty for the whole model.
        since, until: the stretch of event time.
        counted: level whose cohorts are summed.
        windows: of all these cohorts.
        rows, events: in them.
        alarms: that the windows lie in: id, level, cohort and state; a silent device is none.
        replaces: what is compared with now.
        moves: (statistic, Jensen-Shannon divergence in nats from what is compared with now), largest first.
        panes: (windows, width) int64.
    """

    model: str
    version: int
    level: str
    cohort: str
    since: datetime
    until: datetime
    counted: str
    windows: int
    rows: int
    events: int
    alarms: list[dict[str, Any]]
    replaces: Reference
    moves: list[tuple[str, float]]
    panes: Ints

    @property
    def open_alarms(self) -> list[dict[str, Any]]:
        """Those of the alarms that last."""
        return [each for each in self.alarms if each["state"] in (State.RAISED, State.CONFIRMED)]


def rebasing(
    lake: duckdb.DuckDBPyConnection,
    references: References,
    *,
    model: str,
    version: int,
    level: str = "",
    cohort: str = "",
    since: str,
    until: str,
) -> Rebasing:
    """The windows that lie in a stretch of time, and what would change if they were blessed.

    For a whole model the cohorts of one level are summed, which hold each row once: of the level with the most events.

    Args:
        lake: as `pipelines.views.connect` gives it.
        references: those of now.
        model: its name.
        version: its counter.
        level: of the cohort that it is for; empty for the whole model.
        cohort: its name; empty for the whole model.
        since: ISO 8601 in UTC, or `-2d` and the like, back from the end of the newest window.
        until: the same.

    Raises:
        InputError: no such windows, or too few events in them.
    """
    if bool(level) != bool(cohort):
        raise InputError("--level and --cohort belong together; leave both out for the whole model")
    own = references.of(model, version, level, cohort)
    if own is None:
        raise InputError(f"{model} {version}: no bundle with a reference; windows are blessed on the scale of one")
    [(newest,)] = lake.execute(_NEWEST, [model, version]).fetchall()
    if newest is None:
        raise InputError(f"{model} {version}: the lake has no window of it")
    begin, end = time_of(since, newest), time_of(until, newest)
    of = {"model": model, "version": version, "since": begin, "until": end}
    of |= {"level": level or None, "cohort": cohort or None}
    cohorts = rows_of(lake.execute(_COHORTS, of))
    counted = _fullest(cohorts)
    width = layout_of(own.scale).width
    found = [
        history_of(lake, (model, version, counted, each["cohort"]), width, begin, end)
        for each in cohorts
        if each["level"] == counted
    ]
    events = int(sum(each.events.sum() for each in found))
    if events < FEWEST_EVENTS:
        raise InputError(
            f"{events} events between {begin:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}; a reference needs "
            f"{FEWEST_EVENTS}, and is better with some thousands: choose a longer stretch"
        )
    panes = np.concatenate([each.panes for each in found])
    return Rebasing(
        model=model,
        version=version,
        level=level,
        cohort=cohort,
        since=begin,
        until=end,
        counted=counted,
        windows=len(panes),
        rows=int(sum(each.rows.sum() for each in found)),
        events=events,
        alarms=rows_of(lake.execute(_ALARMS, of)),
        replaces=own,
        moves=_moves(own, panes),
        panes=panes,
    )


def apply(found: Rebasing, references: References, folder: Path) -> Reference:
    """Write the reference to where the service finds it at its next start.

    Raises:
        BundleError: the windows do not fit the model's scale.
        LakeError: the folder can't be written.
    """
    try:
        return bless_file(
            folder,
            references,
            found.panes,
            model=found.model,
            version=found.version,
            level=found.level,
            cohort=found.cohort,
        )
    except OSError as error:
        raise LakeError(f"{folder}: {error.strerror}") from error


def time_of(text: str, newest: datetime) -> datetime:
    """A time that somebody wrote.

    Args:
        text: ISO 8601, UTC where it says no zone; or how long before `newest`, as -30m, -12h, -2d or -1w; or `now`.
        newest: end of the newest window.

    Raises:
        InputError: it is neither.
    """
    text = text.strip()
    if text == "now":
        return newest
    try:
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return newest - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{text!r} is no time: say 2026-01-31T12:00, now, or -2d, back from the newest window"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _fullest(cohorts: list[dict[str, Any]]) -> str:
    """The level with the most events; of equals the first by name."""
    events: dict[str, int] = {}
    for each in cohorts:
        events[each["level"]] = events.get(each["level"], 0) + each["events"]
    return min(events, key=lambda level: (-events[level], level), default="")


def _moves(own: Reference, panes: Ints) -> list[tuple[str, float]]:
    """By how much each feature moves; those that nothing was compared with so far are left out."""
    stack = layout_of(own.scale).stack
    before, after = own.pane[stack], panes.sum(axis=0)[stack]
    moves = [
        (feature.name, float(jensen_shannon(before[place], after[place])))
        for feature, place in zip(own.scale.features, places(own.scale.features), strict=True)
        if before[place].any() and after[place].any()
    ]
    return sorted(moves, key=lambda move: -move[1])
