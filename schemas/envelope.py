"""Sealing and opening a payload: the checksum, the size limit and the two encodings.

A sealed payload is a serialised message followed by its field 31, `crc`: the
bytes fd 01 and a little-endian CRC-32 of everything before. So each truncation
and each flipped byte is noticed before a field is read.
"""

import struct
import zlib
from typing import Final, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from schemas.errors import Reason, Rejected

SCHEMA: Final = 1
MAX_PAYLOAD_BYTES: Final = 256 * 1024
_CRC_TAG: Final = b"\xfd\x01"
_TRAILER: Final = struct.Struct("<2sI")


M = TypeVar("M", bound=Message)


def seal(message: Message) -> bytes:
    """The bytes of `message` to publish, checksum at the end."""
    body = message.SerializeToString(deterministic=True)  # maps in the order of their names
    return body + _TRAILER.pack(_CRC_TAG, zlib.crc32(body))


def unseal(kind: type[M], payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> M:
    """The message of type `kind` in `payload`, of a schema that this version reads.

    Raises:
        Rejected: as `parse` and `check_schema`.
    """
    message = parse(kind, payload, max_bytes)
    check_schema(message)
    return message


def parse(kind: type[M], payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> M:
    """The message of type `kind` in `payload`, binary or proto3 JSON, of any schema.

    JSON (it starts with `{`) is for tests by hand and needs no checksum.

    Raises:
        Rejected: `oversize`, `malformed` or `crc_mismatch`.
    """
    if len(payload) > max_bytes:
        raise Rejected(Reason.OVERSIZE, f"{len(payload)} bytes, at most {max_bytes} are read")
    return _from_json(kind, payload) if payload[:1] == b"{" else _from_binary(kind, payload)


def check_schema(message: Message) -> None:
    """Raise `Rejected` (`schema_newer`, `malformed`) unless this version reads the message."""
    schema = int(message.schema)  # type: ignore[attr-defined]
    if schema > SCHEMA:
        raise Rejected(Reason.SCHEMA_NEWER, f"schema {schema}, this version reads up to {SCHEMA}")
    if schema < 1:
        raise Rejected(Reason.MALFORMED, "no schema version")


def check_crc(payload: bytes) -> None:
    """Raise `Rejected` unless the payload ends with the checksum of what is before it."""
    if len(payload) < _TRAILER.size:
        raise Rejected(Reason.MALFORMED, f"{len(payload)} bytes are no message")
    tag, crc = _TRAILER.unpack_from(payload, len(payload) - _TRAILER.size)
    if tag != _CRC_TAG:
        raise Rejected(Reason.CRC_MISMATCH, "the checksum is not at the end")
    if crc != zlib.crc32(memoryview(payload)[: -_TRAILER.size]):
        raise Rejected(Reason.CRC_MISMATCH, "the bytes are not those that were sent")


def _from_binary(kind: type[M], payload: bytes) -> M:
    check_crc(payload)
    try:
        return kind.FromString(payload)
    except DecodeError as error:
        raise Rejected(Reason.MALFORMED, f"not a {kind.__name__} message") from error


def _from_json(kind: type[M], payload: bytes) -> M:
    try:
        return json_format.Parse(payload.decode(), kind(), max_recursion_depth=8)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise Rejected(Reason.MALFORMED, f"not a {kind.__name__} in JSON") from error
