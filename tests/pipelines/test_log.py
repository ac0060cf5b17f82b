"""The log: what was appended is read, in order, once it is on disk; no offset means two records."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.records import Records
from pipelines.log import LogReader, LogWriter, Message, partitions_of
from schemas.errors import LakeError, LockHeld
from schemas.topics import partition_of
from tests.factories import NOON

MANY = 1 << 40
ROOT = Path(__file__).parents[2]
TOPICS = st.sampled_from([f"gleaner/v1/00/cam-{n}/up/inferences" for n in range(9)] + ["odd", "", "a/b/c/d/e/f/g"])
MESSAGES = st.builds(Message, TOPICS, st.binary(max_size=20), st.none() | st.just("{}"))
STEPS = st.lists(st.lists(MESSAGES, min_size=1, max_size=5) | st.just("tick"), max_size=8)


def everything(
    folder: Path, partition: int = 0, after: int = 0, records: int = 1000, size: int = MANY
) -> list[Records]:
    """The batches of a partition, read to its end."""
    reader = LogReader(folder, partition)
    batches: list[Records] = []
    while True:
        some, after = reader.read(after, records, size)
        if not some:
            reader.close()
            return batches
        batches += some


def flat(batches: Sequence[Records]) -> list[tuple[int, int, str, bytes]]:
    """All records of some batches: offset, time, topic, payload."""
    return [
        row
        for batch in batches
        for row in zip(batch.offsets, batch.received_us, batch.topics, batch.payloads, strict=True)
    ]


@settings(deadline=None, max_examples=40)
@given(STEPS, st.integers(1, 4), st.integers(1, 7), st.integers(1, 60))
def test_what_is_appended_is_read_in_order_however_it_is_cut(
    steps: list[list[Message] | str], partitions: int, most_records: int, most_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as name, LogWriter(Path(name), partitions) as writer:
        folder, now = Path(name), NOON
        told: list[list[tuple[int, str, bytes]]] = [[] for _ in range(partitions)]
        ticks: list[list[int]] = [[] for _ in range(partitions)]
        for step in steps:
            now += 1
            if step == "tick":
                writer.tick(now)
                for each in ticks:
                    each.append(now)
                continue
            assert isinstance(step, list)
            writer.append(step, now)
            for message in step:
                told[partition_of(message.topic, partitions)].append((now, message.topic, message.payload))
        for partition in range(partitions):
            batches = everything(folder, partition, 0, most_records, most_bytes)
            rows = flat(batches)
            assert [row[1:] for row in rows] == told[partition]
            assert [row[0] for row in rows] == sorted({row[0] for row in rows})
            assert [batch.tick_us for batch in batches if batch.tick_us is not None] == ticks[partition]
            assert all(batch.partition == partition for batch in batches)
            for batch in batches:
                assert all(time <= batch.tick_us for time in batch.received_us if batch.tick_us is not None)


def test_a_batch_ends_at_each_tick(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.tick(NOON)
        writer.append([Message("a", b"1"), Message("b", b"2")], NOON + 1)
        writer.tick(NOON + 2)
        writer.append([Message("c", b"3")], NOON + 3)
    batches = everything(tmp_path)
    assert [(batch.offsets, batch.topics, batch.tick_us) for batch in batches] == [
        ([], [], NOON),
        ([2, 3], ["a", "b"], NOON + 2),
        ([5], ["c"], None),
    ]


def test_a_read_ends_with_the_record_that_reaches_the_byte_limit(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("a", bytes(10)) for _ in range(5)], NOON)
    reader = LogReader(tmp_path, 0)
    assert [len(batch.payloads) for batch in reader.read(0, 100, 12)[0]] == [2]
    assert [len(batch.payloads) for batch in reader.read(0, 100, 1)[0]] == [1]
    batches, last = reader.read(0, 3, MANY)
    assert ([len(batch.payloads) for batch in batches], last) == ([3], 3)
    assert reader.read(5, 100, MANY) == ([], 5)


def test_offsets_are_not_used_again_after_everything_was_trimmed(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("a", b"1")] * 3, NOON)
        assert writer.trim(0, 3, NOON + 1) == 3
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("a", b"2")], NOON)
    assert [row[0] for row in flat(everything(tmp_path))] == [4]


def test_trim_forgets_only_what_is_both_committed_and_old(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        for second in range(6):
            writer.append([Message("a", b"")], NOON + second)
        assert writer.trim(0, 2, NOON + 5) == 2
        assert writer.trim(0, 6, NOON + 4) == 2
        assert writer.trim(0, 6, NOON + 100, most=1) == 1
        assert writer.trim(0, 5, NOON + 100) == 0
    assert [row[0] for row in flat(everything(tmp_path))] == [6]


def test_a_second_writer_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    first = LogWriter(tmp_path, 1)
    with pytest.raises(LockHeld, match="another process writes this log"):
        LogWriter(tmp_path, 1)
    first.close()
    LogWriter(tmp_path, 1).close()


def test_another_number_of_partitions_is_refused_and_the_log_is_left_free(tmp_path: Path) -> None:
    LogWriter(tmp_path, 3).close()
    with pytest.raises(LakeError, match=r"created with 3 partitions.*set log\.partitions=3"):
        LogWriter(tmp_path, 4)
    LogWriter(tmp_path, 3).close()
    assert partitions_of(tmp_path) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"partitions": "x"}', '{"partitions": null}'])
def test_a_folder_without_a_good_description_is_no_log(content: str, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(content)
    with pytest.raises(LakeError, match="no log here"):
        partitions_of(tmp_path)


def test_a_log_that_is_not_there_is_an_error_that_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="start `gleaner ingest` first"):
        LogReader(tmp_path, 0)


def test_a_log_below_a_regular_file_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeError, match="can't be written"):
        LogWriter(tmp_path / "file" / "log", 1)


@pytest.mark.parametrize("name", ["a b", "a?mode=rwc", "a#b", "50%", "%41", "it's", "ü"])
def test_any_folder_name_will_do(name: str, tmp_path: Path) -> None:
    with LogWriter(tmp_path / name, 1) as writer:
        writer.append([Message("a", b"1")], NOON)
    assert len(flat(everything(tmp_path / name))) == 1


def test_a_reader_sees_nothing_of_a_transaction_that_is_not_committed(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("a", b"1")], NOON)
        reader = LogReader(tmp_path, 0)
        other = sqlite3.connect(tmp_path / "000.sqlite", isolation_level=None)
        other.execute("begin immediate")
        other.execute("insert into records (received_us, topic, payload) values (1, 'b', x'00')")
        assert reader.end() == 1
        assert len(flat(reader.read(0, 10, MANY)[0])) == 1
        other.execute("commit")
        assert reader.end() == 2
        assert len(flat(reader.read(0, 10, MANY)[0])) == 2
        other.close()
        reader.close()


def test_an_append_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        with pytest.raises(sqlite3.Error):
            writer.append([Message("a", b"1"), Message("b", [])], NOON)  # type: ignore[arg-type]
        assert flat(everything(tmp_path)) == []
        writer.append([Message("c", b"2")], NOON)
    assert [row[2] for row in flat(everything(tmp_path))] == ["c"]


def test_a_clock_that_goes_back_is_held(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("a", b"")], NOON)
        writer.append([Message("a", b"")], NOON - 100)
        writer.tick(NOON - 50)
    with LogWriter(tmp_path, 1) as writer:  # and after a restart too
        writer.append([Message("a", b"")], NOON - 100)
    assert [row[1] for row in flat(everything(tmp_path))] == [NOON] * 3
    assert [batch.tick_us for batch in everything(tmp_path)] == [NOON, None]


def test_the_end_is_the_last_offset_on_disk(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 2) as writer:
        assert LogReader(tmp_path, 0).end() == 0
        writer.append([Message("odd", b"")] * 7, NOON)
        assert [LogReader(tmp_path, number).end() for number in range(2)] == [7, 0]


APPENDER = """
import sys
from pathlib import Path
from pipelines.log import LogWriter, Message
writer = LogWriter(Path(sys.argv[1]), 2)
for number in range(10**9):
    writer.append([Message(f"gleaner/v1/00/cam-{d}/up/inferences", str(number).encode()) for d in range(6)], number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 40])
