"""What must stop rather than lose: a lake with two writers, a log or a recovery store that is another one."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.fleet import fill
from operators.tabulate import tabulate
from pipelines import progress
from pipelines.housekeeping import Housekeeping
from pipelines.log import LogReader, LogWriter, Message
from pipelines.settings import Log, Settings
from schemas.errors import Fatal, Unavailable
from schemas.tables import INFERENCES
from schemas.topics import Up, up_topic
from tests.factories import NOON, header, payload
from tests.integration.service import ask, command, drain
from tests.pipelines.lakes import FolderLake, inference

QUICK = "flow.epoch=0.2"
ONCE = "select count(*), count(distinct (device, stream, seq)) from inferences"


def _staged(folder: Path, lake: Path, seqs: Sequence[int]) -> FolderLake:
    made = FolderLake(lake, folder)
    made.stage(0, 0, {"inferences": [tabulate(INFERENCES, [inference(seq) for seq in seqs])]})
    return made


def _refused(data: Path, *settings: str) -> str:
    """What `gleaner run` says when it will not go on."""
    done = subprocess.run(
        command(data, "run", "--drain", "--mute", settings=settings), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_file_of_other_rows_is_never_overwritten(tmp_path: Path) -> None:
    first = _staged(tmp_path / "one", tmp_path / "lake", [0, 1])
    second = _staged(tmp_path / "two", tmp_path / "lake", [2, 3])
    first.put(0, 1)
    with pytest.raises(Fatal, match="holds other rows"):
        second.put(0, 1)
    assert ask(tmp_path / "lake", "select seq from inferences order by seq") == [(0,), (1,)]


def test_the_same_rows_may_be_published_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made = _staged(tmp_path / name, tmp_path / "lake", [0, 1])
        assert made.put(0, 1) == ["inferences"]
    assert ask(tmp_path / "lake", ONCE) == [(2, 2)]


def test_a_log_that_is_an_old_copy_is_refused_since_its_offsets_would_be_given_twice(tmp_path: Path) -> None:
    fill(tmp_path / "log", 40, 2, seed=1, partitions=1)
    shutil.copytree(tmp_path / "log", tmp_path / "backup")
    _append(tmp_path / "log", 30, first_seq=100)
    drain(tmp_path, QUICK)
    shutil.rmtree(tmp_path / "log")
    shutil.copytree(tmp_path / "backup", tmp_path / "log")
    assert "the log is an old copy" in _refused(tmp_path, QUICK)


def test_a_lake_of_which_nothing_says_how_far_it_goes_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "log", 40, 2, seed=1, partitions=1)
    drain(tmp_path, QUICK)
    shutil.rmtree(tmp_path / "lake" / "_gleaner")
    assert "choose an empty lake" in _refused(tmp_path, QUICK)


def test_a_log_that_was_trimmed_to_nothing_still_knows_its_last_offset(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("t", b"x")] * 5, 1)
        writer.trim(0, 5, 2)
    assert (LogReader(tmp_path, 0).end(), LogReader(tmp_path, 0).last_given()) == (0, 5)


def test_more_workers_than_partitions_still_end(tmp_path: Path) -> None:
    fill(tmp_path / "log", 40, 2, seed=1, partitions=1)
    drain(tmp_path, "flow.workers=3", QUICK)
    assert ask(tmp_path / "lake", ONCE) == [(80, 80)]


def test_long_topics_count_for_what_is_read_at_once(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("t" * 50_000, b"")] * 20, NOON)
    read, last = LogReader(tmp_path, 0).read(0, 1000, 100_000)
    assert (len(read[0].topics), last) == (2, 2)


def test_what_may_be_forgotten_is_forgotten_as_fast_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.housekeeping._TRIM_RECORDS", 10)
    with LogWriter(tmp_path / "log", 1) as writer:
        writer.append([Message(up_topic("cam-1", Up.STATUS), b"x")] * 95, NOON)
        progress.Progress(tmp_path).published(0, 95)
        housekeeping = Housekeeping(Settings(data_dir=tmp_path, log=Log(partitions=1)), writer)
        for _ in range(10):
            housekeeping.turn()
        held = [
            topic for records in LogReader(tmp_path / "log", 0).read(0, 1000, 1 << 20)[0] for topic in records.topics
        ]
    assert held == []


def _append(folder: Path, messages: int, first_seq: int) -> None:
    """Messages of one more device, after what the log holds."""
    with LogWriter(folder, 1) as writer:
        for number in range(messages):
            of = header(first_seq=first_seq + 2 * number, device_time_us=NOON)
            writer.append([Message(up_topic("cam-1", Up.INFERENCES), payload(of, number))], NOON)


def test_a_full_disk_refuses_the_group_and_takes_it_once_there_is_room(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("t", b"first")], NOON)
        writer._files[0]._file.execute("pragma max_page_count = 8")
        with pytest.raises(Unavailable, match="full"):
            writer.append([Message("t", bytes(100_000))], NOON)
        writer._files[0]._file.execute("pragma max_page_count = 1000000")
        writer.append([Message("t", bytes(100_000))], NOON)
    read, _ = LogReader(tmp_path, 0).read(0, 10, 1 << 20)
    assert [len(payload) for payload in read[0].payloads] == [5, 100_000]
