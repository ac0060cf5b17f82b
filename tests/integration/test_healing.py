"""A recovery store that is lost, older or newer than the lake, or a new log: nothing doubled, nothing missing."""

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet import fill, write_bundle
from pipelines.log import LogReader, LogWriter, Message
from schemas.tables import TABLES
from schemas.topics import Up, up_topic
from tests.factories import NOON, header, payload
from tests.integration.service import ask, drain, service, stop, until
from tests.integration.test_flow_recovery import WATCHED

pytestmark = pytest.mark.integration

PARTITIONS = 2
QUICK = ("flow.epoch=0.1", "flow.batch_records=200", "log.partitions=2", *WATCHED)
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / "log", 2500, 2, seed=4, partitions=PARTITIONS)
    write_bundle(tmp_path / "models" / "bench-1", seed=4)
    return tmp_path


def _rows(lake: Path) -> Rows:
    return {name: ask(lake, f"select * from {name} order by all") for name in TABLES}


def _check_keys(lake: Path) -> None:
    """No table holds a row twice."""
    for table in TABLES.values():
        key = ", ".join(table.key)
        assert ask(lake, f"select {key} from {table.name} group by {key} having count(*) > 1") == [], table.name


def _append(data: Path, first_seq: int, messages: int = 50, device: str = "cam-1") -> None:
    """Messages of one more device, and one that nobody can read, after what the log holds."""
    with LogWriter(data / "log", PARTITIONS) as log:
        for number in range(messages):
            of = header(first_seq=first_seq + 2 * number, device_time_us=NOON)
            log.append([Message(up_topic(device, Up.INFERENCES), payload(of, first_seq + number))], _now_us())
        log.append([Message(up_topic(device, Up.STATUS), b"garbage")], _now_us())
        log.tick(_now_us())


def _now_us() -> int:
    return time.time_ns() // 1000


def _seqs(data: Path, device: str = "cam-1") -> list[int]:
    return [seq for (seq,) in ask(data / "lake", f"select seq from inferences where device = '{device}' order by seq")]


def test_a_lost_recovery_store_changes_no_row(data: Path) -> None:
    drain(data, *QUICK)
    before = _rows(data / "lake")
    assert min(len(before[name]) for name in ("inferences", "drift", "selections")) > 5
    shutil.rmtree(data / "recovery")
    drain(data, *QUICK)
    assert _rows(data / "lake") == before
    assert not (data / "healing").exists()
    _append(data, 0)
    drain(data, *QUICK)
    assert _seqs(data) == list(range(100))


def test_a_recovery_store_older_than_the_lake_doubles_and_loses_nothing(data: Path) -> None:
    drain(data, *QUICK)
    shutil.copytree(data / "recovery", data / "backup")
    _append(data, 0)
    drain(data, *QUICK)
    _append(data, 100)
    shutil.rmtree(data / "recovery")
    shutil.copytree(data / "backup", data / "recovery")
    drain(data, *QUICK)
    assert _seqs(data) == list(range(200))
    _check_keys(data / "lake")
    assert (data / "recovery.aside").is_dir()


def test_a_lake_that_lost_its_newest_files_gets_them_again(data: Path) -> None:
    drain(data, *QUICK)
    shutil.copytree(data / "lake", data / "backup")
    _append(data, 0)
    drain(data, *QUICK)
    before = _rows(data / "lake")
    shutil.rmtree(data / "lake")
    shutil.copytree(data / "backup", data / "lake")
    drain(data, *QUICK)
    assert _rows(data / "lake") == before


def test_what_the_log_has_forgotten_is_known_from_the_lake(data: Path) -> None:
    _append(data, 0)
    _append(data, 300)
    drain(data, *QUICK)
    ends = {number: LogReader(data / "log", number).end() for number in range(PARTITIONS)}
    with LogWriter(data / "log", PARTITIONS) as log:
        for number, end in ends.items():
            log.trim(number, end - 20, 2**62)
    shutil.rmtree(data / "recovery")
    _append(data, 0, messages=200)  # 0 to 99 and 300 to 399 again, and what is between for the first time
    drain(data, *QUICK)
    assert _seqs(data) == list(range(400))
    _check_keys(data / "lake")


def test_a_new_log_beside_an_old_lake_takes_what_is_new(data: Path) -> None:
    _append(data, 0)
    drain(data, *QUICK)
    for name in ("log", "recovery", "staging"):
        shutil.rmtree(data / name)
    _append(data, 50)
    drain(data, *QUICK)
    assert _seqs(data) == list(range(150))
    garbage = ask(data / "lake", "select count(*), count(distinct received) from rejects")
    assert garbage[0][0] == 2  # one of each log, though they have the same place in it or not
    drain(data, *QUICK)
    assert _seqs(data) == list(range(150))


def test_a_file_that_was_published_before_its_marker_is_no_obstacle(data: Path) -> None:
    _append(data, 0)
    drain(data, *QUICK)
    before = _rows(data / "lake")
    for path in (data / "lake" / "_gleaner").iterdir():  # as a kill between files and marker leaves it
        marker = json.loads(path.read_text())
        path.write_text(json.dumps(marker | {"seq": marker["seq"] - 1}))
    shutil.rmtree(data / "recovery")
    shutil.rmtree(data / "staging")
    _append(data, 100)
    drain(data, *QUICK)
    assert _seqs(data) == list(range(200))
    assert len(_rows(data / "lake")["inferences"]) == len(before["inferences"]) + 100
    _check_keys(data / "lake")


def test_kill_9_while_healing_changes_nothing(data: Path) -> None:
    drain(data, *QUICK)
    before = _rows(data / "lake")
    shutil.rmtree(data / "recovery")
    chance, killed = random.Random(5), 0
    for _ in range(5):
        with service(data, "run", "--mute", settings=QUICK) as process:
            started = (data / "run.log").read_text().count("event=running")
            until(
                lambda n=started, p=process: (
                    (data / "run.log").read_text().count("event=running") > n or p.poll() is not None
                ),
                "started",
            )
            time.sleep(chance.uniform(0.0, 1.2))
            killed += stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert killed == 5
    drain(data, *QUICK)
    assert _rows(data / "lake") == before


def test_healing_twice_over_is_healing_once(data: Path) -> None:
    drain(data, *QUICK)
    before = _rows(data / "lake")
    for _ in range(2):
        shutil.rmtree(data / "recovery")
        with service(data, "run", "--mute", settings=(*QUICK, "flow.batch_records=20")) as process:
            until(lambda: "event=healing" in (data / "run.log").read_text(), "it heals")
            time.sleep(0.5)
            stop(process, signal.SIGKILL)
    drain(data, *QUICK)
    assert _rows(data / "lake") == before