def test_kill_9_loses_nothing_that_was_reported(lines: int, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    child.kill()
    reported = child.communicate()[0].split()  # those it could still print, the last perhaps cut short
    last = int(reported[-2]) if len(reported) > 1 else lines - 1
    assert child.returncode == -signal.SIGKILL
    found = [int(row[3]) for partition in range(2) for row in flat(everything(tmp_path, partition))]
    assert all(found.count(number) == 6 for number in range(last + 1))
    with LogWriter(tmp_path, 2) as writer:  # the lock died with its holder
        writer.tick(NOON)


def test_the_lock_is_not_inherited_by_programs_that_are_started(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 1)
    program = [sys.executable, "-c", "print(flush=True); input()"]
    child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
    assert child.stdout is not None
    child.stdout.readline()  # while a program starts, it still has what it does not keep
    try:
        writer.close()
        LogWriter(tmp_path, 1).close()
    finally:
        child.communicate(b"\n")


def test_records_tell_nothing_but_what_was_received(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("\x00\u20ac", bytes(range(256)), '{"content_type": "x"}')], NOON)
    assert flat(everything(tmp_path)) == [(1, NOON, "\x00\u20ac", bytes(range(256)))]
    with sqlite3.connect(tmp_path / "000.sqlite") as file:
        assert file.execute("select json_extract(properties, '$.content_type') from records").fetchone() == ("x",)
    file.close()
