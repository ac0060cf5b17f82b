"""The quota of the log: what is in the lake goes first, then nothing is taken; and it ends by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from pipelines.log import LogReader, LogWriter, Message
from pipelines.quota import Quota
from schemas.errors import Unavailable
from schemas.topics import partition_of
from tests.factories import NOON
from tests.integration.tmpfs import mounted

MB = 1 << 20
TOPICS = ("gleaner/v1/00/cam-1/up/hello", "gleaner/v1/01/cam-2/up/hello")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LogWriter]:
    with LogWriter(tmp_path, 2) as made:
        yield made


def grow(writer: LogWriter, bytes_: int, now_us: int = NOON, topics: tuple[str, ...] = TOPICS) -> None:
    for _ in range(bytes_ // (10_000 * len(topics))):
        writer.append([Message(topic, bytes(10_000)) for topic in topics], now_us)


def ends(folder: Path) -> dict[int, int]:
    return {number: LogReader(folder, number).end() for number in range(2)}


def held(folder: Path, partition: int) -> int:
    return sum(len(each.offsets) for each in LogReader(folder, partition).read(0, 10**6, 1 << 40)[0])


def test_below_the_quota_nothing_is_forgotten(writer: LogWriter, tmp_path: Path) -> None:
    quota = Quota(writer, 20 * MB)
    grow(writer, 4 * MB)
    quota.mind(ends(tmp_path))
    assert not quota.full
    assert held(tmp_path, 0) + held(tmp_path, 1) == 2 * (4 * MB // 20_000)
    assert 4 * MB < (REGISTRY.get_sample_value("gleaner_log_bytes") or 0) < 20 * MB


def test_what_is_in_the_lake_goes_first_the_oldest_before_all_and_it_is_said_once(
    writer: LogWriter, tmp_path: Path
) -> None:
    quota = Quota(writer, 8 * MB)
    grow(writer, 4 * MB, NOON, TOPICS[:1])
    old = ends(tmp_path)[0]
    with capture_logs() as said:
        for step in range(1, 40):
            grow(writer, MB // 4, NOON + step, TOPICS[1:])
            quota.mind(ends(tmp_path))
    assert held(tmp_path, 0) < old
    assert not quota.full
    assert writer.used_bytes() <= 8 * MB
    assert [each["log_level"] for each in said] == ["warning"]
    assert "before log.keep" in said[0]["event"]


def test_what_is_not_in_the_lake_stays_and_fills_the_log_until_it_is_published(
    writer: LogWriter, tmp_path: Path
) -> None:
    quota = Quota(writer, 8 * MB)
    grow(writer, 8 * MB)
    with capture_logs() as said:
        for _ in range(3):
            quota.mind({})
    assert quota.full
    assert REGISTRY.get_sample_value("gleaner_log_full") == 1
    assert held(tmp_path, 0) == ends(tmp_path)[0]
    assert [each["event"].split(":")[0] for each in said] == ["the log is full of what is not in the lake yet"]
    few = {number: end // 50 for number, end in ends(tmp_path).items()}
    quota.mind(few)
    assert quota.full  # room for a tenth, or it would be full again at once
    quota.mind({number: end // 3 for number, end in ends(tmp_path).items()})
    assert not quota.full
    assert REGISTRY.get_sample_value("gleaner_log_full") == 0
    assert ends(tmp_path) == {0: 419, 1: 419}


def test_each_of_several_writers_has_its_part_of_the_quota(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 2, owned=[0]) as first, LogWriter(tmp_path, 2, owned=[1]) as second:
        one, other = Quota(first, 8 * MB), Quota(second, 8 * MB)
        grow(first, 5 * MB, topics=TOPICS[:1])
        for each in (one, other):
            each.mind({})
        assert (one.full, other.full) == (True, False)


def test_a_writer_leaves_the_partitions_of_others_alone(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 2, owned=[0]) as first, LogWriter(tmp_path, 2, owned=[1]) as second:
        for writer in (first, second):
            writer.append([Message(topic, b"x") for topic in TOPICS], NOON)
            writer.tick(NOON)
        assert ends(tmp_path) == {0: 2, 1: 2}
        assert [partition_of(topic, 2) for topic in TOPICS] == [0, 1]


def fill_up(writer: LogWriter) -> int:
    """Append until the disk is full; how many messages it took."""
    for taken in range(10_000):
        try:
            writer.append([Message("a", f"{taken:04d}".encode() + bytes(20_000))], NOON)
        except Unavailable:
            return taken
    raise AssertionError("it never was full")


def test_a_disk_that_is_full_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "3m") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(MB))
        with LogWriter(disk / "log", 1) as writer:
            taken = fill_up(writer)
            ballast.unlink()
            writer.append([Message("a", f"{taken:04d}".encode())], NOON)
        rows = LogReader(disk / "log", 0)
        payloads = [each[:4] for batch in rows.read(0, 10_000, 1 << 30)[0] for each in batch.payloads]
        rows.close()
    assert taken > 10
    assert payloads == [f"{number:04d}".encode() for number in range(taken + 1)]
