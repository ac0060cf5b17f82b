"""The commands that read: their data on stdout, their talk on stderr, and an exit status that means something."""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines.log import LogWriter, Message
from pipelines.progress import Progress
from pipelines.settings import Settings, load
from tests.factories import NOON
from tests.pipelines.commanding import ROOT, Gleaner, objects, sets
from tests.pipelines.lakes import inference, lake, sample

NASTY = "[/bold] [red]\x1b[31m \x07 ü"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# config


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("drift.window=PT90S", "log.commit_wait=0.0001", "lake.path=/a \"b\" \\c\n'd'", "select.seed=\U0001f33e\x7f"),
        ("drift.false_alarm_days=1e9", "select.bytes_per_hour=1000000000000000000"),
    ],
)
def test_config_prints_a_file_that_gives_the_same_settings(
    arguments: tuple[str, ...], gleaner: Gleaner, folder: Path
) -> None:
    told = gleaner(*sets(*arguments), "config")
    assert (told.status, told.err) == (0, "")
    (folder / "again.toml").write_text(told.out)
    tomllib.loads(told.out)
    expected, again = load(arguments=arguments), load(folder / "again.toml")
    assert again.model_dump(exclude={"mqtt": {"password"}}) == expected.model_dump(exclude={"mqtt": {"password"}})


def test_config_names_a_setting_that_has_no_value(gleaner: Gleaner) -> None:
    assert "[lake]\n# path is not set\n" in gleaner("config").out


def test_config_as_json_is_one_object_with_every_setting(gleaner: Gleaner) -> None:
    [told] = objects(gleaner("--set", "drift.window=60", "config", "--json").out)
    assert told == json.loads(load(arguments=["drift.window=60"]).model_dump_json())
    assert set(told) == set(Settings.model_fields)


def test_config_shows_no_password(gleaner: Gleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLEANER_MQTT__PASSWORD", "hunter2")
    for form in ((), ("--json",)):
        told = gleaner("config", *form)
        assert "hunter2" not in told.out + told.err
        assert "**" in told.out


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "pipelines.cli", "--set", "mqtt.port=99", "config", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert objects(done.stdout)[0]["mqtt"]["port"] == 99


# sql


@pytest.fixture
def small(folder: Path) -> str:
    rows = [inference(seq, site="north" if seq % 2 else "south") for seq in range(5)]
    return str(lake(folder, {"inferences": rows, "samples": [sample(1)]}))


def test_sql_prints_a_table_for_eyes(small: str, gleaner: Gleaner) -> None:
    told = gleaner("sql", "--lake", small, "select site, count(*) as n from inferences group by site order by site")
    assert (told.status, told.err) == (0, "")
    assert [line.split() for line in told.out.splitlines()] == [["site", "n"], ["north", "2"], ["south", "3"]]


def test_sql_as_json_is_one_object_a_line(small: str, gleaner: Gleaner) -> None:
    query = "select seq, time, date, sample_digest, scores, null as nothing from inferences order by seq limit 2"
    told = objects(gleaner("sql", "--lake", small, "--json", query).out)
    assert [row["seq"] for row in told] == [0, 1]
    assert told[0] == {
        "seq": 0,
        "time": "2023-11-14T22:13:20+00:00",
        "date": "2023-11-14",
        "sample_digest": "00" * 32,
        "scores": [pytest.approx(0.9), pytest.approx(0.1)],
        "nothing": None,
    }


def test_sql_is_read_from_standard_input(small: str, gleaner: Gleaner) -> None:
    told = gleaner("sql", "--lake", small, "--json", "-", stdin=b"select count(*) as n\nfrom inferences -- all")
    assert objects(told.out) == [{"n": 5}]


def test_the_lake_is_that_of_the_settings_unless_one_is_named(small: str, gleaner: Gleaner, folder: Path) -> None:
    query = ("sql", "--json", "select count(*) as n from inferences")
    assert objects(gleaner("--set", f"lake.path={small}", *query).out) == [{"n": 5}]
    assert objects(gleaner("--set", f"data_dir={folder}", *query).out) == [{"n": 5}]


@pytest.mark.parametrize("query", ["selec 1", "from nothing", "select 1 +", "select 'x'::int", "select error('a\nb')"])
def test_bad_sql_is_one_line(query: str, small: str, gleaner: Gleaner) -> None:
    gleaner("sql", "--lake", small, query).refused("inferences", "current_drift")


@pytest.mark.parametrize("query", ["", " ", "/* nothing */", ";"])
def test_no_question_has_no_answer(query: str, small: str, gleaner: Gleaner) -> None:
    told = gleaner("sql", "--lake", small, query)
    assert (told.status, told.out.strip(), told.err) == (0, "", "")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'nan'::double", None),
        ("'-inf'::float", None),
        ("['inf'::double, 1.5]", [None, 1.5]),
        ("{'a': 'nan'::float, 'b': [1]}", {"a": None, "b": [1]}),
        ("map {1: 'x'}", {"1": "x"}),
        ("'ab'::blob", "6162"),
        ("1.50::decimal(4, 2)", "1.50"),
        ("interval 1 day", "1 day, 0:00:00"),
        ("170141183460469231731687303715884105727::hugeint", 2**127 - 1),
    ],
)
def test_any_value_becomes_json(expression: str, expected: Any, small: str, gleaner: Gleaner) -> None:
    assert objects(gleaner("sql", "--lake", small, "--json", f"select {expression} as x").out) == [{"x": expected}]


