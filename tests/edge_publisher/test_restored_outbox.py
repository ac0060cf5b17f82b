"""An outbox that was restored from a backup: its own records get numbers that nobody else has."""

import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.outbox import Outbox
from edge_publisher.renumber import REASON
from edge_publisher.storage import MIN_BYTES
from tests.edge_publisher.records import record

SIZE = MIN_BYTES


def fill(folder: Path, count: int, first: int = 0) -> Outbox:
    """An outbox with so many more records, each told by its device time."""
    outbox = Outbox(folder, max_bytes=SIZE)
    outbox.append([record(first + place) for place in range(count)])
    return outbox


def restored(folder: Path, sent: int = 5) -> Outbox:
    """A copy of an outbox as it was after 5 records, of which some were sent."""
    outbox = fill(folder, 5)
    outbox.note_sent(sent - 1)
    outbox.ack(-1)
    outbox.close()
    shutil.copytree(folder, folder.with_name("backup"))
    return Outbox(folder.with_name("backup"), max_bytes=SIZE)


def held(outbox: Outbox) -> list[tuple[int, int]]:
    """Number and device time of each record."""
    return [(row.seq, row.record.device_time_us) for row in outbox.read(0, 100_000)]


def gaps(outbox: Outbox) -> list[tuple[int, int, str]]:
    return [(gap.first_seq, gap.last_seq, gap.reason) for gap in outbox.gaps()]


def times(numbers: Sequence[int]) -> list[int]:
    return [record(number).device_time_us for number in numbers]


def test_what_it_never_sent_moves_beyond_what_gleaner_has_in_its_order(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox")
    outbox.append([record(100 + place) for place in range(200)])
    assert outbox.ack(49) == 5
    stayed = list(zip(range(50, 205), times(range(145, 300)), strict=True))
    moved = list(zip(range(205, 250), times(range(100, 145)), strict=True))
    assert held(outbox) == stayed + moved
    assert (outbox.restores, outbox.renumbered) == (1, 45)
    assert outbox.append([record(0)]) == range(250, 251)
    outbox.close()


def test_with_nothing_of_its_own_it_goes_on_beyond(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox")
    assert outbox.ack(99) == 5
    assert outbox.append([record(0)]) == range(100, 101)
    assert (outbox.restores, outbox.renumbered, held(outbox)[0][0]) == (1, 0, 100)
    outbox.close()


def test_it_is_found_once(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox")
    outbox.append([record(7)])
    for _ in range(3):
        outbox.ack(20, [], 30)
    assert (outbox.restores, [seq for seq, _ in held(outbox)]) == (1, [31])
    outbox.note_sent(31)
    assert outbox.ack(31) == 1
    outbox.close()
    outbox = Outbox(tmp_path / "backup", max_bytes=SIZE)
    outbox.ack(31)
    assert outbox.restores == 0
    outbox.close()


def test_holes_that_only_the_lost_life_could_fill_become_a_gap(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox")
    outbox.append([record(7)] * 10)
    assert outbox.ack(2, [(3, 3), (8, 9), (30, 31)], 40) == 4
    assert gaps(outbox) == [(8, 9, REASON), (30, 31, REASON)]
    assert [seq for seq, _ in held(outbox)] == [3, *range(41, 51)]
    outbox.close()


def test_what_it_gave_up_itself_moves_too(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox")
    outbox.append([record(7)] * 10)
    outbox.give_up(3, 7, "outbox_full", 1)
    outbox.give_up(10, 11, "too_large", 1)
    outbox.ack(12)
    assert gaps(outbox) == [(15, 17, "outbox_full"), (20, 21, "too_large")]
    assert [seq for seq, _ in held(outbox)] == [13, 14, 18, 19, 22]
    outbox.close()


def test_what_was_never_sent_is_sent_before_it_is_freed(tmp_path: Path) -> None:
    outbox = restored(tmp_path / "outbox", sent=2)
    outbox.append([record(7)])
    outbox.close()
    outbox = Outbox(tmp_path / "backup", max_bytes=SIZE)  # restarted before it met a server: record 5 is its own
    assert outbox.ack(5) == 2
    assert [seq for seq, _ in held(outbox)] == [2, 3, 4, 5]
    outbox.note_sent(5)
    assert outbox.ack(5) == 4
    outbox.close()


def test_a_crash_after_sending_frees_nothing_wrongly_and_raises_no_alarm(tmp_path: Path) -> None:
    outbox = fill(tmp_path / "outbox", 5)
    outbox.note_sent(4)
    shutil.copytree(tmp_path / "outbox", tmp_path / "after")  # as a kill leaves it: what was sent is not on disk yet
    outbox.close()
    outbox = Outbox(tmp_path / "after", max_bytes=SIZE)
    outbox.ack(4)
    assert (outbox.restores, len(held(outbox))) == (0, 5)
    outbox.note_sent(4)
    assert outbox.ack(4) == 5
    outbox.close()


@pytest.mark.parametrize("count", [63, 64, 65, 700])
def test_moving_many_keeps_the_file_in_its_bounds(tmp_path: Path, count: int) -> None:
    outbox = restored(tmp_path / "outbox")
    for first in range(0, count, 50):
        outbox.append([record(first + place) for place in range(min(50, count - first))])
    outbox.ack(10_000)
    assert held(outbox) == list(zip(range(10_001, 10_001 + count), times(range(count)), strict=True))
    assert sum(file.stat().st_size for file in (tmp_path / "backup").iterdir()) <= SIZE + 64 * 1024
    outbox.close()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_no_record_of_its_own_is_lost_and_no_number_that_is_taken_is_sent(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        outbox = restored(Path(folder) / "outbox")
        taken = set(range(rng.randrange(5, 80)))
        holes = sorted(rng.sample(sorted(taken), rng.randrange(4))) if rng.random() < 0.5 else []
        own = rng.randrange(1, 150)
        for place in range(own):
            outbox.append([record(1000 + place)])
            if rng.random() < 0.1:
                outbox.give_up(5 + place, 5 + place, "too_large", 1)
        lost = sum(last - first + 1 for first, last, _ in gaps(outbox))
        outbox.ack(-1, [(hole, hole) for hole in holes] if holes else [], max(taken))
        mine = [seq for seq, time in held(outbox) if time >= record(1000).device_time_us]
        declared = [n for first, last, reason in gaps(outbox) if reason != REASON for n in range(first, last + 1)]
        assert len(mine) + len(declared) == own
        assert len(declared) == lost
        assert not taken & {*mine, *declared}
        missing = {n for first, last, reason in gaps(outbox) if reason == REASON for n in range(first, last + 1)}
        assert missing == {hole for hole in holes if hole >= 5}
        outbox.close()
