import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.outbox import Outbox
from edge_publisher.storage import MIN_BYTES, StorageFailed
from schemas.errors import Fatal, LockHeld, Rejected, SettingsError
from tests.edge_publisher.records import record

SIZE = MIN_BYTES
PAIRS = st.tuples(st.integers(0, 400), st.integers(0, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))
STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 40)),
    st.tuples(st.just("ack"), st.integers(-1, 400), st.lists(PAIRS, max_size=3), st.integers(-1, 400)),
    st.tuples(st.just("give_up"), PAIRS),
    st.tuples(st.just("reopen")),
)


def numbers(outbox: Outbox) -> set[int]:
    return {row.seq for row in outbox.read(0, 100_000)}


def in_gaps(outbox: Outbox) -> list[int]:
    return [seq for gap in outbox.gaps() for seq in range(gap.first_seq, gap.last_seq + 1)]


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, max_size=14))
def test_every_number_is_freed_or_present_or_in_a_gap_and_never_given_twice(steps: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder), max_bytes=SIZE)
        given_out: set[int] = set()
        freed: set[int] = set()
        lost: set[int] = set()
        for step, *values in steps:
            end = outbox.next_seq
            if step == "append":
                got = outbox.append([record(end + i) for i in range(values[0])])
                assert list(got) == list(range(end, end + values[0]))
                assert not given_out & set(got)
                given_out |= set(got)
            elif step == "ack":
                through, holes, ahead = values
                through, ahead = min(through, end - 1), min(ahead, end - 1)
                outbox.note_sent(end - 1)
                open_ = {seq for first, last in holes for seq in range(first, last + 1)}
                durable = set(range(through + 1)) | {seq for seq in range(through + 1, ahead + 1) if seq not in open_}
                counted = outbox.ack(through, holes, ahead)
                assert counted == len((given_out - freed) & durable)
                freed |= given_out & durable
                lost -= durable
            elif step == "give_up":
                first, last = values[0]
                lost |= numbers(outbox) & set(range(first, last + 1))
                outbox.give_up(first, last, "too_large", 1)
            else:
                stream = outbox.stream
                outbox.close()
                outbox = Outbox(Path(folder), max_bytes=SIZE)
                assert (outbox.stream, outbox.next_seq) == (stream, end)
            declared = in_gaps(outbox)
            assert len(declared) == len(set(declared))
            assert set(declared) == lost
            assert numbers(outbox) == given_out - freed - lost
        outbox.close()


def test_what_is_read_is_what_was_appended_in_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    records = [record(i) for i in range(10)]
    outbox.append(records[:4])
    outbox.append(records[4:])
    assert [row.record for row in outbox.read(0, 100)] == records
    assert [row.seq for row in outbox.read(3, 2)] == [3, 4]
    assert [row.seq for row in outbox.read(3, 9, last=5)] == [3, 4, 5]
    outbox.close()


def test_a_full_outbox_gives_up_its_oldest_and_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    for start in range(0, 6000, 50):
        outbox.append([record((start + i) % 60_000) for i in range(50)])
        files = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert files <= SIZE + 64 * 1024  # the index of the shared log beside it has a fixed 32 KiB
    gaps, present = outbox.gaps(), numbers(outbox)
    assert len(gaps) == 1
    assert gaps[0].first_seq == 0
    assert gaps[0].reason == "outbox_full"
    assert present == set(range(gaps[0].last_seq + 1, 6000))
    assert len(present) > 1000
    outbox.close()


def test_numbers_are_not_used_again_when_all_is_gone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    outbox.append([record(0)] * 5)
    outbox.note_sent(4)
    assert outbox.ack(4) == 5
    outbox.close()
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    assert outbox.first_seq() is None
    assert outbox.append([record(0)]) == range(5, 6)
    outbox.close()


def test_a_number_that_no_device_reaches_is_refused(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    with pytest.raises(Rejected):
        outbox.ack(2**63 - 2)
    assert outbox.append([record(0)]) == range(1)
    outbox.close()


def test_one_gap_is_trimmed_where_it_is_durable_in_part(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    outbox.append([record(0)] * 10)
    outbox.give_up(2, 7, "too_large", 5)
    outbox.note_sent(9)
    outbox.ack(3, [(5, 5)], 9)
    assert [(gap.first_seq, gap.last_seq, gap.reason) for gap in outbox.gaps()] == [(5, 5, "too_large")]
    assert numbers(outbox) == set()
    outbox.close()


KILLED = """
import sys
from pathlib import Path
from edge_publisher.outbox import Outbox
from tests.edge_publisher.records import record
outbox = Outbox(Path(sys.argv[1]), max_bytes=1 << 22)
while True:
    print(outbox.append([record(outbox.next_seq % 60000)] * 3)[-1], flush=True)
"""


def test_everything_told_as_accepted_survives_kill_9(tmp_path: Path) -> None:
    rng, told = random.Random(1), -1
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(5, 80)):
                told = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            told = int([str(told), *child.stdout.read().split("\n")[:-1]][-1])
        outbox = Outbox(tmp_path, max_bytes=1 << 22)
        kept = sorted(numbers(outbox))
        outbox.close()
        assert kept == list(range(len(kept)))
        assert told in kept


def test_a_second_agent_on_one_outbox_is_told_whose_it_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    with pytest.raises(LockHeld, match=str(tmp_path)):
        Outbox(tmp_path, max_bytes=SIZE)
    outbox.close()
    Outbox(tmp_path, max_bytes=SIZE).close()


@pytest.mark.parametrize("content", [b"not a database at all" * 400, b"SQLite format 3\x00" + bytes(5000)])
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outbox.sqlite3").write_bytes(content)
    with pytest.raises(Fatal, match=r"outbox\.sqlite3.*move the file"):
        Outbox(tmp_path, max_bytes=SIZE)
    (tmp_path / "outbox.sqlite3").unlink()
    Outbox(tmp_path, max_bytes=SIZE).close()  # and the lock was let go


def test_more_than_it_may_hold_at_once_is_not_accepted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_bytes=SIZE)
    outbox.append([record(0)])
    with pytest.raises(StorageFailed, match="more than it may hold"):
        outbox.append([record(0)] * 20_000)
    assert outbox.append([record(0)]) == range(1, 2)
    assert numbers(outbox) == {0, 1}
    outbox.close()


REFUSED = """
import resource, sys
from pathlib import Path
from edge_publisher.outbox import Outbox
from edge_publisher.storage import StorageFailed
from tests.edge_publisher.records import record
outbox = Outbox(Path(sys.argv[1]), max_bytes=1 << 22)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
accepted = 0
try:
    while True:
        accepted += len(outbox.append([record(1)] * 50))
except StorageFailed:
    print(accepted, outbox.next_seq, outbox.count())
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(outbox.append([record(1)])[0], outbox.count())
"""


def test_a_disk_that_takes_nothing_accepts_nothing_uses_no_number_and_may_recover(tmp_path: Path) -> None:
    script = [sys.executable, "-c", REFUSED, str(tmp_path)]
    told = subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()
    accepted = int(told[0])
    assert accepted > 0
    assert [int(number) for number in told] == [accepted, accepted, accepted, accepted, accepted + 1]


def test_too_small_an_outbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least"):
        Outbox(tmp_path, max_bytes=1000)
