"""The commands on drift: what they print, what they refuse, and an exit status that means something."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.bundle import MANIFEST
from tests.pipelines.commanding import Gleaner, objects, sets
from tests.pipelines.drifting import BAD, CHANGE, SETTINGS, START, WINDOW_US, Drifted
from tests.pipelines.lakes import alarm, at, lake, start_of, verdict, window


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on(drifted: Drifted, references: Path, *words: str) -> tuple[str, ...]:
    """A command on the lake of these tests, with the bundles beside it."""
    places = (f"data_dir={drifted.root.parent}", f"models.references={references}")
    return (*sets(*places, *SETTINGS), *words)


def storm() -> dict[str, list[dict[str, Any]]]:
    """A site in alarm, and five devices of it for the same cause."""
    devices = [f"cam-{number}" for number in range(5)]
    shared = {"cause": alarm(1)["alarm_id"], "since": start_of(1)}
    return {
        "windows": [window(place, 10.0 ** (3 * place), cohort="north") for place in range(4)]
        + [window(place, 1.0, cohort="south", expected_accuracy=None) for place in range(4)]
        + [window(3, 1e8, level="device", cohort=device) for device in devices],
        "drift": [verdict(3, 9.0, cohort="south", statistic="margin")],
        "alarms": [alarm(1, "confirmed", **shared)]
        + [alarm(10 + place, level="device", cohort=device, **shared) for place, device in enumerate(devices)]
        + [alarm(2, "cleared", cohort="south", cleared_at=start_of(3))],
    }


# drift

TABLE = """\
 model     level   cohort  windows  events  e_value  needed  recent  expected accuracy  statistic   state
 digits 3  site    north   4        90      1e+09    5040    ▁▆██    95.0% ± 2.0%       confidence  ALARM since 22:23
 digits 3  device  cam-0   1        90      1e+08    5040    █       95.0% ± 2.0%       confidence  ALARM since 22:23
 digits 3  device  cam-1   1        90      1e+08    5040    █       95.0% ± 2.0%       confidence  ALARM since 22:23
 digits 3  site    south   4        90      1        4320    ▁▁▁▁                       margin
