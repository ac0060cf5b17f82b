"""Place: where a lake is, a folder or a bucket of an S3 store, as settings and `--lake` name it."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pipelines.secret import secret
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.settings import Lake

SCHEME: Final = "s3://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z0-9-]{1,63}")
_PREFIX: Final = re.compile(r"([A-Za-z0-9_=-][A-Za-z0-9_.=-]*(/[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A lake in an S3 store, and how to get in.

    Attributes:
        endpoint: host and port of the store; empty for Amazon's of the region.
        bucket: its name.
        prefix: what all names in it begin with, without slashes at either end.
        region: what requests are signed for.
        access_key: who asks.
        secret_key: what signs.
        session_token: goes with temporary keys; empty for others.
        secure: whether it speaks TLS.
        ca_file: certificates to trust instead of the system's.
        access_key_file: where the key may be read again; none where it was given as it is.
        secret_key_file: the same.
    """

    endpoint: str = ""
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    secure: bool = True
    ca_file: Path | None = None
    access_key_file: Path | None = None
    secret_key_file: Path | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


Place = Path | Bucket


def place_of(lake: "Lake", default: Path) -> Place:
    """Where the settings put the lake.

    Args:
        lake: the section of the settings.
        default: the folder, where it names neither folder nor bucket.

    Raises:
        SettingsError: it names both, or what it names can't be.
    """
    if lake.url and lake.path:
        raise SettingsError("lake.path and lake.url are both set; a lake is in one of them")
    return named(lake.url, lake) if lake.url else _folder(str(lake.path or default), "lake.path")


def named(text: str, lake: "Lake") -> Place:
    """The place that a text names: an `s3://bucket/prefix`, or a folder.

    Args:
        text: what somebody wrote.
        lake: how to get into a bucket.

    Raises:
        SettingsError: it can be neither, or there are no keys for the bucket.
    """
    if "://" not in text and text != lake.url:
        return _folder(text, "--lake")
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    if not text.startswith(SCHEME) or not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix):
        raise SettingsError(f"{text}: no lake can be there; say s3://bucket or s3://bucket/prefix")
    endpoint, secure = _endpoint(lake.endpoint)
    if not _REGION.fullmatch(lake.region):
        raise SettingsError(f"lake.region {lake.region!r}: no region; a store of your own mostly takes us-east-1")
    if lake.ca_file and not lake.ca_file.is_file():
        raise SettingsError(f"lake.ca_file {lake.ca_file}: no such file")
    access_key = secret(lake.access_key, lake.access_key_file, "lake.access_key")
    secret_key = secret(lake.secret_key.get_secret_value(), lake.secret_key_file, "lake.secret_key")
    of_lake = bool(access_key or secret_key)
    return Bucket(
        endpoint=endpoint,
        secure=secure,
        bucket=bucket,
        prefix=prefix,
        region=lake.region,
        ca_file=lake.ca_file,
        access_key=_needed(access_key if of_lake else os.environ.get("AWS_ACCESS_KEY_ID"), text, "access_key"),
        secret_key=_needed(secret_key if of_lake else os.environ.get("AWS_SECRET_ACCESS_KEY"), text, "secret_key"),
        session_token="" if of_lake else os.environ.get("AWS_SESSION_TOKEN", ""),
        access_key_file=lake.access_key_file,
        secret_key_file=lake.secret_key_file,
    )


def refreshed(bucket: Bucket) -> Bucket:
    """The bucket with the keys that their files hold now; with those it had, where there is nothing to read."""
    return replace(
        bucket,
        access_key=_held(bucket.access_key_file) or bucket.access_key,
        secret_key=_held(bucket.secret_key_file) or bucket.secret_key,
    )


def _folder(text: str, told_as: str) -> Path:
    if text.startswith(("s3:", "http:", "https:")):
        raise SettingsError(f"{told_as} {text}: is a folder; a bucket goes into lake.url, as s3://bucket/prefix")
    return Path(text)


def _endpoint(url: str) -> tuple[str, bool]:
    """Host and port, and whether over TLS."""
    if not url:
        return "", True
    wrong = SettingsError(f"lake.endpoint {url}: say where the store is, as https://host or http://host:9000")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise wrong
    except ValueError as error:  # a port that is none
        raise wrong from error
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise wrong
    return parts.netloc, parts.scheme == "https"


def _needed(key: str | None, text: str, name: str) -> str:
    if not key:
        variable = "AWS_ACCESS_KEY_ID" if name == "access_key" else "AWS_SECRET_ACCESS_KEY"
        raise SettingsError(f"{text}: no lake.{name}; set it, lake.{name}_file or {variable}")
    return key


def _held(file: Path | None) -> str:
    try:
        return file.read_text().strip() if file else ""
    except (OSError, UnicodeDecodeError):
        return ""
