"""Stores: a name is given once, for ever, whole; the same holds of a folder and of a bucket."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.place import Bucket, Place
from pipelines.store import Store, open_store, reading_store
from schemas.errors import Fatal, LakeError
from tests.integration import minio
from tests.pipelines.stored import files_of

NAME = "inferences/model=digits/date=2023-11-14/part-000-000000000001.parquet"
STORES = [pytest.param("folder"), pytest.param("bucket", marks=[pytest.mark.minio, pytest.mark.integration])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with minio.running(tmp_path_factory.mktemp("minio")) as started:
        yield started.bucket


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty lake."""
    if request.param == "folder":
        return tmp_path / "lake"
    bucket: Bucket = request.getfixturevalue("server")
    return replace(bucket, prefix=f"{tmp_path.name}/lake")


@pytest.fixture
def store(place: Place) -> Store:
    return open_store(place)


@pytest.fixture
def content(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a file with these bytes."""

    def made(data: bytes) -> Path:
        made.count += 1  # type: ignore[attr-defined]
        path = tmp_path / f"staged-{made.count}"  # type: ignore[attr-defined]
        path.write_bytes(data)
        return path

    made.count = 0  # type: ignore[attr-defined]
    return made


Content = Callable[[bytes], Path]


@pytest.mark.parametrize("data", [b"", b"PAR1", bytes(range(256)) * 20_000], ids=["empty", "short", "5 MB"])
def test_what_is_put_is_there_as_it_was(data: bytes, store: Store, place: Place, content: Content) -> None:
    store.put_new(NAME, content(data))
    assert store.get(NAME) == data
    assert files_of(place) == {NAME: data}


def test_the_same_bytes_may_be_put_again(store: Store, place: Place, content: Content) -> None:
    for _ in range(3):
        store.put_new(NAME, content(b"rows"))
    assert files_of(place) == {NAME: b"rows"}


def test_the_same_bytes_may_be_put_again_after_a_restart(store: Store, place: Place, content: Content) -> None:
    store.put_new(NAME, content(b"rows"))
    open_store(place).put_new(NAME, content(b"rows"))
    assert files_of(place) == {NAME: b"rows"}


@pytest.mark.parametrize("other", [b"", b"rowz", b"rows and more"])
def test_other_bytes_are_refused_and_do_not_overwrite(
    other: bytes, store: Store, place: Place, content: Content
) -> None:
    store.put_new(NAME, content(b"rows"))
    with pytest.raises(Fatal, match="holds other rows"):
        store.put_new(NAME, content(other))
    assert files_of(place) == {NAME: b"rows"}


def test_of_two_writers_at_once_one_gets_the_name_and_the_other_hears_of_it(place: Place, content: Content) -> None:
    for number in range(8):
        name = NAME.replace("0001", f"{number:04d}")
        sources = [content(word * 100_000) for word in (b"a", b"b")]
        told = _race([(open_store(place), name, source) for source in sources])
        assert sorted(told) == ["refused", "taken"]
        winner = sources[told.index("taken")].read_bytes()
        assert files_of(place)[name] == winner


def test_two_writers_of_the_same_bytes_both_succeed(place: Place, content: Content) -> None:
    told = _race([(open_store(place), NAME, content(b"a" * 100_000)) for _ in range(4)])
    assert told == ["taken"] * 4


def test_a_marker_is_written_over_the_one_before(store: Store, place: Place) -> None:
    assert store.get("_gleaner/part-000.json") is None
    for data in (b"one", b"", b"another"):
        store.put("_gleaner/part-000.json", data)
        assert open_store(place).get("_gleaner/part-000.json") == data


def test_a_store_knows_whether_it_holds_anything_below_a_name(store: Store, content: Content) -> None:
    assert not store.holds("inferences/")
    store.put_new(NAME, content(b"rows"))
    assert store.holds("inferences/")
    assert store.holds("inf")
    assert store.holds("inferences/", ".parquet")
    assert not store.holds("inferences/", ".json")
    assert not store.holds("inferences/model=other/")
    assert not store.holds("rejects/")


def test_markers_and_drafts_are_no_rows(store: Store, content: Content) -> None:
    store.put("_gleaner/part-000.json", b"{}")
    assert not store.holds("inferences/", ".parquet")
    assert not store.holds("rejects/")


def test_looking_at_a_lake_changes_nothing_in_it(place: Place) -> None:
    if isinstance(place, Path):
        place.mkdir()
    reader = reading_store(place)
    assert not reader.holds("")
    assert reader.get(NAME) is None
    assert not reading_store(place).holds("")


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LakeError, match=r"file/lake: can't be created"):
        open_store(tmp_path / "file" / "lake")


def test_a_source_that_is_gone_is_no_fault_of_the_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_new(NAME, tmp_path / "none")


def _race(writers: list[tuple[Store, str, Path]]) -> list[str]:
    """What became of each of several writers that start together."""
    told, start = [""] * len(writers), threading.Barrier(len(writers))

    def write(number: int) -> None:
        store, name, source = writers[number]
        start.wait()
        try:
            store.put_new(name, source)
            told[number] = "taken"
        except Fatal:
            told[number] = "refused"

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told
