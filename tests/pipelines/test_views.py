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
from tests.pipelines.lakes import (
    MINUTE,
    alarm,
    at,
    hello,
    inference,
    lake,
    sample,
    selection,
    start_of,
    verdict,
    window,
    word,
)


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


CURRENT = [
    {"e_value": 1.0},
    {"e_value": 9.0, "revision": 10},
    {"e_value": 5.0, "revision": 9},
    {"e_value": 2.0, "place": 1},
    {"e_value": 3.0, "level": "device"},
    {"e_value": 6.0, "cohort": "south"},
    {"e_value": 7.0, "model_version": 4},
    {"e_value": 8.0, "model": "other"},
]


def test_current_windows_and_drift_are_the_highest_revision_of_each_window(tmp_path: Path) -> None:
    rows = {
        "windows": [window(**{"place": 0} | row) for row in CURRENT],
        "drift": [verdict(**{"place": 0} | row) for row in [*CURRENT, {"e_value": 4.0, "statistic": "prediction_mix"}]],
    }
    query = "select e_value, revision from current_{} order by e_value"
    connection = connect(lake(tmp_path, rows))
    windows = connection.execute(query.format("windows")).fetchall()
    assert windows == [(2.0, 0), (3.0, 0), (6.0, 0), (7.0, 0), (8.0, 0), (9.0, 10)]
    assert connection.execute(query.format("drift")).fetchall() == sorted([*windows, (4.0, 0)])


def test_an_alarm_is_as_its_last_revision_says_and_open_until_it_is_taken_back_or_over(tmp_path: Path) -> None:
    def revisions(place: int, *states: str) -> list[dict[str, Any]]:
        rows = [alarm(place, state, revision=revision) for revision, state in enumerate(states)]
        return rows[::-1]  # in whatever order they were written

    rows = [
        *revisions(0, "raised"),
        *revisions(1, *["raised"] * 10, "confirmed"),
        *revisions(2, "raised", "retracted"),
        *revisions(3, "raised", "confirmed", "cleared"),
        *revisions(4, "raised", "retracted", "raised"),
    ]
    query = "select state, revision from {} order by raised_at"
    connection = connect(lake(tmp_path, {"alarms": rows}))
    assert connection.execute(query.format("current_alarms")).fetchall() == [
        ("raised", 0), ("confirmed", 10), ("retracted", 1), ("cleared", 2), ("raised", 2)
    ]  # fmt: skip
    assert connection.execute(query.format("open_alarms")).fetchall() == [
        ("raised", 0),
        ("confirmed", 10),
        ("raised", 2),
    ]


def test_a_label_is_the_last_word_on_a_record(tmp_path: Path) -> None:
    rows = {
        "inferences": [inference(seq, class_ids=[4, 9]) for seq in range(6)],
        "feedback": [
            word(0, "confirmed"),
            word(1, "corrected", class_id=9),
            word(2, "corrected", class_id=4),  # to what it said
            word(3, "confirmed"),
            word(3, "dismissed", received=NOON + 90 * MINUTE),
            word(4, "corrected", class_id=7, received=NOON + 90 * MINUTE),
            word(4, "confirmed"),
            word(77, "confirmed"),  # of no inference
        ],
    }
    query = "select seq, label, correct from labels order by seq"
    assert ask(tmp_path, rows, query) == [(0, 4, True), (1, 9, False), (2, 4, True), (4, 7, False)]


def test_a_label_tells_what_its_device_had_said_before(tmp_path: Path) -> None:
    rows = {
        "inferences": [inference(seq) for seq in range(4)],
        "feedback": [word(seq) for seq in range(4)],
        "devices": [
            hello(received=NOON + MINUTE, hardware="pi-4", attributes=[("lens", "wide")]),
            hello(received=NOON + 3 * MINUTE, hardware="pi-5"),
            hello("cam-2", hardware="other"),
        ],
    }
    query = "select seq, hardware, attributes['lens'] from labels order by seq"
    assert ask(tmp_path, rows, query) == [(0, None, None), (1, "pi-4", "wide"), (2, "pi-4", "wide"), (3, "pi-5", None)]


LEVELS = {
    "fleet": "fleet",
    "site": "north",
    "device/site": "cam-1/north",
    "class": "0",
    "hardware": "pi_4",
    "attributes.lens": "wide_1",
    "site/attributes.none": "north/unknown",
    "agent": "unknown",
}


@pytest.mark.parametrize("level", LEVELS)
def test_expected_accuracy_stands_beside_what_people_said_of_the_same_cohort_and_window(
    level: str, tmp_path: Path
) -> None:
    other = {"device": "cam-9", "site": "south", "class_ids": [5, 6]}
    rows = {
        "windows": [window(place, level=level, cohort=LEVELS[level]) for place in range(3)]
        + [window(0, level=level, cohort="elsewhere")],
        "inferences": [inference(seq, (0.75, 0.25)) for seq in (0, 9, 10)] + [inference(1, (0.5, 0.5), clock_off=True)],
        "feedback": [word(0), word(9, "corrected", class_id=3), word(10), word(1)],
        "devices": [hello(hardware="pi/4", agent="", attributes=[("lens", "wide/1")])],
    }
    if level != "fleet":
        rows["inferences"].append(inference(2, **other))
        rows["feedback"].append(word(2, device="cam-9"))
        rows["devices"].append(hello("cam-9", hardware="pi-3", agent="1", attributes=[("lens", "tele"), ("none", "x")]))
    query = """select cohort, window_start, expected_accuracy, labelled, correct, labelled_confidence
               from expected_accuracy order by cohort <> ?, cohort, window_start"""
    found = connect(lake(tmp_path, rows)).execute(query, [LEVELS[level]]).fetchall()
    assert found == [
        (LEVELS[level], at(start_of(0)), 0.95, 2, 1, 0.75),
        (LEVELS[level], at(start_of(1)), 0.95, 1, 1, 0.75),
        (LEVELS[level], at(start_of(2)), 0.95, 0, 0, None),
        ("elsewhere", at(start_of(0)), 0.95, 0, 0, None),
    ]


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
    rows = {"inferences": [inference(0, model=name)], "drift": [verdict(0, model=name)]}
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
