"""A bucket whose store fails in every way it can: nothing is half there, nothing is overwritten, all of it heals."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import bucket_client
from pipelines.place import Bucket
from pipelines.store import Store, open_store
from schemas.errors import Fatal, Unavailable
from tests.integration import minio
from tests.integration.http_proxy import Fault, Proxy, proxied
from tests.integration.tmpfs import mounted

pytestmark = [pytest.mark.integration, pytest.mark.minio]
NAME = "inferences/model=digits/date=2023-11-14/part-000-000000000001.parquet"
ROWS = bytes(range(256)) * 4_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[minio.Minio]:
    with minio.running(tmp_path_factory.mktemp("minio")) as started:
        yield started


@pytest.fixture
def bucket(server: minio.Minio, tmp_path: Path) -> Bucket:
    """The empty lake itself, without the proxy."""
    return replace(server.bucket, prefix=tmp_path.name)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    with proxied(bucket.endpoint) as between:
        yield between


@pytest.fixture
def store(bucket: Bucket, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The lake as seen through the proxy, by a client that has asked what the store can."""
    monkeypatch.setattr(bucket_client, "_READ_S", 0.5)
    opened = open_store(replace(bucket, endpoint=proxy.endpoint))
    opened.put("_gleaner/first", b"")
    return opened


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows"
    path.write_bytes(ROWS)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    path.write_bytes(ROWS[:-1] + b"!")
    return path


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.HANGING, Fault.CUT, Fault.ALTERED])
def test_an_upload_that_fails_leaves_nothing_and_succeeds_later(
    fault: Fault, store: Store, proxy: Proxy, bucket: Bucket, rows: Path
) -> None:
    proxy.fault = fault
    with pytest.raises(Unavailable):
        store.put_new(NAME, rows)
    assert minio.objects(bucket) == {}
    proxy.fault = Fault.NONE
    store.put_new(NAME, rows)
    assert minio.objects(bucket) == {NAME: ROWS}


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.HANGING, Fault.CUT, Fault.ALTERED])
def test_a_marker_that_fails_is_the_one_before(fault: Fault, store: Store, proxy: Proxy, bucket: Bucket) -> None:
    store.put("_gleaner/part-000.json", b"before")
    proxy.fault = fault
    with pytest.raises(Unavailable):
        store.put("_gleaner/part-000.json", b"after")
    assert open_store(bucket).get("_gleaner/part-000.json") == b"before"
    proxy.fault = Fault.NONE
    store.put("_gleaner/part-000.json", b"after")
    assert open_store(bucket).get("_gleaner/part-000.json") == b"after"


def test_one_call_is_one_attempt(store: Store, proxy: Proxy, rows: Path) -> None:
    store.put_new(NAME.replace("1.", "2."), rows)
    proxy.seen.clear()
    proxy.fault = Fault.OVERLOADED
    with pytest.raises(Unavailable, match="overloaded"):
        store.put_new(NAME, rows)
    assert proxy.seen == ["PUT"]


def test_an_upload_whose_answer_is_lost_is_looked_up(store: Store, proxy: Proxy, bucket: Bucket, rows: Path) -> None:
    store.put_new(NAME.replace("1.", "2."), rows)
    proxy.seen.clear()
    proxy.fault = Fault.UNANSWERED
    store.put_new(NAME, rows)
    assert proxy.seen == ["PUT", "HEAD"]
    assert minio.objects(bucket)[NAME] == ROWS


def test_an_upload_whose_answers_are_all_lost_is_found_at_the_next_attempt(
    store: Store, proxy: Proxy, bucket: Bucket, rows: Path, other: Path
) -> None:
    store.put_new(NAME.replace("1.", "2."), rows)
    proxy.fault, proxy.methods = Fault.UNANSWERED, {"PUT", "HEAD"}
    with pytest.raises(Unavailable):
        store.put_new(NAME, rows)
    proxy.fault = Fault.NONE
    store.put_new(NAME, rows)
    with pytest.raises(Fatal, match="holds other rows"):
        store.put_new(NAME, other)
    assert minio.objects(bucket)[NAME] == ROWS


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.HANGING, Fault.UNANSWERED])
def test_a_read_that_fails_is_neither_nothing_nor_half(fault: Fault, store: Store, proxy: Proxy, rows: Path) -> None:
    store.put_new(NAME, rows)
    proxy.fault, proxy.methods = fault, {"GET"}
    for read in (lambda: store.get(NAME), lambda: store.get("none"), lambda: store.holds("inferences/")):
        with pytest.raises(Unavailable):
            read()
    proxy.fault = Fault.NONE
    assert (store.get(NAME), store.get("none"), store.holds("inferences/")) == (ROWS, None, True)


