"""The log again: the same settings give the same rows and alarms, others what they would have given."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet import fill, write_bundle
from pipelines.log import LogReader, LogWriter, Message
from schemas.tables import TABLES
from schemas.topics import Up, up_topic
from tests.integration.service import WAIT_S, ask, command, drain
from tests.integration.test_healing import PARTITIONS, QUICK

pytestmark = pytest.mark.integration

MESSAGES = 2500
MIDDLE = "2026-01-01 00:00:01"  # of 1.25 s of log time


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    fill(folder / "log", MESSAGES, 2, seed=6, partitions=PARTITIONS)
    write_bundle(folder / "models" / "bench-1", seed=6)
    with LogWriter(folder / "log", PARTITIONS) as log:
        log.append([Message(up_topic("cam-1", Up.STATUS), b"garbage")], 0)
    drain(folder, *QUICK)
    return folder


def _replay(data: Path, *arguments: str, settings: tuple[str, ...] = QUICK) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(data, "replay", *arguments, settings=settings), capture_output=True, text=True, timeout=WAIT_S
    )


def _rows(lake: Path, where: dict[str, str] | None = None) -> dict[str, list[tuple[Any, ...]]]:
    return {name: ask(lake, f"select * from {name} {(where or {}).get(name, '')} order by all") for name in TABLES}


def test_the_same_settings_give_the_same_rows_and_alarms(data: Path, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in (data / "recovery").rglob("*") if path.is_file()}
    done = _replay(data, "--lake", str(tmp_path / "other"), "--json")
    assert done.returncode == 0, done.stderr
    rows = _rows(data / "lake")
    assert _rows(tmp_path / "other") == rows
    assert {each["table"]: each["rows"] for each in map(json.loads, done.stdout.splitlines())} == {
        name: len(some) for name, some in rows.items()
    }
    assert min(len(rows[name]) for name in ("windows", "drift", "selections", "rejects")) > 0
    assert kept == {path: path.read_bytes() for path in (data / "recovery").rglob("*") if path.is_file()}


def test_a_stretch_of_time_gives_its_rows_alone(data: Path, tmp_path: Path) -> None:
    times = {"windows": "window_end", "drift": "window_end", "alarms": "changed", "selections": "changed"}
    since = {name: f"where {times.get(name, 'received')} >= '{MIDDLE}+00'" for name in TABLES}
    done = _replay(data, "--lake", str(tmp_path / "late"), "--from", MIDDLE)
    assert done.returncode == 0, done.stderr
    late = _rows(tmp_path / "late")
    assert late == _rows(data / "lake", since)
    assert 0 < len(late["inferences"]) < 2 * MESSAGES
    before = {"inferences": f"where received <= '{MIDDLE}+00'"}
    done = _replay(data, "--lake", str(tmp_path / "early"), "--to", MIDDLE)
    assert done.returncode == 0, done.stderr
    assert _rows(tmp_path / "early")["inferences"] == _rows(data / "lake", before)["inferences"]
    assert len(late["inferences"]) + len(_rows(tmp_path / "early")["inferences"]) >= 2 * MESSAGES


def test_other_settings_give_other_alarms_over_the_same_rows(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[drift]\nwindow = 0.25\nround = 0.25\ngrace = 0.25\n")
    plain = [s for s in QUICK if not s.startswith("drift.")]
    done = _replay(data, "--lake", str(tmp_path / "lake"), "--settings", str(other), settings=tuple(plain))
    assert done.returncode == 0, done.stderr
    found, was = _rows(tmp_path / "lake"), _rows(data / "lake")
    assert found["inferences"] == was["inferences"]
    assert found["drift"] != was["drift"]
    assert ask(tmp_path / "lake", "select distinct window_end - window_start from drift")[0][0].total_seconds() == 0.25


def test_what_the_log_has_forgotten_is_no_news_to_a_replay(data: Path, tmp_path: Path) -> None:
    service = tmp_path / "service"
    shutil.copytree(data, service)
    topic = up_topic("camera-0001", Up.INFERENCES)
    with LogWriter(service / "log", PARTITIONS) as log:
        first = next(
            payload
            for partition in range(PARTITIONS)
            for records in LogReader(service / "log", partition).read(0, 10_000, 1 << 30)[0]
            for named, payload in zip(records.topics, records.payloads, strict=True)
            if named == topic
        )
        for partition in range(PARTITIONS):
            log.trim(partition, LogReader(service / "log", partition).end() - 50, 2**62)
        log.append([Message(topic, first)], 0)
    done = _replay(service, "--lake", str(tmp_path / "lake"))
    assert done.returncode == 0, done.stderr
    keys = ask(tmp_path / "lake", "select device, stream, seq from inferences order by all")
    assert 0 < len(keys) < MESSAGES
    assert set(keys) < set(ask(data / "lake", "select device, stream, seq from inferences"))
    assert not [key for key in keys if key[0] == "camera-0001" and key[2] < 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--lake", "{data}/lake"), "holds rows already"),
        (("--lake", "{tmp}/x", "--from", "2026-01-02", "--to", "2026-01-01"), "--from is later"),
        (("--lake", "{tmp}/x", "--settings", "{tmp}/none.toml"), "no such settings file"),
    ],
)
def test_a_replay_that_can_not_be_is_one_clear_line(
    arguments: tuple[str, ...], told: str, data: Path, tmp_path: Path
) -> None:
    done = _replay(data, *(part.format(data=data, tmp=tmp_path) for part in arguments))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
