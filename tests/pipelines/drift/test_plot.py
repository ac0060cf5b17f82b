"""The picture of an alarm: a file that can be looked at, the same for the same alarm."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from pipelines.drift.explain import Explanation, explain
from pipelines.drift.plot import check_plot, plot
from pipelines.views import connect
from schemas.errors import InputError, LakeError
from tests.pipelines.drifting import Drifted
from tests.pipelines.lakes import alarm, lake


@pytest.fixture(scope="module")
def explained(drifted: Drifted) -> Explanation:
    with connect(drifted.root) as connection:
        return explain(connection, drifted.alarms[0]["alarm_id"], drifted.references, drifted.policy)


def words(file: Path) -> str:
    """The text of an SVG, which draws letters as shapes and notes them as comments."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(file, parser).getroot()
    return " ".join(each.text or "" for each in root.iter() if not isinstance(each.tag, str))


def test_an_svg_tells_what_it_shows_and_is_the_same_each_time(explained: Explanation, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plot(explained, tmp_path / name)
    told = words(tmp_path / "one.svg")
    for said in ("needed", "since", "raised", explained.alarm["alarm_id"], "site north", "expected accuracy", "UTC"):
        assert said in told
    assert "cleared" not in told
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_png_is_one(explained: Explanation, tmp_path: Path) -> None:
    plot(explained, tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG\r\n")


def test_an_alarm_that_is_over_shows_when(explained: Explanation, tmp_path: Path) -> None:
    over = replace(explained, alarm={**explained.alarm, "cleared_at": explained.until})
    plot(over, tmp_path / "a.svg")
    assert "cleared" in words(tmp_path / "a.svg")


def test_where_no_accuracy_is_known_none_is_drawn(explained: Explanation, tmp_path: Path) -> None:
    assert explained.history is not None
    unknown = replace(explained.history, accuracy=np.full(len(explained.history.starts), np.nan))
    plot(replace(explained, history=unknown), tmp_path / "a.svg")
    assert "accuracy" not in words(tmp_path / "a.svg")


@pytest.mark.parametrize("name", ["a.jpg", "a", ".svg", "a.svg.gz"])
def test_other_kinds_of_file_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=r"ends in \.png or \.svg"):
        check_plot(Path(name))


def test_a_silent_device_has_nothing_to_draw(drifted: Drifted, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [alarm(0, level="device", cohort="cam-1", statistic="silence")]
    found = explain(connect(lake(tmp_path, {"alarms": rows})), "0", drifted.references, drifted.policy)
    with pytest.raises(InputError, match="silent device"):
        plot(found, tmp_path / "a.png")


def test_a_folder_that_is_not_there_is_said(explained: Explanation, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="No such file"):
        plot(explained, tmp_path / "none" / "a.svg")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="pip install"):
        check_plot(tmp_path / "a.png")
