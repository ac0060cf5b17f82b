"""Forks: another record under a number that is taken is never taken for a resend, and never lost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import decode
from operators.dedup import Unique, dedup, seeded
from operators.forks import SLACK_US, WINDOW, Prints, find_forks, fingerprints, remember
from operators.seen import Seen
from operators.streams import NEWEST, Streams
from schemas.topics import Up
from tests.factories import NOON, STREAM, Message, columns, header, inferences, log, payload, rows

SECOND = 1_000_000
DEVICE = "cam-1"


def life(number: int, first: int, count: int, start_us: int = NOON) -> Message:
    """Records of one life of a device, one a second; a number has the same content in every message of that life."""
    drawn = np.random.default_rng(number).bytes(32 * 4 * WINDOW)
    changed = {
        "sample_digest": drawn[32 * first : 32 * (first + count)],
        "device_time_delta_us": np.arange(count, dtype=np.int32) * SECOND,
    }
    of = header(first_seq=first, count=count, device_time_us=start_us + first * SECOND)
    return DEVICE, Up.INFERENCES, payload(of, number, **changed)


def feed(streams: Streams, *messages: Message) -> Unique:
    return dedup(streams, decode(log(messages), {}))


def forked(unique: Unique) -> list[tuple[int, int]]:
    assert set(unique.rejects["reason"].to_pylist()) <= {"fork"}
    return [(row["first_seq"], row["last_seq"]) for row in unique.rejects.to_pylist()]


def test_another_record_under_a_number_is_a_fork_and_the_first_stays() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 10))
    unique = feed(streams, life(2, 8, 5))
    assert forked(unique) == [(8, 9)]
    assert unique.inferences["seq"].to_pylist() == [10, 11, 12]
    assert (unique.forks, unique.duplicates, unique.deferred) == (2, 0, 0)
    (row,) = unique.rejects.to_pylist()
    assert (row["device"], row["stream"], row["payload"]) == (DEVICE, STREAM.hex(), life(2, 8, 5)[2])
    assert unique.acks[DEVICE, STREAM.hex()] == Seen(12)


def test_a_resend_is_none_however_it_is_cut() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 40), life(1, 40, 60))
    unique = feed(streams, *(life(1, first, 7) for first in range(0, 90, 5)))
    assert (forked(unique), unique.forks, unique.duplicates) == ([], 0, 18 * 7)


def test_a_fork_that_comes_again_is_told_once() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 10))
    assert forked(feed(streams, life(2, 2, 3))) == [(2, 4)]
    again = feed(streams, life(2, 0, 6), life(2, 2, 3))
    assert (forked(again), again.duplicates) == ([(0, 1), (5, 5)], 6)
    assert forked(feed(streams, life(3, 2, 1))) == [(2, 2)]


def test_a_message_that_is_fork_here_and_there_keeps_its_payload_once() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 3), life(2, 3, 3), life(1, 6, 3))
    unique = feed(streams, life(1, 0, 9), life(2, 0, 9))
    assert forked(unique) == [(3, 5), (0, 2), (6, 8)]
    assert [row["payload"] is None for row in unique.rejects.to_pylist()] == [False, False, True]


def test_it_is_seen_inside_one_batch_too() -> None:
    assert forked(feed({}, life(1, 0, 4), life(2, 2, 1))) == [(2, 2)]


def test_only_time_tells_of_a_number_that_is_no_longer_kept() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 2 * WINDOW))
    assert forked(feed(streams, life(1, 0, 20))) == []
    later = NOON + 2 * WINDOW * SECOND + SLACK_US
    assert forked(feed(streams, life(2, 0, 20, later))) == [(0, 19)]


def test_a_fast_device_that_was_restored_a_while_ago_is_caught_at_its_first_record() -> None:
    def fast(first: int, count: int, begin: int, of_life: int) -> Message:  # ten records a second
        changed = {
            "sample_digest": of_life.to_bytes(32, "little") * count,
            "device_time_delta_us": np.arange(count, dtype=np.int32) * (SECOND // 10),
        }
        of = header(first_seq=first, count=count, device_time_us=begin)
        return DEVICE, Up.INFERENCES, payload(of, **changed)

    streams: Streams = {}
    for first in range(0, 1000, 50):
        feed(streams, fast(first, 50, NOON + first * (SECOND // 10), 1))
    assert forked(feed(streams, fast(100, 50, NOON + 100 * SECOND, 2))) == [(100, 149)]


def test_a_slow_device_that_resends_what_is_no_longer_kept_makes_no_fork() -> None:
    def slow(first: int, count: int) -> Message:  # a record a minute
        changed = {
            "sample_digest": bytes(32 * count),
            "device_time_delta_us": np.arange(count, dtype=np.int32) * 60 * SECOND,
        }
        of = header(first_seq=first, count=count, device_time_us=NOON + first * 60 * SECOND)
        return DEVICE, Up.INFERENCES, payload(of, **changed)

    streams: Streams = {}
    for first in range(0, 3 * WINDOW, 30):
        assert forked(feed(streams, slow(first, 30))) == []
        assert forked(feed(streams, *(slow(again, 30) for again in range(0, first, 30)))) == []


def test_records_that_fill_a_hole_are_kept_too() -> None:
    streams: Streams = {}
    feed(streams, life(1, 0, 4), life(1, 8, 4), life(1, 4, 4))
    assert forked(feed(streams, life(2, 4, 4), life(1, 0, 12))) == [(4, 7)]


def test_what_nobody_knows_fits_everything() -> None:
    streams: Streams = {**seeded({DEVICE: {STREAM.hex(): Seen(9, ((12, 13),))}})}
    unique = feed(streams, life(1, 0, 16))
    assert (unique.inferences["seq"].to_pylist(), unique.duplicates, unique.forks) == ([10, 11, 14, 15], 12, 0)
    assert forked(feed(streams, life(2, 0, 16))) == [(10, 11), (14, 15)]


def test_only_the_newest_streams_of_a_device_are_kept() -> None:
    streams: Streams = {}
    names = [bytes([place]) * 16 for place in range(2 * NEWEST)]
    for name in [*names, names[0]]:  # the first one comes back
        first = streams[DEVICE].streams[name.hex()].seen.through + 1 if name == names[0] and streams else 0
        feed(streams, inferences(stream=name, first_seq=first, count=3))
    kept = [name for name, stream in streams[DEVICE].streams.items() if stream.prints is not None]
    assert kept == [name.hex() for name in [*names[NEWEST + 1 :], names[0]]]
    assert len(streams[DEVICE].streams) == 2 * NEWEST


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 200)), max_size=30))
def test_what_is_kept_stays_small_and_is_right(pairs: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 2**32, 2000, np.uint32)
    prints, taken = Prints(), set[int]()
    for first, count in pairs:
        numbers = range(first, first + count)
        if taken.isdisjoint(numbers):
            marks = truth[first : first + count].tobytes()
            remember(prints, first, marks, NOON + numbers[-1] * SECOND)
            taken.update(numbers)
        assert len(prints.marks) <= 4 * WINDOW
        assert len(prints.dates) <= 16 * (2 + WINDOW // 64)
        kept = np.frombuffer(prints.marks, "<u4")
        expected = [truth[n] if n in taken else 0 for n in range(prints.end - len(kept), prints.end)]
        late = [n for n in range(prints.end - len(kept), prints.end) if n in taken]
        assert all(mark in (0, wanted) for mark, wanted in zip(kept.tolist(), expected, strict=True))
        if late:
            assert kept[late[-1] - prints.end] == truth[late[-1]]


@pytest.mark.parametrize("other", ["digest", "time"])
def test_a_fingerprint_is_of_digest_and_device_time(other: str) -> None:
    of = header(count=500)
    changed: dict[str, Any] = {"device_time_delta_us": np.arange(500, dtype=np.int32)}
    before = payload(of, **changed)
    if other == "time":
        changed["device_time_delta_us"] += 1
    else:
        digests = bytearray(columns(of).sample_digest)
        digests[31::32] = bytes(byte ^ 1 for byte in digests[31::32])
        changed["sample_digest"] = bytes(digests)
    one, two = (
        np.frombuffer(fingerprints(rows([(DEVICE, Up.INFERENCES, sent)]))[0], "<u4")
        for sent in (before, payload(of, **changed))
    )
    assert np.array_equal(one, np.frombuffer(fingerprints(rows([(DEVICE, Up.INFERENCES, before)]))[0], "<u4"))
    assert not (one == two).any()
    assert len(set(one.tolist())) == 500
    assert one.all()


def test_fingerprints_of_a_slice_are_those_of_the_whole() -> None:
    batch = rows([life(1, 0, 20)])
    marks, times = fingerprints(batch)
    part, later = fingerprints(batch.slice(5, 10))
    assert (part, later.tolist()) == (marks[20:60], times[5:15].tolist())


def test_nothing_is_kept_of_nothing() -> None:
    marks = np.ones(3, np.uint32).tobytes()
    assert find_forks(Prints(), 0, marks, np.zeros(3, np.int64)) is None
    assert fingerprints(rows([]))[0] == b""
