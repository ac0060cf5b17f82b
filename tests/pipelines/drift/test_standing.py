"""How cohorts stand: laws of what an alarm needs, and answers worked out by hand."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.fleet_control import alarmed
from pipelines.drift.standing import RECENT, Standing, needed_of, standings
from pipelines.views import connect
from tests.pipelines.lakes import alarm, at, lake, start_of, verdict, window

A = 1000.0


def stand(folder: Path, **rows: list[dict[str, Any]]) -> list[Standing]:
    return standings(connect(lake(folder, rows)), A)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=12), st.integers(0, 11), st.floats(1.001, 10))
def test_with_what_it_needs_a_cohort_alarms_and_with_less_it_does_not(
    e_values: list[float], place: int, more: float
) -> None:
    place %= len(e_values)
    cohorts = {("m", 1, "site", str(at)): value for at, value in enumerate(e_values)}
    needed = list(needed_of(cohorts, A).values())

    def chosen(value: float) -> bool:
        changed = [value if at == place else each for at, each in enumerate(e_values)]
        with np.errstate(divide="ignore"):
            return bool(alarmed(np.log(changed), A)[place])

    with np.errstate(divide="ignore"):
        own = bool(alarmed(np.log(e_values), A)[place])
    assert chosen(needed[place] * more)
    if not own:
        assert not chosen(min(e_values[place], needed[place] / more))


def test_an_empty_lake_has_no_cohort(tmp_path: Path) -> None:
    assert stand(tmp_path) == []


def test_a_cohort_stands_as_its_newest_window_says(tmp_path: Path) -> None:
    windows = [window(place, float(place)) for place in range(30)]
    windows += [window(29, 40.0, revision=1, events=7, provisional=True, expected_accuracy=None)]
    drift = [verdict(29, 3.0), verdict(29, 9.0, statistic="margin"), verdict(28, 99.0, statistic="entropy")]
    drift += [verdict(29, 99.0, statistic="embedding") | {"e_value": None}]
    [found] = stand(tmp_path, windows=windows, drift=drift)
    assert found.cohort == ("digits", 3, "site", "north")
    assert (found.windows, found.until, found.events, found.e_value) == (30, at(start_of(30)), 7, 40.0)
    assert (found.provisional, found.expected_accuracy, found.statistic) == (True, None, "margin")
    assert found.recent == (*(float(place) for place in range(30 - RECENT, 29)), 40.0)
    assert (found.recent_since, found.alarms, found.since) == (at(start_of(30 - RECENT)), (), None)


def test_the_more_cohorts_are_in_alarm_the_less_each_needs(tmp_path: Path) -> None:
    e_values = {"a": 1e9, "b": 2500.0, "c": 2.0, "d": 0.0}
    found = stand(tmp_path, windows=[window(0, value, cohort=name) for name, value in e_values.items()])
    needed = {each.cohort[3]: each.needed for each in found}
    assert needed == pytest.approx({"a": 2000.0, "b": 2000.0, "c": 4000 / 3, "d": 4000 / 3})


def test_cohorts_in_alarm_come_first_with_all_their_open_alarms(tmp_path: Path) -> None:
    rows = {
        "windows": [window(0, cohort="a"), window(0, cohort="b")],
        "drift": [verdict(0, 9.0, cohort="b", statistic="margin")],
        "alarms": [
            alarm(2, cohort="b", statistic="entropy"),
            alarm(1, cohort="b", statistic="confidence", since=start_of(-3)),
            alarm(3, "cleared", cohort="a", cleared_at=start_of(5)),
            alarm(4, level="device", cohort="cam-7", statistic="silence", since=start_of(-9)),
        ],
    }
    found = stand(tmp_path, **rows)
    assert [(each.cohort[2:], each.statistic) for each in found] == [
        (("device", "cam-7"), "silence"), (("site", "b"), "confidence"), (("site", "a"), None)
    ]  # fmt: skip
    silent, drifting, _ = found
    assert (silent.windows, silent.until, silent.needed, silent.since) == (0, None, None, at(start_of(-9)))
    assert [each["alarm_id"] for each in drifting.alarms] == [alarm(1)["alarm_id"], alarm(2)["alarm_id"]]
    assert isinstance(drifting.since, datetime)
    assert drifting.since == at(start_of(-3))
