"""Explain: what an alarm is about: what moved since when, which part of a cohort carries it, and rows that show it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from operators.alarms import SILENCE
from operators.cohorts import Cohort
from operators.features import places
from operators.watch import Policy, References
from pipelines.drift.comparison import Comparison, comparison_of
from pipelines.drift.drill import Drill, Piece, spread_before
from pipelines.drift.examples import Example, Examples, gains_of
from pipelines.drift.find import find_alarm, story_of
from pipelines.drift.history import History, history_of, start_before
from pipelines.drift.rows import cohort_rows, hellos

Ints = NDArray[np.int64]

SHOWN_BEFORE: Final = 72
"""Windows before the change that are shown and that tell the dispersion."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST: Final = """
select max(window_end) from current_windows where model = ? and model_version = ? and level = ? and cohort = ?"""
_ALIKE: Final = "select count(*) from current_alarms where cause = ?"
_HELD: Final = "select count(*) from samples where device = ? and stream = ? and seq = ?"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """What an alarm is about.

    Attributes:
        alarm: its row, `moved` as plain values.
        story: its revisions.
        alike: alarms of the same cause, itself included.
        compared: what its cohort is compared with; None of a silent device.
        until: end of the time that was looked at, which begins with `since`.
        rows, events: of the cohort in that time.
        pieces: level → parts of the cohort, those that carry it first.
        examples: rows nearest to what grew.
        held: for each of them whether the raw sample is in `samples`.
        history: windows before and after; None of a silent device.
    """

    alarm: Mapping[str, Any]
    story: Sequence[Mapping[str, Any]]
    alike: int
    compared: Comparison | None
    until: datetime | None
    rows: int
    events: int
    pieces: Mapping[str, Sequence[Piece]]
    examples: Sequence[Example]
    held: Sequence[bool]
    history: History | None


def explain(lake: duckdb.DuckDBPyConnection, name: str, references: References, policy: Policy) -> Explanation:
    """What an alarm is about.

    Args:
        lake: as `pipelines.views.connect` gives it.
        name: id of the alarm, or its beginning.
        references: what cohorts are compared with.
        policy: as the service has it.

    Raises:
        InputError: no such alarm, or the lake's windows do not fit the bundle.
    """
    alarm = find_alarm(lake, name)
    alarm |= {"moved": json.loads(alarm["moved"] or "[]")}
    cohort: Cohort = (alarm["model"], alarm["model_version"], alarm["level"], alarm["cohort"])
    story = story_of(lake, alarm["alarm_id"])
    [(alike,)] = lake.execute(_ALIKE, [alarm["cause"]]).fetchall()
    if alarm["statistic"] == SILENCE:
        return _silence(alarm, story, alike)
    compared = comparison_of(lake, cohort, references, policy)
    [(newest,)] = lake.execute(_NEWEST, list(cohort)).fetchall()
    until = alarm["cleared_at"] or newest or alarm["raised_at"]
    before = start_before(lake, cohort, alarm["since"], SHOWN_BEFORE)
    history = history_of(lake, cohort, compared.layout.width, before)
    looked = _between(history, alarm["since"], until)
    pieces, examples = _looked_into(lake, alarm, compared, history, looked, until)
    return Explanation(
        alarm=alarm,
        story=story,
        alike=alike,
        compared=compared,
        until=until,
        rows=int(history.rows[looked].sum()),
        events=int(history.events[looked].sum()),
        pieces=pieces,
        examples=examples,
        held=[lake.execute(_HELD, [e.device, e.stream, e.seq]).fetchall()[0][0] > 0 for e in examples],
        history=history,
    )


def grown_places(alarm: Mapping[str, Any], compared: Comparison) -> list[int]:
    """Where in a stack the bins stand that grew, of the statistic that moved most."""
    told = next((each for each in alarm["moved"] if each["statistic"] == alarm["statistic"]), None)
    grown = {each["bin"] for each in told["bins"] if each["observed"] > each["expected"]} if told else set()
    features = compared.scale.features
    return [
        place.start + at
        for feature, place in zip(features, places(features), strict=True)
        if feature.name == alarm["statistic"]
        for at in range(feature.bins)
        if compared.scale.bin_name(feature, at) in grown
    ]


def _looked_into(
    lake: duckdb.DuckDBPyConnection,
    alarm: Mapping[str, Any],
    compared: Comparison,
    history: History,
    looked: NDArray[np.bool_],
    until: datetime,
) -> tuple[dict[str, list[Piece]], list[Example]]:
    """The parts of the cohort, and examples, from its rows since the change."""
    observed = history.panes[looked][:, compared.layout.stack].sum(axis=0)
    names = frozenset(each["statistic"] for each in alarm["moved"])
    gains = gains_of(compared.scale, names, compared.judge.stack, observed, compared.layout.width)
    drill, examples = Drill(compared, hellos(lake)), Examples(compared.scale, gains)
    for rows in cohort_rows(lake, compared.cohort, alarm["since"], until):
        drill.add(rows)
        examples.add(rows)
    spread = spread_before(compared, history, _us(alarm["since"]))
    return drill.found(spread, grown_places(alarm, compared)), examples.found()


def _between(history: History, since: datetime, until: datetime) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (history.starts >= _us(since)) & (history.ends <= _us(until))
    return found


def _silence(alarm: Mapping[str, Any], story: Sequence[Mapping[str, Any]], alike: int) -> Explanation:
    return Explanation(
        alarm=alarm,
        story=story,
        alike=alike,
        compared=None,
        until=alarm["cleared_at"],
        rows=0,
        events=0,
        pieces={},
        examples=(),
        held=(),
        history=None,
    )


def _us(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)
