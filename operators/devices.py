"""Devices: what they say of themselves, as rows of `devices` and `feedback`."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from operators.decode import Decoded, Receipt
from operators.tabulate import day_of
from schemas.wire_pb2 import Feedback, Hello

_SHARED = ("next_seq", "device_time")
_HELLO = ("site", "hardware", "agent", "model", "model_version")
_STATUS = (
    "outbox_records",
    "outbox_bytes",
    "ring_samples",
    "ring_bytes",
    "refused_inferences",
    "unrouted_messages",
    "outbox_restores",
)


def origin_row(partition: int, receipt: Receipt) -> dict[str, Any]:
    """The columns that say where a message came from."""
    return {
        "date": day_of(receipt.received_us),
        "device": receipt.device,
        "received": receipt.received_us,
        "log_partition": partition,
        "log_offset": receipt.offset,
    }


def device_rows(decoded: Decoded) -> list[dict[str, Any]]:
    """A row of `devices` for each hello and each status."""
    hellos = [
        _row(decoded.partition, *each, "hello", _SHARED + _HELLO) | _attributes(each[1]) for each in decoded.hellos
    ]
    return hellos + [_row(decoded.partition, *each, "status", _SHARED + _STATUS) for each in decoded.statuses]


def feedback_row(partition: int, receipt: Receipt, message: Feedback) -> dict[str, Any]:
    """The row of `feedback` for a word of a person at a device."""
    return _copy(partition, receipt, message, ("seq", "kind", "class_id", "device_time"))


def word_of(message: Feedback) -> bytes:
    """A digest of all that a word of feedback says, 8 bytes."""
    said = f"{message.seq}/{message.kind}/{message.class_id}/{message.device_time}/"
    return blake2b(said.encode() + message.stream, digest_size=8).digest()


def _attributes(hello: Hello) -> dict[str, Any]:
    return {"attributes": sorted(hello.attributes.items())}  # the wire has no order


def _row(partition: int, receipt: Receipt, message: Any, event: str, fields: Sequence[str]) -> dict[str, Any]:
    return _copy(partition, receipt, message, fields) | {"event": event}


def _copy(partition: int, receipt: Receipt, message: Any, fields: Sequence[str]) -> dict[str, Any]:
    copied = {field: getattr(message, field) for field in fields}
    return origin_row(partition, receipt) | {"stream": message.stream.hex()} | copied
