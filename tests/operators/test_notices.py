"""Notices: every alarm is told once, a storm of one cause is one notice, and a repeat is known by its id."""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.notices import MOST_BYTES, MOST_LISTED, Notice, encode, notices
from schemas.tables import ALARMS
from tests.factories import NOON

STATES = ("raised", "confirmed", "retracted", "cleared")
MINUTE = 60_000_000


def alarm(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of `alarms`."""
    usual = {
        "date": NOON // 86_400_000_000,
        "model": "digits",
        "alarm_id": f"{number:016x}",
        "revision": 0,
        "state": "raised",
        "changed": NOON + 15 * MINUTE,
        "model_version": 1,
        "level": "site",
        "cohort": f"site-{number}",
        "statistic": "confidence",
        "since": NOON,
        "raised_at": NOON + 10 * MINUTE,
        "cleared_at": None,
        "events": 412,
        "e_value": 2.5e9,
        "needed": 3.0e7,
        "cause": "00000000000000aa",
        "moved": "[]",
    }
    assert usual.keys() == set(ALARMS.schema.names)
    assert changes.keys() <= usual.keys()
    return usual | changes


def drawn() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of one round: each alarm once."""
    row = st.builds(
        alarm,
        number=st.integers(0, 2**32),
        revision=st.integers(0, 3),
        state=st.sampled_from(STATES),
        cause=st.sampled_from(["a", "b", "c", None]),
        cohort=st.text(max_size=20),
        e_value=st.none() | st.floats(),
        events=st.none() | st.integers(0, 2**40),
        cleared_at=st.none() | st.just(NOON),
    )
    return st.lists(row, max_size=120, unique_by=lambda row: row["alarm_id"])


# laws


@given(drawn())
def test_each_alarm_is_counted_in_exactly_one_notice_of_its_cause_and_state(rows: list[dict[str, Any]]) -> None:
    told = Counter({(notice["cause"], notice["state"]): notice["count"] for notice in notices(rows)})
    assert told == Counter((row["cause"] or row["alarm_id"], row["state"]) for row in rows)
    assert len(told) == len(notices(rows))


@given(drawn(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, Any]], chance: random.Random) -> None:
    before = notices(rows)
    chance.shuffle(rows)
    assert notices(rows) == before


@given(drawn())
def test_a_notice_lists_its_first_alarms_and_is_never_large(rows: list[dict[str, Any]]) -> None:
    for notice in notices(rows):
        own = sorted(
            (
                row
                for row in rows
                if (row["cause"] or row["alarm_id"], row["state"]) == (notice["cause"], notice["state"])
            ),
            key=lambda row: (row["cohort"], row["alarm_id"]),
        )
        assert len(notice["alarms"]) == min(MOST_LISTED, notice["count"])
        assert [each["alarm_id"] for each in notice["alarms"]] == [row["alarm_id"] for row in own[:MOST_LISTED]]
        assert len(encode(notice)) <= MOST_BYTES + 1024


@given(drawn())
def test_it_travels_as_json_that_any_reader_takes(rows: list[dict[str, Any]]) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    for notice in notices(rows):
        assert json.loads(encode(notice), parse_constant=refuse) == notice


@given(drawn(), st.data())
def test_another_alarm_or_revision_is_another_id(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    ids = [notice["id"] for notice in notices(rows)]
    assert len(set(ids)) == len(ids)
    if rows:
        changed = data.draw(st.sampled_from(rows))
        changed["revision"] += 1
        assert len(set(ids) - {notice["id"] for notice in notices(rows)}) == 1
        for row in rows:
            row["moved"], row["changed"] = "[1]", NOON
        assert len(set(ids) - {notice["id"] for notice in notices(rows)}) == 1


# examples


def test_a_storm_with_one_cause_is_one_notice() -> None:
    storm = [alarm(number, level="site/device", cohort=f"north/cam-{number:03d}") for number in range(200)]
    [notice] = notices(storm)
    assert (notice["count"], len(notice["alarms"])) == (200, MOST_LISTED)
    assert notice["alarms"][0]["cohort"] == "north/cam-000"
    assert notice["alarms"][-1]["cohort"] == "north/cam-049"


def test_two_causes_and_two_states_are_told_apart() -> None:
    rows = [alarm(1), alarm(2, state="cleared"), alarm(3, cause="other"), alarm(4)]
    assert [(n["cause"], n["state"], n["count"]) for n in notices(rows)] == [
        ("00000000000000aa", "cleared", 1),
        ("00000000000000aa", "raised", 2),
        ("other", "raised", 1),
    ]


def test_the_larger_cohorts_come_first() -> None:
    rows = [alarm(1, level="site/device", cohort="a/cam"), alarm(2, level="site", cohort="b")]
    assert [each["level"] for each in notices(rows)[0]["alarms"]] == ["site", "site/device"]


def test_nothing_that_changed_is_nothing_to_tell() -> None:
    assert notices([]) == []


def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "alarms.md").read_text()


def told_in_docs() -> Notice:
    [block] = re.findall(r"^```json\n(.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    found: Notice = json.loads(block)
    return found


def test_the_notice_in_the_docs_is_what_the_code_gives() -> None:
    told = told_in_docs()
    moved = json.dumps(told["alarms"][0]["moved"])
    [own] = notices([alarm(0xAA, cohort="orchard", moved=moved)])
    assert json.dumps(own) == json.dumps(told)  # the order of keys too


def test_the_docs_tell_each_key() -> None:
    names = set(re.findall(r"`(\w+)`", page()))
    told = told_in_docs()
    assert told.keys() | told["alarms"][0].keys() <= names
    assert set(STATES) <= names


# hostile input


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("inf"), sys.float_info.max),
        (float("-inf"), -sys.float_info.max),
        (float("nan"), None),
        (None, None),
        (0.0, 0.0),
    ],
)
def test_a_number_that_json_does_not_have_is_the_nearest_that_it_has(value: float | None, told: float | None) -> None:
    [notice] = notices([alarm(e_value=value, needed=value)])
    assert (notice["alarms"][0]["e_value"], notice["alarms"][0]["needed"]) == (told, told)


def test_what_moved_may_hold_numbers_that_json_does_not_have() -> None:
    [notice] = notices([alarm(moved='{"a": NaN, "b": 1e999, "c": -Infinity, "d": "\\ud800"}')])
    moved = json.loads(encode(notice))["alarms"][0]["moved"]
    assert moved == {"a": None, "b": sys.float_info.max, "c": None, "d": "\ud800"}


def test_long_descriptions_make_room_by_fewer_alarms_and_a_huge_one_goes_itself() -> None:
    long = json.dumps("x" * (MOST_BYTES // 4))
    [notice] = notices([alarm(number, moved=long) for number in range(9)])
    assert (notice["count"], len(notice["alarms"])) == (9, 3)
    [notice] = notices([alarm(1, moved=json.dumps("x" * MOST_BYTES)), alarm(2)])
    assert [each["moved"] for each in notice["alarms"]] == [None, []]
    assert len(encode(notice)) <= MOST_BYTES + 1024


def test_a_time_that_is_not_known_is_null() -> None:
    [notice] = notices([alarm(since=None, raised_at=None, cleared_at=NOON + 1, statistic=None, moved=None)])
    [told] = notice["alarms"]
    assert (told["since"], told["raised_at"], told["statistic"], told["moved"]) == (None, None, None, None)
    assert told["cleared_at"] == "2023-11-14T22:13:20.000001Z"
