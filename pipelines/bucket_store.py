"""A lake in a bucket: uploads that the store checks, that overwrite nothing, and that may be tried again.

Each call is one attempt with bounded waits. An upload whose outcome is not known is
looked up; if that fails too, the next attempt finds out, since the name then holds the
same bytes.
"""

import base64
import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.bucket_client import Unclear, connect, refusal
from pipelines.place import Bucket, refreshed
from schemas.errors import Fatal, Unavailable

_PROBE: Final = "_gleaner/create-only"
_TAKEN: Final = 412
_AT_ONCE: Final = 409
_NOT_KNOWN: Final = frozenset({400, 405, 501})
_NOT_LET_IN: Final = frozenset({401, 403})
_NOT_THERE: Final = 404
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What identifies bytes.

    Attributes:
        size: how many.
        sha256: 32 bytes.
    """

    size: int
    sha256: bytes


class BucketStore:
    """The objects of a bucket below a prefix.

    Args:
        bucket: where it is, and how to get in; keys that came from files are read again when they are refused.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._client = connect(bucket)
        self._create_only: bool | None = None

    def put_new(self, name: str, source: Path) -> None:
        """As `Store.put_new`."""
        if self._create_only is None:
            self._create_only = self._ask_create_only()
        with source.open("rb") as file:
            content = _content_of(file)
            if not self._create_only and self._is_there(name, content):
                return
            try:
                self._upload(name, file, content, new=self._create_only)
            except Unclear:
                if not self._is_there(name, content):
                    raise
            except ClientError as error:
                if _status(error) not in (_TAKEN, _AT_ONCE) or not self._is_there(name, content):
                    raise self._refused(error) from error
        if not self._create_only and not self._is_there(name, content):
            raise Unavailable(f"{self._bucket}/{name}: uploaded, but not there")

    def put(self, name: str, data: bytes) -> None:
        """As `Store.put`."""
        content = _Content(size=len(data), sha256=hashlib.sha256(data).digest())
        try:
            self._upload(name, data, content, new=False)
        except ClientError as error:
            raise self._refused(error) from error

    def get(self, name: str) -> bytes | None:
        """As `Store.get`; the bytes are checked against the store's checksum."""
        try:
            answer = self._ask("get_object", Key=self._key(name), ChecksumMode="ENABLED")
            data: bytes = answer["Body"].read()
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise self._refused(error) from error
        except BotoCoreError as error:
            raise refusal(self._bucket, error) from error
        return data

    def holds(self, prefix: str, suffix: str = "") -> bool:
        """As `Store.holds`."""
        more: dict[str, Any] = {} if suffix else {"MaxKeys": 1}
        try:
            while True:
                answer = self._ask("list_objects_v2", Prefix=self._key(prefix), **more)
                if any(found["Key"].endswith(suffix) for found in answer.get("Contents", ())):
                    return True
                if not answer.get("IsTruncated"):
                    return False
                more["ContinuationToken"] = answer["NextContinuationToken"]
        except ClientError as error:
            raise self._refused(error) from error

    def _upload(self, name: str, body: BufferedReader | bytes, content: _Content, *, new: bool) -> None:
        """Put an object; the store refuses a body that is not what the checksum says."""
        self._ask(
            "put_object",
            Key=self._key(name),
            Body=body,
            ContentLength=content.size,
            ChecksumSHA256=base64.b64encode(content.sha256).decode(),
            Metadata={"sha256": content.sha256.hex()},
            **({"IfNoneMatch": "*"} if new else {}),
        )

    def _is_there(self, name: str, content: _Content) -> bool:
        """Whether the name holds these bytes; false where it is free.

        Raises:
            Fatal: it holds others.
        """
        try:
            found = self._ask("head_object", Key=self._key(name))
        except ClientError as error:
            if _status(error) == _NOT_THERE:
                return False
            raise self._refused(error) from error
        told = found["Metadata"].get("sha256") or self._sha256_of(name)
        if (found["ContentLength"], told) == (content.size, content.sha256.hex()):
            return True
        raise Fatal(
            f"{self._bucket}/{name}: holds other rows than those to publish under this name; two data folders "
            "write to one lake, or the recovery store is older than it"
        )

    def _sha256_of(self, name: str) -> str:
        """Of an object that somebody else has put, read whole."""
        digest = hashlib.sha256()
        try:
            for chunk in self._ask("get_object", Key=self._key(name))["Body"].iter_chunks(1 << 20):
                digest.update(chunk)
        except ClientError as error:
            raise self._refused(error) from error
        except BotoCoreError as error:
            raise refusal(self._bucket, error) from error
        return digest.hexdigest()

    def _ask_create_only(self) -> bool:
        """Whether the store refuses to overwrite when it is asked to: some ignore the question."""
        found = self._refuses_second()
        if found:
            log.info("the store creates only", lake=str(self._bucket), overwrites="refused by the store")
        else:
            log.warning("the store can't create only", lake=str(self._bucket), overwrites="looked for before and after")
        return found

    def _refuses_second(self) -> bool:
        content = _Content(size=0, sha256=hashlib.sha256().digest())
        try:
            for _ in range(2):  # the first one may be the one that makes it
                self._upload(_PROBE, b"", content, new=True)
        except ClientError as error:
            if _status(error) in (_TAKEN, _AT_ONCE):
                return True
            if _status(error) not in _NOT_KNOWN:
                raise self._refused(error) from error
        return False

    def _ask(self, operation: str, **told: Any) -> dict[str, Any]:
        """The answer to one request; a second one where keys were refused and their files hold others.

        Raises:
            ClientError: the store said no.
            Unavailable: it said nothing, or nothing that could be understood.
        """
        try:
            return self._send(operation, told)
        except ClientError as error:
            if _status(error) not in _NOT_LET_IN or not self._refresh():
                raise
        return self._send(operation, told)

    def _send(self, operation: str, told: dict[str, Any]) -> dict[str, Any]:
        if hasattr(told.get("Body"), "seek"):
            told["Body"].seek(0)
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket.bucket, **told)
        except BotoCoreError as error:
            raise refusal(self._bucket, error) from error
        return answer

    def _refresh(self) -> bool:
        """Take keys from their files; whether they are others than before."""
        now = refreshed(self._bucket)
        if now == self._bucket:
            return False
        self._bucket, self._client = now, connect(now)
        return True

    def _refused(self, error: ClientError) -> Unavailable:
        return refusal(self._bucket, error)

    def _key(self, name: str) -> str:
        return f"{self._bucket.prefix}/{name}" if self._bucket.prefix else name


def _content_of(file: BufferedReader) -> _Content:
    sha256 = hashlib.file_digest(file, "sha256").digest()
    return _Content(size=file.tell(), sha256=sha256)


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))
