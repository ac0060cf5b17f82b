"""A log that is damaged: what is sound is read, what is not is said, and no offset means two records."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from pipelines.log import LogReader, LogWriter, Message
from pipelines.log_reader import first_sound
from schemas.errors import LakeError, Unavailable
from tests.factories import NOON
from tests.pipelines.test_log import APPENDER, MANY, ROOT, everything, flat

PAGE = 4096
GARBAGE = b"not a database, but long enough to be taken for one" * 400


def skipped() -> float:
    return REGISTRY.get_sample_value("gleaner_log_skipped_offsets_total") or 0.0


def fill(folder: Path, messages: int = 1000, size: int = 200) -> Path:
    """A log of one partition, settled into its file; the file."""
    with LogWriter(folder, 1) as writer:
        for start in range(0, messages, 100):
            writer.append([Message("a", f"{start + n:06d}".encode() + bytes(size)) for n in range(100)], NOON)
    return folder / "000.sqlite"


def break_pages(file: Path, *numbers: int) -> None:
    """Overwrite pages; the first has number 1."""
    with file.open("r+b") as opened:
        for number in numbers:
            opened.seek((number - 1) * PAGE)
            opened.write(b"\xa5" * PAGE)


def held(folder: Path, after: int = 0) -> list[int]:
    return [row[0] for batch in read_on(folder, after) for row in flat([batch])]


def read_on(folder: Path, after: int = 0) -> Iterator:
    """What a reader gets that never gives up too early: three times nothing is the end."""
    reader, nothing = LogReader(folder, 0), 0
    while nothing < 3:
        batches, after = reader.read(after, 64, MANY)
        nothing = 0 if batches else nothing + 1
        yield from batches
    reader.close()


def test_what_is_sound_is_read_around_a_damaged_page_and_what_is_skipped_is_said(tmp_path: Path) -> None:
    break_pages(fill(tmp_path), 20)
    before = skipped()
    with capture_logs() as said:
        found = held(tmp_path)
    assert found == sorted(set(found))
    lost = sorted(set(range(1, 1001)) - set(found))
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert 0 < len(lost) < 40
    [told] = [each for each in said if "damaged and skipped" in each["event"]]
    assert (told["first"], told["last"], told["log_level"]) == (lost[0], lost[-1], "error")
    assert skipped() - before == len(lost)


@pytest.mark.parametrize("seed", range(12))
def test_a_reader_comes_to_an_end_whatever_is_broken(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    file = fill(tmp_path, size=rng.choice((20, 300, 6000)))
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 30, 300))):
        place = rng.randrange(PAGE, len(content))  # the first page says what the others are
        content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    found = held(tmp_path)
    assert found == sorted(set(found))
    assert found[0] > 0


def test_a_tail_that_can_not_be_read_is_waited_for_and_said_once(tmp_path: Path) -> None:
    file = fill(tmp_path)
    last = file.stat().st_size // PAGE
    break_pages(file, last)
    with capture_logs() as said:
        found = held(tmp_path)
    assert found == list(range(1, len(found) + 1))
    assert 900 < len(found) < 1000
    assert [each["event"] for each in said] == ["the log is damaged, and nothing behind it can be read yet"]


@pytest.mark.parametrize("content", [GARBAGE, b"SQLite format 3\x00" + GARBAGE])
def test_a_file_that_is_no_database_is_set_aside_and_offsets_go_on_beyond(content: bytes, tmp_path: Path) -> None:
    file = fill(tmp_path)
    file.write_bytes(content)
    given_for_certain = {0: 700}
    with capture_logs() as said, LogWriter(tmp_path, 1, published=lambda: given_for_certain) as writer:
        writer.append([Message("b", b"new")], NOON)
    assert (tmp_path / "000.sqlite.damaged-1").read_bytes() == content
    assert "a partition of the log is damaged" in [each["event"] for each in said]
    [first] = held(tmp_path)
    assert first > 1000
    file.write_bytes(GARBAGE)
    with LogWriter(tmp_path, 1, published=lambda: given_for_certain) as writer:
        writer.append([Message("b", b"newer")], NOON)
    assert held(tmp_path)[0] > first
    assert (tmp_path / "000.sqlite.damaged-2").exists()


def test_a_partition_that_is_gone_or_cut_to_nothing_goes_on_beyond(tmp_path: Path) -> None:
    file = fill(tmp_path)
    file.unlink()
    with LogWriter(tmp_path, 1) as writer:
        writer.append([Message("b", b"")], NOON)
    [first] = held(tmp_path)
    assert first > 1000
    file.write_bytes(b"")
    with LogWriter(tmp_path, 1, published=lambda: {0: first}) as writer:
        writer.append([Message("b", b"")], NOON)
    assert held(tmp_path)[0] > first


def test_an_older_copy_of_a_partition_gives_no_offset_again(tmp_path: Path) -> None:
    file = fill(tmp_path, 100)
    shutil.copy(file, tmp_path / "copy")
    fill(tmp_path, 200)
    shutil.copy(tmp_path / "copy", file)
    with LogWriter(tmp_path, 1, published=lambda: {0: 300}) as writer:
        writer.append([Message("b", b"")], NOON)
    assert held(tmp_path)[:100] == list(range(1, 101))
    assert held(tmp_path)[100] > 300


def test_damage_that_an_append_meets_begins_the_partition_anew(tmp_path: Path) -> None:
    file = fill(tmp_path)
    with LogWriter(tmp_path, 1) as writer:
        reader = LogReader(tmp_path, 0)
        reader.read(0, 10, MANY)
        pages = file.stat().st_size // PAGE
        break_pages(file, *range(2, pages + 1))
        with sqlite3.connect(file) as other:  # what another has changed is read again
            other.execute("pragma user_version = 5")
        other.close()
        with pytest.raises(Unavailable, match="begun anew"):
            writer.append([Message("b", b"x" * 100)], NOON)
        writer.append([Message("b", b"after")], NOON)
        after, found = 10, []
        for _ in range(200):
            batches, after = reader.read(after, 64, MANY)
            found += flat(batches)
        reader.close()
    assert [row[3] for row in found][-1] == b"after"
    assert found[-1][0] > 1000


def test_a_reader_says_what_to_do_about_a_file_that_is_no_database(tmp_path: Path) -> None:
    fill(tmp_path).write_bytes(GARBAGE)
    reader = LogReader(tmp_path, 0)
    assert reader.read(0, 10, MANY) == ([], 0)
    for ask in (reader.end, reader.last_given, reader.first, reader.used_bytes):
        with pytest.raises(LakeError, match="sets it aside"):
            ask()


@pytest.mark.parametrize("harm", ["cut", "flip", "zero"])
def test_a_torn_write_ahead_log_costs_nothing_that_was_before_the_tear(harm: str, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    for _ in range(15):
        child.stdout.readline()
    child.send_signal(signal.SIGSTOP)
    walls = {n: (tmp_path / f"{n:03d}.sqlite-wal").stat().st_size for n in range(2)}
    sound = {n: len(flat(everything(tmp_path, n))) for n in range(2)}
    child.send_signal(signal.SIGCONT)
    for _ in range(15):
        child.stdout.readline()
    child.kill()
    child.communicate()
    for number, before in walls.items():
        wal = tmp_path / f"{number:03d}.sqlite-wal"
        (tmp_path / f"{number:03d}.sqlite-shm").unlink()
        middle = (before + wal.stat().st_size) // 2
        with wal.open("r+b") as file:
            if harm == "cut":
                os.truncate(file.fileno(), middle)
            else:
                file.seek(middle)
                file.write(b"\xff" * 64 if harm == "flip" else bytes(wal.stat().st_size - middle))
    with LogWriter(tmp_path, 2) as writer:
        writer.append([Message(f"gleaner/v1/0{n}/cam/up/hello", b"after") for n in range(2)], NOON)
    for number, count in sound.items():
        rows = flat(everything(tmp_path, number))
        assert len(rows) > count
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert rows[-1][3] == b"after"


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_the_first_sound_row_behind_damage_is_found(there: set[int], damaged: set[int]) -> None:
    def probe(offset: int) -> int | None:
        following = min((each for each in there | damaged if each >= offset), default=0)
        return None if following in damaged else following

    for first in sorted(damaged):
        beyond = [each for each in sorted(there - damaged) if each > first]
        blocking = [each for each in damaged if each > first and beyond and each < beyond[0]]
        expected = beyond[0] if beyond else None
        found = first_sound(probe, first, 100)
        assert found == expected, (first, blocking)


def test_a_wide_stretch_of_damage_is_passed_in_few_looks() -> None:
    looks = 0

    def probe(offset: int) -> int | None:
        nonlocal looks
        looks += 1
        return None if offset <= 3_000_000 else offset

    assert first_sound(probe, 7, 2**63 - 1) == 3_000_001
    assert looks < 5000


def test_every_log_has_an_id_of_its_own_that_stays(tmp_path: Path) -> None:
    from pipelines.log import log_id

    for name in "ab":
        LogWriter(tmp_path / name, 2).close()
    first, second = log_id(tmp_path / "a"), log_id(tmp_path / "b")
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
    LogWriter(tmp_path / "a", 2).close()
    assert log_id(tmp_path / "a") == first


def test_a_log_from_before_there_were_ids_gets_one_from_its_writer(tmp_path: Path) -> None:
    from pipelines.log import log_id

    LogWriter(tmp_path, 1).close()
    (tmp_path / "log.json").write_text('{"format": 1, "partitions": 1}')
    with pytest.raises(LakeError, match="no id yet; start `gleaner ingest`"):
        log_id(tmp_path)
    LogWriter(tmp_path, 1).close()
    assert re.fullmatch("[0-9a-f]{32}", log_id(tmp_path))