def test_what_a_device_wrote_is_shown_and_not_obeyed(small: str, gleaner: Gleaner) -> None:
    told = gleaner("sql", "--lake", small, f"select '{NASTY}' as \"[/x]\"")
    assert told.status == 0
    assert [line.strip() for line in told.out.splitlines()] == ["[/x]", r"[/bold] [red]\x1b[31m \x07 ü"]


def test_a_pipe_that_closes_early_is_taken_quietly(small: str) -> None:
    query = f"{sys.executable} -m pipelines.cli sql --lake {small} --json 'select range as n from range(200000)'"
    done = subprocess.run(["sh", "-c", f"{query} | head -n 1"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout, done.stderr) == ('{"n": 0}\n', "")


# samples


def test_samples_are_listed_newest_first_and_written_to_files(folder: Path, gleaner: Gleaner) -> None:
    other = "ff" * 16
    kinds = {1: "image/x-portable-pixmap", 2: "application/x-npy", 3: "application/x-unheard-of"}
    rows = {
        "inferences": [*(inference(seq) for seq in range(4)), inference(0, stream=other, time=NOON - 1)],
        "samples": [
            *(sample(seq, sample=bytes([seq]), content_type=kind) for seq, kind in kinds.items()),
            sample(0, sample=b"zero"),
            sample(0, sample=b"before the outbox was lost", stream=other),
        ],
    }
    out = folder / "new" / "out"
    told = gleaner("samples", "--lake", str(lake(folder, rows)), "--json", "--out", str(out))
    assert told.status == 0
    assert told.err == f"5 samples written to {out}\n"
    assert [row["seq"] for row in objects(told.out)] == [3, 2, 1, 0, 0]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "cam-1-00010203-1.ppm": b"\x01",
        "cam-1-00010203-2.npy": b"\x02",
        "cam-1-00010203-3.bin": b"\x03",
        "cam-1-00010203-0.pgm": b"zero",
        "cam-1-ffffffff-0.pgm": b"before the outbox was lost",
    }
    assert len(objects(gleaner("samples", "--lake", str(folder / "lake"), "--json", "--limit", "2").out)) == 2


def test_samples_can_not_be_written_below_a_file(small: str, folder: Path, gleaner: Gleaner) -> None:
    (folder / "file").touch()
    gleaner("samples", "--lake", small, "--out", str(folder / "file" / "out")).refused("file/out", "Not a directory")


# status


def test_status_says_how_far_the_dataflow_is_behind(folder: Path, gleaner: Gleaner) -> None:
    with LogWriter(folder / "log", 2) as writer:
        for second in range(3):
            writer.tick(NOON + second)
        writer.append([Message("odd", b"")], NOON)
    Progress(folder).published(0, 1)
    told = gleaner("--set", f"data_dir={folder}", "status", "--json")
    first, second = objects(told.out)
    assert [first[name] for name in ("partition", "logged", "published", "behind")] == [0, 4, 1, 3]
    assert [second[name] for name in ("partition", "logged", "published", "behind")] == [1, 3, 0, 3]
    assert first["oldest_s"] == pytest.approx(time.time() - NOON / 1e6, abs=60)
    used = first["bytes"] + second["bytes"]
    assert f"the log takes {used:,} of 21,474,836,480 bytes" in told.err
    assert used > 0
    named = gleaner("--set", f"data_dir={folder}", "status").out.split()[:6]
    assert named == ["partition", "logged", "published", "behind", "oldest_s", "bytes"]


def test_nothing_is_old_where_all_is_published(folder: Path, gleaner: Gleaner) -> None:
    with LogWriter(folder / "log", 1) as writer:
        writer.tick(NOON)
    Progress(folder).published(0, 1)
    [told] = objects(gleaner("--set", f"data_dir={folder}", "status", "--json").out)
    assert (told["behind"], told["oldest_s"]) == (0, None)