def test_a_store_that_can_not_create_only_is_looked_at_before_and_after(
    store: Store, proxy: Proxy, bucket: Bucket, rows: Path, other: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy.drop_headers = {"if-none-match"}
    store.put_new(NAME, rows)
    assert "looked for before and after" in capfd.readouterr().out
    store.put_new(NAME, rows)
    with pytest.raises(Fatal, match="holds other rows"):
        store.put_new(NAME, other)
    assert minio.objects(bucket) == {NAME: ROWS}


def test_what_another_program_has_put_is_compared_by_its_bytes(
    store: Store, bucket: Bucket, rows: Path, other: Path
) -> None:
    minio.client(bucket).put_object(Bucket=bucket.bucket, Key=f"{bucket.prefix}/{NAME}", Body=ROWS)
    store.put_new(NAME, rows)
    with pytest.raises(Fatal, match="holds other rows"):
        store.put_new(NAME, other)


def test_keys_are_read_again_from_their_files_once_they_are_refused(bucket: Bucket, tmp_path: Path, rows: Path) -> None:
    access, secret = tmp_path / "access", tmp_path / "secret"
    access.write_text("nobody")
    secret.write_text("wrong")
    store = open_store(
        replace(bucket, access_key="nobody", secret_key="wrong", access_key_file=access, secret_key_file=secret)
    )
    for read in (lambda: store.put_new(NAME, rows), lambda: store.get(NAME), lambda: store.holds("")):
        with pytest.raises(Unavailable, match="keys were refused") as told:
            read()
        assert "wrong" not in str(told.value).replace("they are wrong", "")
    access.write_text(bucket.access_key)
    secret.write_text(bucket.secret_key + "\n")
    store.put_new(NAME, rows)
    assert minio.objects(bucket) == {NAME: ROWS}


def test_a_bucket_that_is_not_there_is_found_once_it_is(bucket: Bucket, rows: Path) -> None:
    later = replace(bucket, bucket=f"later-{os.getpid()}")
    store = open_store(later)
    attempts: list[Callable[[], object]] = [
        lambda: store.put_new(NAME, rows),
        lambda: store.put("_gleaner/x", b""),
        lambda: store.get(NAME),
        lambda: store.holds(""),
    ]
    for attempt in attempts:
        with pytest.raises(Unavailable, match="no such bucket"):
            attempt()
    minio.make_bucket(later)
    for attempt in attempts:
        attempt()
    assert minio.objects(later) == {NAME: ROWS}


def test_a_store_that_is_killed_keeps_what_it_took_and_is_found_when_it_is_back(tmp_path: Path, rows: Path) -> None:
    second = NAME.replace("1.", "2.")
    with minio.running(tmp_path / "minio") as first_life:
        store = open_store(first_life.bucket)
        store.put_new(NAME, rows)
        first_life.process.send_signal(signal.SIGKILL)
        first_life.process.wait(10)
        for attempt in (lambda: store.put_new(second, rows), lambda: store.get(NAME), lambda: store.holds("")):
            with pytest.raises(Unavailable):
                attempt()
    port = int(first_life.bucket.endpoint.split(":")[1])
    with minio.running(tmp_path / "minio", port=port) as second_life:
        store.put_new(NAME, rows)
        store.put_new(second, rows)
        assert minio.objects(second_life.bucket) == {NAME: ROWS, second: ROWS}


def test_a_store_that_is_full_takes_rows_once_there_is_room(tmp_path: Path, rows: Path) -> None:
    with mounted(tmp_path / "disk", "80m") as disk, minio.running(disk / "minio") as started:
        store = open_store(started.bucket)
        filler = disk / "filler"
        free = os.statvfs(disk)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - len(ROWS) // 4))
        with pytest.raises(Unavailable, match="full"):  # in MinIO's words, an incomplete body
            store.put_new(NAME, rows)
        filler.unlink()
        store.put_new(NAME, rows)
        assert minio.objects(started.bucket) == {NAME: ROWS}
