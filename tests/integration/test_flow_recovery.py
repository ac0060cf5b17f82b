"""The dataflow as a process: killed, stopped, run again, run otherwise; the lake is the same."""

import random
import signal
import time
from pathlib import Path

import pytest

from benchmarks.fleet import fill, write_bundle
from pipelines import progress
from pipelines.log import LogReader
from tests.integration.service import ask, drain, service, stop, until

pytestmark = pytest.mark.integration

MESSAGES, ROWS = 6000, 4
PARTITIONS = 4
WATCHED = (
    "drift.window=0.5",
    "drift.round=0.25",
    "drift.grace=0.25",
    "drift.false_alarm_days=0.001",
    "select.round=0.5",
    "select.labels_per_hour=36000",
    "select.bytes_per_hour=1000000000",
)
ONCE = "select count(*), count(distinct (device, stream, seq)) from inferences"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / "log", MESSAGES, ROWS, seed=3, partitions=PARTITIONS)
    write_bundle(tmp_path / "models" / "bench-1", seed=3)
    return tmp_path


def _log_ends(data: Path) -> dict[int, int]:
    return {number: LogReader(data / "log", number).end() for number in range(PARTITIONS)}


def test_every_inference_of_the_log_is_in_the_lake_once(data: Path) -> None:
    drain(data)
    assert ask(data / "lake", ONCE) == [(MESSAGES * ROWS, MESSAGES * ROWS)]
    assert progress.read(data) == _log_ends(data)
    assert not list((data / "staging").rglob("*.parquet"))


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_at_any_moment_loses_and_doubles_nothing(data: Path, workers: int) -> None:
    settings = ("flow.epoch=0.05", "flow.batch_records=100", f"flow.workers={workers}")
    chance = random.Random(workers)
    killed = 0
    for _ in range(6):
        with service(data, "run", "--mute", settings=settings) as process:
            until(lambda: "running" in (data / "run.log").read_text() or process.poll() is not None, "started")
            time.sleep(chance.uniform(0.6, 1.4))
            killed += stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert killed == 6
    drain(data, *settings)
    assert ask(data / "lake", ONCE) == [(MESSAGES * ROWS, MESSAGES * ROWS)]


def test_a_clean_stop_replays_nothing_and_publishes_everything_it_read(data: Path) -> None:
    with service(data, "run", "--mute", settings=("flow.epoch=0.2",)) as process:
        until(lambda: progress.read(data) == _log_ends(data), "the whole log is committed")
        assert stop(process, signal.SIGTERM) == 0
    assert ask(data / "lake", ONCE) == [(MESSAGES * ROWS, MESSAGES * ROWS)]
    files = sorted((data / "lake").rglob("*.parquet"))
    drain(data)
    assert sorted((data / "lake").rglob("*.parquet")) == files


def test_what_it_decides_depends_on_the_log_alone(data: Path) -> None:
    answers = []
    for place, how in enumerate((("flow.workers=1",), ("flow.workers=2", "flow.epoch=0.1", "flow.batch_records=97"))):
        lake = data / f"lake-{place}"
        for name in ("recovery", "staging"):
            if (data / name).exists():
                (data / name).rename(data / f"{name}-{place}")
        drain(data, f"lake.path={lake}", *WATCHED, *how)
        drift = ask(lake, "select * exclude (date) from drift order by all")
        selections = ask(lake, "select * exclude (date) from selections order by all")
        assert len(drift) > 50
        assert len(selections) > 3
        answers.append((drift, selections))
    assert answers[0] == answers[1]
