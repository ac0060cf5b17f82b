import io
import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher import netpbm
from edge_publisher.directory import DirectorySensor, read_npy
from edge_publisher.sensor import paced
from schemas.errors import SettingsError


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([None, 3]), st.integers(0, 2**32))
def test_an_image_written_is_the_image_read(height: int, width: int, channels: int | None, seed: int) -> None:
    shape = (height, width) if channels is None else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    data = netpbm.write(pixels)
    assert (netpbm.read(data) == pixels).all()
    with pytest.raises(ValueError, match="cut short"):
        netpbm.read(data[:-1])


def test_comments_in_the_header_are_skipped() -> None:
    assert netpbm.read(b"P5 # by hand\n2\t1 # size\n255\n\x01\x02").tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a binary PGM"),
        (b"P2\n1 1\n255\n1", "not a binary PGM"),
        (b"P5\n-1 1\n255\n1", "not a binary PGM"),
        (b"P5\n0 5\n255\n", "0 × 5 pixels"),
        (b"P5\n99999999 99999999\n255\n", "pixels; 1 to"),
        (b"P5\n1 1\n65535\n11", "8 bits"),
        (b"P5\n1000 1000\n255\nshort", "cut short"),
        (b"P5" + b" " * 100_000, "not a binary PGM"),
        (b"P5" + b"#\n" * 50_000, "not a binary PGM"),
    ],
)
def test_an_image_that_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        netpbm.read(data)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_image_or_a_value_error(data: bytes) -> None:
    for start in (b"", b"P5\n", b"P6 2 2 255\n"):
        try:
            netpbm.read(start + data)
        except ValueError:
            continue


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_an_array_that_lies_about_its_size_or_holds_objects_is_refused() -> None:
    good = npy(np.zeros((4, 4), np.uint8))
    assert read_npy(good).shape == (4, 4)
    huge = good.replace(b"(4, 4), }  ", b"(9999999999,9)}"[:11])
    for data in (huge, npy(np.array([{}], dtype=object)), b"", b"\x93NUMPY\x09\x00", good[:20]):
        with pytest.raises(ValueError, match=r".+"):
            read_npy(data)


def test_a_directory_gives_its_samples_by_name_and_leaves_out_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "b.pgm").write_bytes(netpbm.write(np.full((2, 3), 7, np.uint8)))
    (tmp_path / "a.ppm").write_bytes(netpbm.write(np.full((2, 3, 3), 8, np.uint8)))
    (tmp_path / "c.npy").write_bytes(npy(np.full((5, 5), 0.5)))
    (tmp_path / "d.pgm").write_bytes(b"P5 broken")
    (tmp_path / "notes.txt").write_text("not a sample")
    found = list(DirectorySensor(tmp_path))
    assert [(sample.array.shape, sample.content_type) for sample in found] == [
        ((2, 3, 3), netpbm.PPM),
        ((2, 3), netpbm.PGM),
        ((5, 5), "application/x-npy"),
    ]
    assert [sample.data for sample in found] == [(tmp_path / name).read_bytes() for name in ("a.ppm", "b.pgm", "c.npy")]
    assert len(list(islice(DirectorySensor(tmp_path, repeat=True), 7))) == 7


def test_a_directory_of_nothing_is_refused_and_one_of_broken_files_ends(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(SettingsError, match=r"\.pgm, \.ppm, \.npy"):
            DirectorySensor(folder)
    (tmp_path / "d.pgm").write_bytes(b"P5 broken")
    assert list(DirectorySensor(tmp_path, repeat=True)) == []


def test_pacing_gives_all_and_stops_when_told() -> None:
    (image,) = (netpbm.write(np.zeros((1, 1), np.uint8)),)
    stop = threading.Event()
    assert list(paced([image] * 5, 10_000.0, stop)) == [image] * 5  # type: ignore[list-item]
    stop.set()
    assert list(paced([image] * 5, 0.001, stop)) == []  # type: ignore[list-item]
