"""Every record has one fate and every row is there once: whatever breaks that is found, wherever it hides."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.tabulate import day_of, tabulate
from pipelines.verify import verify
from pipelines.views import connect
from schemas.tables import TABLES
from tests.factories import NOON
from tests.pipelines.commanding import Gleaner
from tests.pipelines.lakes import MINUTE, alarm, at, inference, lake, sample, selection, start_of, verdict, window

Claim = tuple[str, int, int, str]  # device, first, last, fate


def rows_of(claims: list[Claim]) -> dict[str, list[dict[str, Any]]]:
    """Rows of tables; each claim is received a minute after the one before."""
    tables: dict[str, list[dict[str, Any]]] = {"inferences": [], "rejects": [], "gaps": []}
    for place, (device, first, last, fate) in enumerate(claims):
        shared = {"device": device, "received": NOON + place * MINUTE, "log_offset": place + 1}
        if fate == "inference":
            tables["inferences"] += [inference(seq, **shared) for seq in range(first, last + 1)]
            continue
        spans = {"stream": inference(0)["stream"], "first_seq": first, "last_seq": last, "log_partition": 0}
        row = shared | spans | {"date": day_of(NOON), "reason": "fork" if fate == "fork" else "why"}
        tables["gaps" if fate == "gap" else "rejects"].append(row)
    return tables


def made(claims: list[Claim]) -> duckdb.DuckDBPyConnection:
    """A lake in memory, with the views that `verify` asks."""
    connection = duckdb.connect()
    tables = rows_of(claims)
    for name, table in TABLES.items():
        batch = pa.Table.from_batches([tabulate(table, tables.get(name, []))])
        connection.register(f"{name}_rows", batch)
        connection.execute(f"create table {name} as from {name}_rows")
    connection.execute((Path("pipelines") / "sql" / "fates.sql").read_text())
    return connection


def spans(ranges: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(each["device"], each["first_seq"], each["last_seq"]) for each in ranges]


def test_a_whole_stream_is_sound_whatever_its_fates() -> None:
    found = verify(made([("a", 0, 0, "inference"), ("a", 1, 7, "gap"), ("a", 8, 8, "reject")]))
    assert found.sound
    assert (found.inferences, found.gaps, found.rejects) == (1, {"why": 7}, {"why": 1})


def test_an_empty_lake_is_sound(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    assert verify(connect(tmp_path / "lake")).sound


def test_a_hole_is_told_once_it_has_been_open_for_long_enough() -> None:
    lake = made([("a", 2, 3, "inference"), ("a", 6, 6, "inference"), ("b", 0, 0, "inference")])
    assert verify(lake).sound
    assert spans(verify(lake, settle=timedelta(minutes=1)).holes) == [("a", 0, 1), ("a", 4, 5)]
    assert spans(verify(lake, settle=timedelta(minutes=2)).holes) == [("a", 0, 1)]


def test_a_record_with_two_fates_is_told_at_once() -> None:
    found = verify(made([("a", 0, 9, "gap"), ("a", 4, 4, "inference"), ("a", 9, 12, "reject")]))
    assert spans(found.doubled) == [("a", 4, 4), ("a", 9, 9)]
    assert not found.sound


def test_a_fork_is_a_finding_and_no_second_fate() -> None:
    found = verify(made([("a", 0, 9, "inference"), ("a", 4, 6, "fork")]))
    assert (spans(found.forks), found.doubled, found.rejects, found.sound) == ([("a", 4, 6)], [], {}, False)


@pytest.mark.parametrize(("since", "until", "holes"), [(1, None, 1), (None, 0, 0), (2, None, 0)])
def test_only_the_asked_stretch_of_time_is_judged(since: int | None, until: int | None, holes: int) -> None:
    lake = made([("a", 0, 0, "inference"), ("a", 2, 2, "inference"), ("a", 3, 3, "inference")])
    span: list[datetime | None] = [None if each is None else at(NOON + each * MINUTE) for each in (since, until)]
    assert len(verify(lake, *span, settle=timedelta(0)).holes) == holes


ranges = st.tuples(
    st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 5), st.sampled_from(["inference", "inference", "gap"])
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ranges, min_size=1, max_size=12), st.sampled_from([0, 1010, 10_000]))
def test_it_finds_what_counting_each_record_finds(drawn: list[tuple[str, int, int, str]], start: int) -> None:
    claims = [(device, start + first, start + first + more, fate) for device, first, more, fate in drawn]
    found = verify(made(claims), settle=timedelta(0))
    for device in {claim[0] for claim in claims}:
        fates = [n for d, first, last, _ in claims if d == device for n in range(first, last + 1)]
        holes = {n for d, first, last in spans(found.holes) if d == device for n in range(first, last + 1)}
        doubled = {n for d, first, last in spans(found.doubled) if d == device for n in range(first, last + 1)}
        assert holes == set(range(max(fates))) - set(fates)
        assert doubled == {n for n in fates if fates.count(n) > 1}


@pytest.mark.parametrize("edge", [1023, 1024, 1025, 5000])
def test_one_wrong_record_among_thousands_is_found(edge: int) -> None:
    whole = [("a", 0, 6000, "inference")]
    assert verify(made(whole)).sound
    holed = [("a", 0, edge - 1, "inference"), ("a", edge + 1, 6000, "inference")]
    assert spans(verify(made(holed), settle=timedelta(0)).holes) == [("a", edge, edge)]
    assert spans(verify(made([*whole, ("a", edge, edge, "inference")])).doubled) == [("a", edge, edge)]
    assert spans(verify(made([*whole, ("a", edge, edge, "gap")])).doubled)[0][0] == "a"
    swapped = [*holed, ("a", 7, 7, "inference")]  # as many rows as numbers, but not the same
    found = verify(made(swapped), settle=timedelta(0))
    assert (spans(found.holes), spans(found.doubled)) == ([("a", edge, edge)], [("a", 7, 7)])


TWICE = {
    "windows": [window(0, 1.0), window(0, 1.5)],
    "drift": [verdict(0, 1.0), verdict(0, 1.5)],
    "alarms": [alarm(0), alarm(0, "confirmed")],
    "selections": [selection("r", "requested", NOON), selection("r", "requested", NOON + 1)],
    "samples": [sample(1), sample(1, received=NOON + 1, log_offset=9)],
}
ONCE = {
    "windows": [window(0), window(0, revision=1), window(1), window(0, level="device"), window(0, cohort="south")],
    "drift": [verdict(0), verdict(0, revision=1), verdict(0, statistic="prediction_mix"), verdict(0, level="device")],
    "alarms": [alarm(0), alarm(0, "confirmed", revision=1), alarm(1)],
    "selections": [selection("r", "requested", NOON), selection("r", "delivered", NOON + 1)],
    "samples": [sample(1), sample(2)],
}


def from_log(*offsets: tuple[int, int]) -> list[dict[str, Any]]:
    """Rows of small messages: offset, and minute of receipt."""
    shared = {"date": day_of(NOON), "device": "a", "log_partition": 0, "stream": "s", "first_seq": 0, "last_seq": 0}
    return [shared | {"log_offset": offset, "received": NOON + minute * MINUTE} for offset, minute in offsets]


def kept(name: str, row: dict[str, Any]) -> dict[str, Any]:
    extra = {"reason": "why"} if name == "rejects" else {}
    return {key: value for key, value in (row | extra).items() if key in TABLES[name].schema.names}


@pytest.mark.parametrize("name", TWICE)
def test_a_row_that_is_there_twice_is_a_finding(name: str, tmp_path: Path) -> None:
    found = verify(connect(lake(tmp_path / "twice", {name: TWICE[name]})))
    assert [(each["table"], each["rows"]) for each in found.repeated] == [(name, 2)]
    assert not found.sound
    assert verify(connect(lake(tmp_path / "once", {name: ONCE[name]}))).repeated == []


@pytest.mark.parametrize("name", ["rejects", "gaps", "devices", "feedback"])
def test_a_message_that_made_a_row_twice_is_a_finding_and_one_of_another_log_is_not(name: str, tmp_path: Path) -> None:
    twice = [kept(name, row) for row in from_log((5, 0), (5, 0))]
    [found] = verify(connect(lake(tmp_path / "twice", {name: twice}))).repeated
    assert (found["table"], found["log_offset"], found["rows"]) == (name, 5, 2)
    once = [kept(name, row) for row in from_log((5, 0), (6, 0), (5, 1))]
    assert verify(connect(lake(tmp_path / "once", {name: once}))).repeated == []


def told_of(states: list[str], *, without: int | None = None, **last: Any) -> list[dict[str, Any]]:
    """The revisions of an alarm, one of them left out; the last one with changes."""
    since, rows = alarm()["changed"], []
    for revision, state in enumerate(states):
        over = start_of(3) if state == "cleared" else None
        rows.append(alarm(0, state, revision=revision, changed=since + revision, cleared_at=over))
    rows[-1] |= last
    return [row for row in rows if row["revision"] != without]


STORIES = [
    ["raised", "confirmed", "cleared"],
    ["raised", "raised", "retracted", "raised"],
    ["cleared", "raised", "retracted", "confirmed", "retracted", "cleared"],
]


@pytest.mark.parametrize("states", STORIES)
def test_an_alarm_whose_revisions_follow_from_each_other_is_sound(states: list[str], tmp_path: Path) -> None:
    assert verify(connect(lake(tmp_path, {"alarms": told_of(states), "inferences": [inference(0)]}))).sound


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (told_of(["raised", "confirmed", "raised"]), "confirmed before"),
        (told_of(["retracted"]), "before it was raised"),
        (told_of(["raised", "retracted", "retracted"]), "taken back twice"),
        (told_of(["raised", "settled"]), "no such state"),
        (told_of(["raised", "confirmed", "cleared"], without=1), "missing before it"),
        (told_of(["raised", "confirmed"], without=0), "first revision is missing"),
        (told_of(["raised", "cleared"], cleared_at=None), "cleared at no time"),
        (told_of(["raised"], cleared_at=start_of(9)), "open and cleared"),
        (told_of(["raised", "confirmed"], changed=start_of(0)), "before the revision before it"),
    ],
)
def test_an_alarm_that_is_told_out_of_order_is_a_finding(
    broken: list[dict[str, Any]], why: str, tmp_path: Path
) -> None:
    rows = {"alarms": [*broken, alarm(5)], "inferences": [inference(0, received=NOON - 60 * MINUTE)]}
    found = verify(connect(lake(tmp_path, rows)))
    assert [(each["alarm_id"], why in each["why"]) for each in found.mistold] == [(alarm()["alarm_id"], True)]
    assert not found.sound


def test_a_lake_that_begins_in_the_midst_of_an_alarm_is_sound(tmp_path: Path) -> None:
    rows = {"alarms": told_of(["raised", "confirmed", "cleared"], without=0), "inferences": [inference(600)]}
    assert verify(connect(lake(tmp_path, rows))).sound


def test_the_command_tells_each_finding_and_ends_with_1(tmp_path: Path, gleaner: Gleaner) -> None:
    claims = [("a", 0, 3, "inference"), ("a", 3, 3, "gap"), ("a", 6, 6, "inference"), ("a", 2, 2, "fork")]
    root = lake(tmp_path, rows_of(claims) | {"samples": TWICE["samples"], "alarms": told_of(["retracted"])})
    done = gleaner("verify", "--lake", str(root), "--settle", "0")
    assert done.status == 1
    for told in (
        "holes still open: 2",
        "records with more than one fate: 1",
        "forks, records under numbers that others had first: 1",
        "rows that are there more than once: 1",
        "alarms that are told out of order: 1",
    ):
        assert told in done.out
    done = gleaner("verify", "--lake", str(root), "--settle", "0", "--json")
    said = json.loads(done.out)
    assert (done.status, said["sound"], spans(said["forks"])) == (1, False, [("a", 2, 2)])
    assert [len(said[name]) for name in ("holes", "doubled", "forks", "repeated", "mistold")] == [1] * 5