… and 3 more of the same cause (3 of device): gleaner drift alarms --cause 0000000000000002
"""


def test_the_table_shows_how_cohorts_stand_and_a_storm_by_its_cause(folder: Path, gleaner: Gleaner) -> None:
    done = gleaner("drift", "--lake", str(lake(folder, storm())))
    assert (done.status, done.err) == (1, "")
    told = "".join(f"{line.rstrip()}\n" for line in done.out.splitlines())
    assert told.replace("2023-11-14 ", "") == TABLE


def test_machines_are_told_of_every_cohort_with_all_its_alarms(folder: Path, gleaner: Gleaner) -> None:
    done = gleaner("drift", "--json", "--lake", str(lake(folder, storm())))
    told = objects(done.out)
    assert (done.status, len(told)) == (1, 7)
    assert [each["cohort"] for each in told if each["alarms"]] == ["north", *(f"cam-{number}" for number in range(5))]
    north = told[0]
    assert north["alarms"] == [
        {
            "alarm_id": "0000000000000002",
            "state": "confirmed",
            "statistic": "confidence",
            "since": "2023-11-14T22:23:20+00:00",
            "cause": "0000000000000002",
        }
    ]
    assert (north["recent"], north["accuracy"], north["accuracy_error"], north["labelled"]) == (
        [1.0, 1e3, 1e6, 1e9], 0.95, 0.02, 0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "cohorts", "status"),
    [
        (("--level", "site"), {"north", "south"}, 1),
        (("--level", "device"), {f"cam-{number}" for number in range(5)}, 1),
        (("--model", "digits", "--level", "site"), {"north", "south"}, 1),
        (("--model", "other"), set(), 0),
    ],
)
def test_only_what_is_asked_for_is_told_and_decides_the_exit_status(
    options: tuple[str, ...], cohorts: set[str], status: int, folder: Path, gleaner: Gleaner
) -> None:
    done = gleaner("drift", "--json", "--lake", str(lake(folder, storm())), *options)
    assert ({each["cohort"] for each in objects(done.out)}, done.status) == (cohorts, status)
    assert done.err == ("" if cohorts else "no such cohort has been judged\n")


@pytest.mark.parametrize("state", ["raised", "confirmed", "retracted", "cleared"])
def test_exit_1_means_that_an_alarm_lasts(state: str, folder: Path, gleaner: Gleaner) -> None:
    over = start_of(5) if state == "cleared" else None
    rows = {
        "windows": [window(0)],
        "alarms": [alarm(0), alarm(0, state, revision=1, cleared_at=over)],
    }
    assert gleaner("drift", "--lake", str(lake(folder, rows))).status == (state in ("raised", "confirmed"))


def test_no_window_yet_is_said_and_is_no_finding(folder: Path, gleaner: Gleaner) -> None:
    told = gleaner("drift", "--lake", str(folder), "--json")
    assert (told.status, told.out, told.err) == (0, "", "no window has been judged yet\n")


def test_every_statistic_is_told_with_a_star_beyond_its_null_interval(folder: Path, gleaner: Gleaner) -> None:
    rows = {
        "windows": [window(0), window(1)],
        "drift": [
            verdict(0, 99.0),
            verdict(1, 2.0, jensen_shannon=0.3, kolmogorov_smirnov=None, opinions=["adwin", "page_hinkley"]),
            verdict(1, 5.0, statistic="margin"),
        ],
    }
    root = str(lake(folder, rows))
    lines = gleaner("drift", "--all", "--lake", root).out.splitlines()
    assert [line.split()[4] for line in lines] == ["statistic", "margin", "confidence"]
    assert "0.3 *" in lines[2]
    assert "*" not in lines[1]
    assert "adwin, page_hinkley" in lines[2]
    told = objects(gleaner("drift", "--all", "--json", "--lake", root).out)
    assert [(each["statistic"], each["e_value"]) for each in told] == [("margin", 5.0), ("confidence", 2.0)]
    assert told[0]["wasserstein_high"] == 0.2


def test_a_bundle_that_can_not_be_read_hides_no_alarm(folder: Path, gleaner: Gleaner) -> None:
    (folder / "models" / "x").mkdir(parents=True)
    (folder / "models" / "x" / MANIFEST).write_text("{")
    done = gleaner("--set", f"data_dir={folder}", "drift", "--lake", str(lake(folder, storm())))
    assert done.status == 1
    assert "ALARM" in done.out
    assert done.err.startswith("without bundles, so labels are not taken into account: ")


@pytest.mark.parametrize(
    "words", [("alarms",), ("explain", "0"), ("rebase", "--model", "m", "--version", "1", "--from", "-1d")]
)
def test_an_option_before_the_subcommand_is_not_forgotten_in_silence(
    words: tuple[str, ...], folder: Path, gleaner: Gleaner
) -> None:
    gleaner("drift", "--lake", str(folder), *words).refused(f"behind `drift {words[0]}`")


def test_devices_words_are_shown_and_not_obeyed(folder: Path, gleaner: Gleaner) -> None:
    rows = {"windows": [window(0, cohort="[red]\x1b[31m")], "alarms": [alarm(0, cohort="[red]\x1b[31m")]}
    root = str(lake(folder, rows))
    for command in (("drift",), ("drift", "alarms")):
        assert r"[red]\x1b[31m" in gleaner(*command, "--lake", root).out


# drift alarms


def test_alarms_are_listed_newest_first_as_they_now_stand(folder: Path, gleaner: Gleaner) -> None:
    root = str(lake(folder, storm()))
    told = objects(gleaner("drift", "alarms", "--json", "--lake", root).out)
    assert [each["cohort"] for each in told] == ["cam-4", "cam-3", "cam-2", "cam-1", "cam-0", "south", "north"]
    assert (told[5]["state"], told[5]["cleared_at"]) == ("cleared", "2023-11-14T22:43:20+00:00")
    lines = gleaner("drift", "alarms", "--lake", root, "--limit", "1").out.splitlines()
    assert [line.split()[:2] for line in lines] == [["alarm_id", "state"], ["000000000000000f", "raised"]]


@pytest.mark.parametrize(
    ("options", "n"),
    [
        (("--open",), 6), (("--cause", "0000000000000002"), 6), (("--cause", "0000000000000003"), 1),
        (("--level", "site"), 2), (("--level", "site", "--open"), 1), (("--model", "x"), 0), (("--limit", "3"), 3),
    ],
)  # fmt: skip
def test_alarms_can_be_chosen(options: tuple[str, ...], n: int, folder: Path, gleaner: Gleaner) -> None:
    done = gleaner("drift", "alarms", "--json", "--lake", str(lake(folder, storm())), *options)
    assert (done.status, len(objects(done.out))) == (0, n)


# drift explain


def test_an_explanation_for_eyes_names_what_moved_and_who_it_is(
    drifted: Drifted, folder: Path, gleaner: Gleaner
) -> None:
    alarm_id = drifted.alarms[0]["alarm_id"]
    done = gleaner(*on(drifted, folder, "drift", "explain", alarm_id[:5], "--plot", "alarm.svg"))
    assert (done.status, done.err) == (0, "drawn to alarm.svg\n")
    assert (folder / "alarm.svg").exists()
    lines = done.out.splitlines()
    assert lines[:2] == [f"alarm     {alarm_id}, confirmed", "cohort    site north, drawn 1"]
    assert any(line.split()[:5] == ["device:", "1", "of", "4", BAD] and "carries it" in line for line in lines)
    assert any(line.split()[:4] == ["hardware:", "1", "of", "2"] and "pi-5" in line for line in lines)
    assert any(" → " in line and "%" in line for line in lines)
    assert sum(BAD in line and "0001020304" in line for line in lines) == 10


def test_an_explanation_for_machines_holds_all_of_it(drifted: Drifted, folder: Path, gleaner: Gleaner) -> None:
    alarm_id = drifted.alarms[0]["alarm_id"]
    [told] = objects(gleaner(*on(drifted, folder, "drift", "explain", alarm_id, "--json")).out)
    assert told["alarm_id"] == alarm_id
    assert told["moved"][0]["statistic"] == told["statistic"]
    assert [each["name"] for each in told["parts"]["device"] if each["carries"]] == [BAD]
    assert {each["device"] for each in told["examples"]} == {BAD}
    assert all(each["sample"] is False for each in told["examples"])
    assert told["compared_with"].startswith("the 2,000 validation rows")
    assert abs(at(START + CHANGE * WINDOW_US).timestamp() - _seconds(told["since"])) <= WINDOW_US / 1e6


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_a_silent_device_is_explained_in_a_line(folder: Path, gleaner: Gleaner) -> None:
    silent = alarm(0, level="device", cohort="cam-1", statistic="silence", events=0, since=start_of(-3))
    root = str(lake(folder, {"alarms": [silent]}))
    done = gleaner("drift", "explain", "0", "--lake", root)
    assert (done.status, done.err) == (0, "")
    assert "silent    it has sent nothing since 2023-11-14 21:43\n" in done.out
    gleaner("drift", "explain", "0", "--lake", root, "--plot", "x.png").refused("silent device")


def test_an_alarm_that_is_not_there_is_one_clear_line(folder: Path, gleaner: Gleaner) -> None:
    root = str(lake(folder, storm()))
    gleaner("drift", "explain", "ffff", "--lake", root).refused("no alarm 'ffff'", "000000000000000f")
    gleaner("drift", "explain", "00", "--lake", root).refused("7 alarms begin with '00'")
    gleaner("drift", "explain", "00", "--lake", root, "--plot", "x.jpg").refused(".png or .svg")


# drift rebase


def rebase(drifted: Drifted, references: Path, *words: str) -> tuple[str, ...]:
    return on(drifted, references, "drift", "rebase", "--model", "drawn", "--version", "1", *words)


HEALTHY = ("--from", str(at(START)), "--to", str(at(START + (CHANGE - 1) * WINDOW_US)))


def test_blessed_windows_are_what_is_compared_with_from_then_on(
    drifted: Drifted, folder: Path, gleaner: Gleaner
) -> None:
    references = folder / "references"
    done = gleaner(*rebase(drifted, references, *HEALTHY, "--level", "site", "--cohort", "north", "--yes"))
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == "for       site north of drawn 1"
    assert "from its next start on" in done.err
    assert [path.name for path in references.iterdir()] == ["drawn-1@site=north.parquet"]
    [told] = objects(gleaner(*on(drifted, references, "drift", "explain", drifted.alarms[0]["alarm_id"], "--json")).out)
    assert told["compared_with"].startswith("windows of production that were blessed for site north")


def test_machines_are_told_what_was_blessed(drifted: Drifted, folder: Path, gleaner: Gleaner) -> None:
    done = gleaner(*rebase(drifted, folder / "r", *HEALTHY, "--yes", "--json"))
    [told] = objects(done.out)
    assert (told["level"], told["cohort"], told["counted"], told["alarms"]) == ("", "", "site", [])
    assert told["file"] == str(folder / "r" / "drawn-1.parquet")
    assert Path(told["file"]).exists()
    assert told["rows"] == 6 * 25 * (CHANGE - 1)


def test_nothing_is_blessed_unasked(drifted: Drifted, folder: Path, gleaner: Gleaner) -> None:
    done = gleaner(*rebase(drifted, folder / "r", *HEALTHY))
    assert done.status == 2
    assert done.err == "gleaner: nobody is here to be asked; say --yes\n"
    assert not (folder / "r").exists()


def test_what_is_in_an_open_alarm_is_blessed_by_force_alone(drifted: Drifted, folder: Path, gleaner: Gleaner) -> None:
    words = rebase(drifted, folder / "r", "--from", "-1w", "--yes")
    gleaner(*words).refused("1 open alarm", drifted.alarms[0]["alarm_id"], "--force")
    assert not (folder / "r").exists()
    done = gleaner(*words, "--force")
    assert done.status == 0
    assert f"alarms    {drifted.alarms[0]['alarm_id']} (confirmed)" in done.out
    assert (folder / "r" / "drawn-1.parquet").exists()


def test_too_few_events_are_refused(drifted: Drifted, folder: Path, gleaner: Gleaner) -> None:
    gleaner(*rebase(drifted, folder, "--from", "-20m", "--level", "site", "--cohort", "south", "--yes")).refused("500")
