import hashlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.ring import RawSample, Ring
from edge_publisher.storage import MIN_BYTES

INDEX_BYTES = 64 * 1024  # SQLite's index of its log, a file of 32 KiB, and what it grows by


def raw(number: int, size: int = 4000) -> tuple[bytes, RawSample]:
    data = number.to_bytes(4, "big") + bytes(size)
    return hashlib.sha256(data).digest(), RawSample(data, "image/x-portable-graymap")


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.floats(0, 1)), min_size=20, max_size=120),
    st.integers(MIN_BYTES, 3 * MIN_BYTES),
)
def test_the_ring_stays_within_its_bytes_and_gives_back_what_was_put(puts: list[tuple[int, float]], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ring = Ring(Path(folder), max_bytes=size)
        for number, (bytes_, margin) in enumerate(puts):
            digest, sample = raw(number, bytes_)
            kept = ring.put(digest, sample, margin)
            assert kept == (len(sample.data) <= size // 16)
            assert ring.get(digest) == (sample if kept else None)  # the newest is always there
            assert sum(file.stat().st_size for file in Path(folder).iterdir()) <= size + INDEX_BYTES
            assert ring.used_bytes() <= size * 3 // 4
        held = [raw(number, bytes_)[0] for number, (bytes_, _) in enumerate(puts)]
        assert sum(ring.get(digest) is not None for digest in held) == ring.count()
        ring.close()


def test_equal_margins_make_it_first_in_first_out(tmp_path: Path) -> None:
    ring = Ring(tmp_path, max_bytes=MIN_BYTES)
    samples = [raw(number) for number in range(200)]
    for digest, sample in samples:
        ring.put(digest, sample, 1.0)
    there = [ring.get(digest) is not None for digest, _ in samples]
    assert there == sorted(there)
    assert 20 < sum(there) < 150
    ring.close()


def test_what_the_model_was_unsure_of_stays_longer_and_goes_at_last(tmp_path: Path) -> None:
    ring = Ring(tmp_path, max_bytes=MIN_BYTES)
    unsure, sure = raw(0), raw(1)
    capacity = 0
    while ring.count() == capacity:
        capacity += 1
        ring.put(*raw(100 + capacity), 1.0)
    ring.put(*unsure, 0.0)
    ring.put(*sure, 1.0)
    for number in range(2 * capacity):
        ring.put(*raw(1000 + number), 1.0)
    assert ring.get(sure[0]) is None
    assert ring.get(unsure[0]) == unsure[1]
    for number in range(4 * capacity):
        ring.put(*raw(5000 + number), 1.0)
    assert ring.get(unsure[0]) is None
    ring.close()


def test_a_repeated_sample_costs_no_room(tmp_path: Path) -> None:
    ring = Ring(tmp_path, max_bytes=MIN_BYTES)
    first, still = raw(0), raw(1)
    ring.put(*first, 1.0)
    for _ in range(500):
        ring.put(*still, 1.0)
    assert ring.count() == 2
    assert ring.get(first[0]) == first[1]
    ring.close()


def test_it_is_there_after_a_restart_and_fits_a_smaller_setting(tmp_path: Path) -> None:
    ring = Ring(tmp_path, max_bytes=4 * MIN_BYTES)
    samples = [raw(number) for number in range(300)]
    for digest, sample in samples:
        ring.put(digest, sample, 0.5)
    ring.close()
    ring = Ring(tmp_path, max_bytes=4 * MIN_BYTES)
    assert ring.get(samples[-1][0]) == samples[-1][1]
    ring.close()
    ring = Ring(tmp_path, max_bytes=MIN_BYTES)
    assert ring.get(samples[-1][0]) == samples[-1][1]
    assert ring.get(samples[0][0]) is None
    ring.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= MIN_BYTES + INDEX_BYTES
