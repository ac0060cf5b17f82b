"""A lake in a folder whose disk is full, read-only, elsewhere or gone: it waits, and goes on when that is over."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store import open_store
from schemas.errors import Fatal, Unavailable
from tests.integration.tmpfs import mounted
from tests.pipelines.stored import files_of

NAME = "inferences/model=digits/date=2023-11-14/part-000-000000000001.parquet"
SECOND = NAME.replace("1.", "2.")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    with mounted(tmp_path / "disk", "1m") as folder:
        yield folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows"
    path.write_bytes(bytes(300_000))
    return path


def test_a_full_disk_takes_nothing_half_and_goes_on_once_there_is_room(disk: Path, rows: Path) -> None:
    store = open_store(disk / "lake")
    store.put("_gleaner/part-000.json", b"before")
    filler = disk / "filler"
    filler.write_bytes(bytes(900_000))
    with pytest.raises(Unavailable, match="No space left"):
        store.put_new(NAME, rows)
    with pytest.raises(Unavailable, match="No space left"):
        store.put("_gleaner/part-000.json", bytes(300_000))
    assert files_of(disk / "lake") == {}
    assert store.get("_gleaner/part-000.json") == b"before"
    filler.unlink()
    store.put_new(NAME, rows)
    store.put("_gleaner/part-000.json", b"after")
    assert files_of(disk / "lake") == {NAME: bytes(300_000)}
    assert store.get("_gleaner/part-000.json") == b"after"


def test_a_disk_that_turns_read_only_is_written_once_it_is_not(disk: Path, rows: Path) -> None:
    store = open_store(disk / "lake")
    store.put_new(NAME, rows)
    _remount(disk, "ro")
    for attempt in (lambda: store.put_new(SECOND, rows), lambda: store.put("_gleaner/x", b"")):
        with pytest.raises(Unavailable, match="Read-only"):
            attempt()
    _remount(disk, "rw")
    store.put_new(SECOND, rows)
    assert set(files_of(disk / "lake")) == {NAME, SECOND}


def test_on_another_disk_a_name_is_given_once_too(disk: Path, rows: Path, tmp_path: Path) -> None:
    store, other = open_store(disk / "lake"), tmp_path / "other"
    other.write_bytes(b"other")
    for _ in range(2):
        store.put_new(NAME, rows)
    with pytest.raises(Fatal, match="holds other rows"):
        store.put_new(NAME, other)
    assert files_of(disk / "lake") == {NAME: bytes(300_000)}


def test_a_lake_that_was_taken_away_is_not_made_anew(tmp_path: Path, rows: Path) -> None:
    lake, aside = tmp_path / "lake", tmp_path / "aside"
    store = open_store(lake)
    store.put_new(NAME, rows)
    lake.rename(aside)
    attempts = (
        lambda: store.put_new(SECOND, rows),
        lambda: store.put("_gleaner/x", b""),
        lambda: store.get("_gleaner/x"),
        lambda: store.holds("inferences/"),
    )
    for attempt in attempts:
        with pytest.raises(Unavailable, match="lake"):
            attempt()
    assert not lake.exists()
    aside.rename(lake)
    store.put_new(SECOND, rows)
    assert set(files_of(lake)) == {NAME, SECOND}


def test_a_folder_of_the_lake_that_was_removed_is_made_again(tmp_path: Path, rows: Path) -> None:
    store = open_store(tmp_path / "lake")
    store.put_new(NAME, rows)
    (tmp_path / "lake" / NAME).unlink()
    (tmp_path / "lake" / NAME).parent.rmdir()
    with pytest.raises(Unavailable):
        store.put_new(SECOND, rows)
    store.put_new(SECOND, rows)
    assert set(files_of(tmp_path / "lake")) == {SECOND}


def test_a_name_that_could_not_be_made_durable_is_given_anew(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "lake")
    store.put_new(NAME, rows)
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _fails)
        with pytest.raises(Unavailable, match="Input/output"):
            store.put_new(SECOND, rows)
        with pytest.raises(Unavailable, match="Input/output"):
            store.put_new(NAME, rows)
    assert set(files_of(tmp_path / "lake")) == {NAME}
    store.put_new(SECOND, rows)
    assert set(files_of(tmp_path / "lake")) == {NAME, SECOND}


def test_drafts_that_a_crash_left_are_removed_and_others_are_not(tmp_path: Path) -> None:
    incoming = tmp_path / "lake" / "_incoming"
    incoming.mkdir(parents=True)
    for name in ("old", "new"):
        (incoming / name).write_bytes(b"")
    os.utime(incoming / "old", (0, 0))
    open_store(tmp_path / "lake")
    assert [path.name for path in incoming.iterdir()] == ["new"]


def _fails(_descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)
