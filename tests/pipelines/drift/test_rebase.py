"""Blessing windows of production: they are summed once each, checked, and compared with from then on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from operators.panes import layout_of
from pipelines.drift.history import history_of
from pipelines.drift.rebase import Rebasing, apply, rebasing, time_of
from pipelines.planning import load_bundles
from pipelines.references import References, load_references
from pipelines.views import connect
from schemas.errors import InputError, LakeError
from tests.pipelines.drifting import CHANGE, EACH, START, WINDOW_US, Drifted, made
from tests.pipelines.lakes import alarm, at, lake, window

NEWEST = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
HEALTHY = str(at(START + (CHANGE - 1) * WINDOW_US))
BEGIN = str(at(START))


def found_in(drifted: Drifted, lake: duckdb.DuckDBPyConnection, **changes: Any) -> Rebasing:
    of = {"model": "drawn", "version": 1, "since": BEGIN, "until": HEALTHY} | changes
    return rebasing(lake, drifted.references, **of)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NEWEST),
        ("-90m", NEWEST - timedelta(minutes=90)),
        ("-12h", NEWEST - timedelta(hours=12)),
        (" -2d ", NEWEST - timedelta(days=2)),
        ("-1w", NEWEST - timedelta(weeks=1)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_or_so_long_before_the_newest_window(text: str, time: datetime) -> None:
    assert time_of(text, NEWEST) == time


@pytest.mark.parametrize("text", ["", "yesterday", "-2", "2d", "-2y", "--2d", "-9999999d", "31.1.2026", "-2d-1h"])
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(InputError, match=r"is no time: say 2026-01-31T12:00, now, or -2d"):
        time_of(text, NEWEST)


def test_times_before_all_time_are_no_time() -> None:
    with pytest.raises(InputError, match="is no time"):
        time_of("-999999w", NEWEST)


def test_each_row_of_a_whole_model_is_summed_once_though_several_levels_hold_it(tmp_path: Path) -> None:
    drifted = made(tmp_path, by=("site", "device", "fleet"))
    with connect(drifted.root) as connection:
        found = found_in(drifted, connection)
    assert found.rows == found.panes[:, 0].sum() == 6 * EACH * (CHANGE - 1)
    assert found.events == found.panes[:, 1].sum() <= found.rows
    assert found.counted == "device"  # of equals the first by name


def test_windows_that_reach_out_of_the_stretch_are_left_out(drifted: Drifted, asked: duckdb.DuckDBPyConnection) -> None:
    found = found_in(drifted, asked, since=str(at(START + 1)))
    assert found.windows == 2 * (CHANGE - 2)


def test_a_cohort_is_blessed_with_its_own_windows(drifted: Drifted, asked: duckdb.DuckDBPyConnection) -> None:
    found = found_in(drifted, asked, level="site", cohort="north")
    own = history_of(
        asked, ("drawn", 1, "site", "north"), found.panes.shape[1], until=at(START + (CHANGE - 1) * WINDOW_US)
    )
    assert np.array_equal(found.panes, own.panes)
    assert found.replaces is drifted.references.bundled["drawn", 1]
    assert all(0 <= distance < 0.05 for _, distance in found.moves)
    assert {name for name, _ in found.moves} >= {"confidence", "margin", "prediction_mix", "embedding_1"}
    assert "latency" not in dict(found.moves)


def test_what_is_blessed_is_compared_with_at_the_next_start(
    drifted: Drifted, asked: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for of in ({}, {"level": "site", "cohort": "north"}):
        apply(found_in(drifted, asked, **of), drifted.references, tmp_path / "references")
    bundles = load_bundles(drifted.root.parent / "models")
    again = load_references(bundles, tmp_path / "references")
    layout = layout_of(again.scale("drawn", 1))
    for level, cohort, sites in (("site", "north", 4), ("site", "south", 6)):
        used = again.of("drawn", 1, level, cohort)
        assert used is not None
        assert (used.source, used.pane[layout.rows]) == ("blessed", sites * EACH * (CHANGE - 1))
        assert used.counts("latency").sum() == used.events


def test_windows_in_an_open_alarm_are_told_of_and_those_before_it_are_not(
    drifted: Drifted, asked: duckdb.DuckDBPyConnection
) -> None:
    assert found_in(drifted, asked).alarms == []
    for of in ({}, {"level": "site", "cohort": "north"}):
        [told] = found_in(drifted, asked, until="now", **of).open_alarms
        assert told["alarm_id"] == drifted.alarms[0]["alarm_id"]
    assert found_in(drifted, asked, until="now", level="site", cohort="south").alarms == []


def test_alarms_that_are_over_are_told_of_those_taken_back_and_silence_are_not(
    drifted: Drifted, tmp_path: Path
) -> None:
    shared = {"model": "drawn", "model_version": 1}
    rows = {
        "windows": [row | shared for row in (window(place, events=100) for place in range(9))],
        "alarms": [
            alarm(1, "cleared", cleared_at=at(START + 3 * WINDOW_US), **shared),
            alarm(2, "retracted", **shared),
            alarm(3, "raised", statistic="silence", **shared),
            alarm(4, "raised", model="drawn", model_version=2),
        ],
    }
    width = layout_of(drifted.references.scale("drawn", 1)).width
    for row in rows["windows"]:
        row["counts"] = [100] * width
    connection = connect(lake(tmp_path, rows))
    found = found_in(drifted, connection, since="-1w", until="now")
    assert [each["alarm_id"] for each in found.alarms] == [alarm(1)["alarm_id"]]
    assert found.open_alarms == []


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"model": "other"}, "no bundle with a reference"),
        ({"version": 2}, "no bundle with a reference"),
        ({"level": "site"}, "belong together"),
        ({"cohort": "north"}, "belong together"),
        ({"level": "site", "cohort": "nowhere"}, "0 events between"),
        ({"level": "site", "cohort": "south", "until": str(at(START + 5 * WINDOW_US))}, "choose a longer stretch"),
        ({"since": HEALTHY, "until": BEGIN}, "0 events between"),
        ({"since": "soon"}, "is no time"),
    ],
)
def test_what_can_not_be_blessed_is_refused_with_what_to_do(
    of: dict[str, Any], told: str, drifted: Drifted, asked: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(InputError, match=told):
        found_in(drifted, asked, **of)


def test_a_lake_without_windows_of_the_model_is_said(drifted: Drifted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no window"):
        found_in(drifted, connect(tmp_path))


def test_a_folder_that_can_not_be_written_is_said(
    drifted: Drifted, asked: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeError, match="file"):
        apply(found_in(drifted, asked), drifted.references, tmp_path / "file")


def test_references_are_those_of_the_bundle(drifted: Drifted) -> None:
    assert isinstance(drifted.references, References)
