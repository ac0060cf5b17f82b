"""A disk that others fill: the outbox goes on within what it has, and says what it gave up."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_publisher.gaps import MAX_GAPS
from edge_publisher.outbox import Outbox
from edge_publisher.ranges import size
from edge_publisher.storage import MIN_BYTES, DiskFull
from tests.edge_publisher.records import record

SIZE = 2 * MIN_BYTES


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, larger than an outbox may grow."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(disk: Path) -> None:
    """Take all that is free, to the last byte."""
    with (disk / "others").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


def check(outbox: Outbox, through: int = -1) -> int:
    """Every number beyond `through` is there or given up; how many were given up."""
    present = [row.seq for row in outbox.read(0, 100_000)]
    given_up = [n for gap in outbox.gaps() for n in range(gap.first_seq, gap.last_seq + 1)]
    assert sorted(present + given_up) == list(range(through + 1, outbox.next_seq))
    return len(given_up)


def test_a_full_disk_costs_the_oldest_records_and_they_are_declared(disk: Path) -> None:
    outbox = Outbox(disk / "outbox", max_bytes=SIZE)
    outbox.append([record(place) for place in range(500)])
    fill(disk)
    for place in range(500, 2500):
        outbox.append([record(place)])
    assert outbox.next_seq == 2500
    assert check(outbox) > 1000
    assert [gap.reason for gap in outbox.gaps()] == ["outbox_full"]
    assert outbox.count() > 100
    outbox.note_sent(2499)
    assert outbox.ack(2400) == 2401
    check(outbox, 2400)
    outbox.append([record(place) for place in range(100)])
    assert outbox.gaps() == []
    outbox.close()


def test_giving_up_works_though_not_a_byte_is_free(disk: Path) -> None:
    outbox = Outbox(disk / "outbox", max_bytes=SIZE)
    outbox.append([record(place) for place in range(500)])
    fill(disk)
    outbox.give_up(10, 450, "unreadable", 1)
    assert check(outbox) == 441
    assert [(gap.first_seq, gap.last_seq, gap.reason) for gap in outbox.gaps()] == [(10, 450, "unreadable")]
    outbox.close()


def test_it_opens_on_a_full_disk_with_all_that_it_had(disk: Path) -> None:
    outbox = Outbox(disk / "outbox", max_bytes=SIZE)
    outbox.append([record(place) for place in range(500)])
    outbox.close()
    fill(disk)
    outbox = Outbox(disk / "outbox", max_bytes=SIZE)
    assert outbox.count() == 500
    for place in range(300):
        outbox.append([record(place)])
    assert outbox.next_seq == 800
    check(outbox)
    outbox.close()


def test_a_new_outbox_on_a_full_disk_says_that_the_disk_is_full(disk: Path) -> None:
    fill(disk)
    with pytest.raises((DiskFull, OSError)) as refused:
        Outbox(disk / "outbox", max_bytes=SIZE)
    assert "full" in str(refused.value) or "space" in str(refused.value)


def test_the_reserve_is_set_aside_again_once_there_is_room(disk: Path) -> None:
    outbox = Outbox(disk / "outbox", max_bytes=SIZE)
    reserve = disk / "outbox" / "outbox.sqlite3-reserve"
    assert reserve.stat().st_blocks * 512 >= SIZE // 8
    fill(disk)
    for place in range(400):
        outbox.append([record(place)])
    assert not reserve.exists()
    (disk / "others").unlink()
    before = outbox.count()
    for place in range(1500):
        outbox.append([record(place)])
    assert reserve.exists()
    assert outbox.count() > before + 1000
    outbox.close()


def test_a_full_outbox_still_declares_what_it_gives_up(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=MIN_BYTES)
    while not outbox.has_gaps():
        outbox.append([record(place) for place in range(50)])
    for place in range(0, outbox.next_seq, 7):  # the file is at its bound: there is room for every gap all the same
        outbox.give_up(place, place, "too_large", 1)
        outbox.append([record(place % 60_000)])
    check(outbox)
    outbox.close()


def test_many_gaps_become_few_where_no_record_lies_between(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=4 * MIN_BYTES)
    count = 3 * MAX_GAPS
    outbox.append([record(place) for place in range(2 * count)])
    outbox.note_sent(2 * count)
    lost = set()
    for first in range(0, 2 * count, 64):  # every second record is acknowledged, the others are given up
        last = min(first + 64, 2 * count)
        outbox.ack(-1, [(number, number) for number in range(0, last, 2)], last - 1)
        for number in range(first, last, 2):
            outbox.give_up(number, number, "too_large", 1)
            lost.add(number)
        assert len(outbox.gaps()) <= MAX_GAPS
    declared = {n for gap in outbox.gaps() for n in range(gap.first_seq, gap.last_seq + 1)}
    assert lost <= declared
    assert sum(size((gap.first_seq, gap.last_seq)) for gap in outbox.gaps()) == len(declared)
    assert outbox.count() == 0
    outbox.close()
