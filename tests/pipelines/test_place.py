"""Where a lake is: what settings and `--lake` may say, and what an operator hears when they can't be meant."""

from pathlib import Path

import pytest

from pipelines.place import Bucket, named
from pipelines.settings import load
from schemas.errors import SettingsError
from tests.pipelines.commanding import Gleaner

SECRET = "correct horse"
KEYS = ("lake.access_key=me", f"lake.secret_key={SECRET}")
URL = "lake.url=s3://fleet/lakes/one"


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def place(*arguments: str) -> Path | Bucket:
    return load(arguments=arguments).lake_place


def bucket(*arguments: str) -> Bucket:
    found = place(*arguments)
    assert isinstance(found, Bucket)
    return found


def test_a_lake_is_a_folder_in_the_data_folder_unless_it_is_said_otherwise() -> None:
    assert place("data_dir=/d") == Path("/d/lake")
    assert place("data_dir=/d", "lake.path=/l") == Path("/l")


def test_a_url_names_bucket_and_prefix() -> None:
    assert (bucket(URL, *KEYS).bucket, bucket(URL, *KEYS).prefix) == ("fleet", "lakes/one")
    assert str(bucket("lake.url=s3://fleet/", *KEYS)) == "s3://fleet"
    assert str(bucket(URL + "/", *KEYS)) == "s3://fleet/lakes/one"


@pytest.mark.parametrize(
    ("endpoint", "host", "secure"),
    [
        ("", "", True),
        ("http://127.0.0.1:9000", "127.0.0.1:9000", False),
        ("https://store.example/", "store.example", True),
        ("https://[::1]:9000", "[::1]:9000", True),
    ],
)
def test_the_endpoint_says_where_the_store_is_and_whether_over_tls(endpoint: str, host: str, secure: bool) -> None:
    found = bucket(URL, *KEYS, f"lake.endpoint={endpoint}")
    assert (found.endpoint, found.secure) == (host, secure)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((URL, *KEYS, "lake.path=/l"), "both set"),
        (("lake.url=fleet/one", *KEYS), "say s3://bucket"),
        (("lake.url=https://fleet/one", *KEYS), "say s3://bucket"),
        (("lake.url=s3://", *KEYS), "say s3://bucket"),
        (("lake.url=s3://Fleet", *KEYS), "say s3://bucket"),
        (("lake.url=s3://fleet/../one", *KEYS), "say s3://bucket"),
        (("lake.url=s3://fleet/a//b", *KEYS), "say s3://bucket"),
        (("lake.url=s3://fleet/*", *KEYS), "say s3://bucket"),
        (("lake.path=s3://fleet/one",), "a bucket goes into lake.url"),
        ((URL, *KEYS, "lake.endpoint=127.0.0.1:9000"), "http://host:9000"),
        ((URL, *KEYS, "lake.endpoint=http://127.0.0.1:x"), "http://host:9000"),
        ((URL, *KEYS, "lake.endpoint=http://h/fleet"), "http://host:9000"),
        ((URL, *KEYS, "lake.endpoint=http://me:pw@h"), "http://host:9000"),
        ((URL, *KEYS, "lake.region="), "lake.region"),
        ((URL, *KEYS, "lake.ca_file=none.pem"), "no such file"),
        ((URL,), "AWS_ACCESS_KEY_ID"),
        ((URL, "lake.access_key=me"), "AWS_SECRET_ACCESS_KEY"),
        ((URL, "lake.secret_key_file=none"), "can't be read"),
        ((URL, *KEYS, "lake.secret_key_file=none"), "both set"),
    ],
)
def test_a_place_that_can_not_be_is_refused_with_what_to_say_instead(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(SettingsError, match=r"lake|s3|fleet") as caught:
        place(*arguments)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_keys_come_from_settings_then_files_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-token")
    found = bucket(URL)
    assert (found.access_key, found.secret_key, found.session_token) == ("env", "env-secret", "env-token")
    (tmp_path / "key").write_text(f"{SECRET}\n")
    found = bucket(URL, "lake.access_key=me", f"lake.secret_key_file={tmp_path / 'key'}")
    assert (found.access_key, found.secret_key, found.session_token) == ("me", SECRET, "")


def test_keys_of_two_origins_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    with pytest.raises(SettingsError, match=r"no lake\.secret_key"):
        place(URL, "lake.access_key=me")


def test_a_secret_key_prints_nowhere(gleaner: Gleaner) -> None:
    settings = load(arguments=(URL, *KEYS))
    for shown in (repr(settings), settings.model_dump_json(), repr(settings.lake_place), str(settings.lake_place)):
        assert SECRET not in shown
    assert SECRET not in gleaner("--set", KEYS[1], "config").out


def test_a_lake_that_a_command_names_has_the_keys_of_the_settings() -> None:
    settings = load(arguments=KEYS)
    found = named("s3://other/x", settings.lake)
    assert isinstance(found, Bucket)
    assert (found.bucket, found.access_key) == ("other", "me")
    assert named("some/folder", settings.lake) == Path("some/folder")


@pytest.mark.parametrize("name", ["sql", "drift", "samples", "verify"])
def test_a_command_that_reads_a_store_that_is_away_says_so_in_a_line(
    name: str, gleaner: Gleaner, unused_port: int
) -> None:
    settings = (*KEYS, f"lake.endpoint=http://127.0.0.1:{unused_port}")
    options = [part for setting in settings for part in ("--set", setting)]
    told = gleaner(*options, name, "--lake", "s3://fleet/one", *(["select 1"] if name == "sql" else []))
    assert told.status == 2
    assert told.err == f"gleaner: s3://fleet/one: nothing answers at 127.0.0.1:{unused_port}\n"


def test_a_command_that_names_a_bucket_without_keys_says_where_they_go(gleaner: Gleaner) -> None:
    gleaner("sql", "--lake", "s3://fleet/one", "select 1").refused("AWS_ACCESS_KEY_ID")
