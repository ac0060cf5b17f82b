"""The lake in SQL: each view on a few rows, with answers worked out by hand."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.views import connect, view_names
from schemas.errors import LakeError
from schemas.tables import TABLES
from tests.factories import NOON, STREAM
from tests.pipelines.lakes import MINUTE, at, inference, lake, sample, selection, verdict


def ask(folder: Path, rows: Mapping[str, Sequence[dict[str, Any]]], query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connect(lake(folder, rows)).execute(query).fetchall()
    return found


def test_a_lake_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="no lake here; say --lake"):
        connect(tmp_path / "none")


def test_every_table_and_view_can_be_asked_of_an_empty_lake(tmp_path: Path) -> None:
    connection = connect(tmp_path)
    assert set(TABLES) < set(view_names())
    for name in view_names():
        assert connection.execute(f"select count(*) from {name}").fetchone() == (0,)


def test_predictions_tell_the_best_class_and_its_margin(tmp_path: Path) -> None:
    rows = [
        inference(0, (0.75, 0.25), class_ids=[7, 2]),
        inference(1, (0.5,), class_ids=[3]),
        inference(2, (0.5, 0.25, 0.25), class_ids=[9, 8, 1]),
    ]
    query = "select seq, class_id, confidence, margin from predictions order by seq"
    assert ask(tmp_path, {"inferences": rows}, query) == [(0, 7, 0.75, 0.5), (1, 3, 0.5, 0.5), (2, 9, 0.5, 0.25)]


def test_model_versions_count_inferences_and_devices(tmp_path: Path) -> None:
    rows = [
        inference(0, (0.5,)),
        inference(1, (0.75,), device="cam-2"),
        inference(2, (1.0,), device="cam-2"),
        inference(3, (0.25,), model_version=4),
        inference(4, (0.25,), model="other"),
    ]
    assert ask(tmp_path, {"inferences": rows}, "from model_versions order by all") == [
        ("digits", 3, 3, 2, at(NOON), at(NOON + 2 * MINUTE), 0.75),
        ("digits", 4, 1, 1, at(NOON + 3 * MINUTE), at(NOON + 3 * MINUTE), 0.25),
        ("other", 3, 1, 1, at(NOON + 4 * MINUTE), at(NOON + 4 * MINUTE), 0.25),
    ]


def test_current_drift_is_the_highest_revision_of_each_window(tmp_path: Path) -> None:
    rows = [
        verdict(0, 1.0, alarming=False),
        verdict(0, 9.0, alarming=True, revision=10),
        verdict(0, 5.0, alarming=False, revision=9),
        verdict(1, 2.0, alarming=False),
        verdict(0, 4.0, alarming=False, statistic="prediction_mix"),
        verdict(0, 6.0, alarming=False, site="south"),
        verdict(0, 7.0, alarming=False, model_version=4),
        verdict(0, 8.0, alarming=False, model="other"),
    ]
    query = "select value, revision from current_drift order by value"
    assert ask(tmp_path, {"drift": rows}, query) == [
        (2.0, 0), (4.0, 0), (6.0, 0), (7.0, 0), (8.0, 0), (9.0, 10)
    ]  # fmt: skip


def test_an_alarm_is_a_stretch_of_windows_in_a_row(tmp_path: Path) -> None:
    alarming = [False, True, True, False, True, False, True]
    rows = [verdict(place, 3.0 + place, alarming=alarm) for place, alarm in enumerate(alarming)]
    rows += [verdict(place, 5.0, alarming=place == 0, site="south") for place in range(2)]
    query = "select site, since, until, windows, times_threshold from alarms order by site, since"

    def start(window: int) -> Any:
        return at(NOON + 10 * MINUTE * window)

    assert ask(tmp_path, {"drift": rows}, query) == [
        ("north", start(1), start(3), 2, 2.5),
        ("north", start(4), start(5), 1, 3.5),
        ("north", start(6), start(7), 1, 4.5),
        ("south", start(0), start(1), 1, 2.5),
    ]


def test_an_amended_window_joins_two_alarms(tmp_path: Path) -> None:
    rows = [verdict(place, 4.0, alarming=place != 1) for place in range(3)]
    query = "select windows from alarms order by since"
    assert ask(tmp_path / "before", {"drift": rows}, query) == [(1,), (1,)]
    amended = verdict(1, 4.0, alarming=True, revision=1)
    assert ask(tmp_path / "after", {"drift": [*rows, amended]}, query) == [(3,)]


def test_the_statistics_of_a_site_alarm_each_for_itself(tmp_path: Path) -> None:
    rows = [
        verdict(place, 4.0, alarming=place < 2, statistic=name) for place in range(3) for name in ("confidence", "mix")
    ]
    query = "select statistic, windows from alarms order by statistic"
    assert ask(tmp_path, {"drift": rows}, query) == [("confidence", 2), ("mix", 2)]


def test_a_selection_stands_as_it_ended(tmp_path: Path) -> None:
    rows = [
        selection("a", "requested", NOON),
        selection("b", "requested", NOON),
        selection("b", "delivered", NOON + 5),
        selection("c", "expired", NOON + 5),
        selection("c", "requested", NOON + 5),  # in whatever order they were written
        selection("d", "requested", NOON + 9),
        selection("d", "refused", NOON + 1, detail="evicted"),  # log time of another partition
    ]
    query = "select request_id, status, detail from current_selections order by request_id"
    assert ask(tmp_path, {"selections": rows}, query) == [
        ("a", "requested", ""),
        ("b", "delivered", ""),
        ("c", "expired", ""),
        ("d", "refused", "evicted"),
    ]


def test_labelling_holds_each_sample_with_what_the_model_thought(tmp_path: Path) -> None:
    rows = {
        "inferences": [
            inference(1, (0.75, 0.25), class_ids=[4, 9]),
            inference(1, (0.5, 0.5), stream="ff" * 16, class_ids=[1, 2]),
            inference(2, (0.9, 0.1)),
        ],
        "samples": [sample(1), sample(1, stream="ff" * 16, sample=b"other", request_id="x"), sample(7)],
    }
    query = "select stream, seq, class_id, confidence, margin, sample from labelling order by stream"
    assert ask(tmp_path, rows, query) == [
        (STREAM.hex(), 1, 4, 0.75, 0.5, b"P5 1 1 255 x"),
        ("ff" * 16, 1, 1, 0.5, 0.0, b"other"),
    ]


@pytest.mark.parametrize("name", ["0042", "1e5", "true", "nan", "2023-11-14"])
def test_a_model_that_looks_like_something_else_stays_text(name: str, tmp_path: Path) -> None:
    rows = {"inferences": [inference(0, model=name)], "drift": [verdict(0, 1.0, alarming=False, model=name)]}
    query = "select i.model, i.date, d.model from inferences i join drift d using (model)"
    assert ask(tmp_path, rows, query) == [(name, date(2023, 11, 14), name)]


@pytest.mark.parametrize("name", ["it's", "a b", "l[a]ke", "l*ke", "l?ke", "[", "100%", 'say "x"', "ü", "{a}"])
def test_any_folder_name_will_do(name: str, tmp_path: Path) -> None:
    assert ask(tmp_path / name, {"inferences": [inference(5)]}, "select seq from inferences") == [(5,)]


def test_a_pattern_in_the_name_reads_no_other_lake(tmp_path: Path) -> None:
    lake(tmp_path / "lake-1", {"inferences": [inference(1)]})
    assert ask(tmp_path / "lake-*", {"inferences": [inference(2)]}, "select seq from inferences") == [(2,)]


def test_times_are_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    answer = ask(tmp_path, {"inferences": [inference(0)]}, "select strftime(time, '%H:%M:%S %Z') from inferences")
    assert answer == [("22:13:20 UTC",)]


def test_files_that_came_since_are_read_by_the_same_connection(tmp_path: Path) -> None:
    root = lake(tmp_path / "one", {"inferences": [inference(0)]})
    connection = connect(root)
    more = lake(tmp_path / "two", {"inferences": [inference(1)]})
    for path in more.rglob("*.parquet"):
        path.rename(root / path.relative_to(more).parent / "part-001-000000000000.parquet")
    assert connection.execute("select count(*) from inferences").fetchone() == (2,)
