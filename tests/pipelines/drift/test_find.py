"""Naming an alarm: by its id, or by as much of it as is enough."""

from pathlib import Path

import pytest

from pipelines.drift.find import find_alarm, story_of
from pipelines.views import connect
from schemas.errors import InputError
from tests.pipelines.lakes import alarm, lake

ROWS = [
    alarm(0, alarm_id="ab12000000000000"),
    alarm(0, "confirmed", revision=1, alarm_id="ab12000000000000"),
    alarm(1, alarm_id="ab34000000000000", cohort="south"),
    alarm(2, alarm_id="cd00000000000000"),
]


@pytest.mark.parametrize("name", ["ab12000000000000", "ab1", "AB1", " ab12 "])
def test_an_alarm_is_found_by_its_first_digits_as_it_now_stands(name: str, tmp_path: Path) -> None:
    found = find_alarm(connect(lake(tmp_path, {"alarms": ROWS})), name)
    assert (found["alarm_id"], found["state"]) == ("ab12000000000000", "confirmed")


def test_a_name_of_several_is_refused_with_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 alarms begin with 'ab': ab34000000000000, ab12000000000000"):
        find_alarm(connect(lake(tmp_path, {"alarms": ROWS})), "ab")


@pytest.mark.parametrize("name", ["", "  ", "ef", "%", "ab12000000000000f", "a_12", "x' or true --"])
def test_a_name_of_none_is_refused_with_the_newest_ones(name: str, tmp_path: Path) -> None:
    newest = r"cd00000000000000 \(site north\), ab34000000000000 \(site south\)"
    with pytest.raises(InputError, match=f"no alarm .*{newest}"):
        find_alarm(connect(lake(tmp_path, {"alarms": ROWS})), name)


def test_where_there_was_none_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there has been none yet"):
        find_alarm(connect(tmp_path), "ab")


def test_the_story_is_each_revision_in_order(tmp_path: Path) -> None:
    connection = connect(lake(tmp_path, {"alarms": ROWS[::-1]}))
    assert [each["state"] for each in story_of(connection, "ab12000000000000")] == ["raised", "confirmed"]
