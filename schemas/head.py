"""The head of a message: which records it holds, read from its first bytes alone.

Fields 1 to 4 keep their meaning in every schema, and writers put them first. So what is
too large to be parsed can still be told by its records.
"""

from dataclasses import dataclass
from typing import Final

_HEAD_BYTES: Final = 64  # more than four fields take
_SCHEMA, _STREAM, _FIRST_SEQ, _COUNT = 0x08, 0x12, 0x18, 0x20
_STREAM_BYTES: Final = 16
_MAX_SEQ: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """The records that a message holds, where that much of it could be read."""

    stream: bytes
    first_seq: int
    count: int


def span_of(stream: bytes, first_seq: int, count: int, size: int) -> Span | None:
    """These records, where a message of `size` bytes can hold them: each takes more than one."""
    if len(stream) != _STREAM_BYTES or not 1 <= count <= min(size, _MAX_SEQ - first_seq):
        return None
    return Span(stream, first_seq, count)


def read_head(payload: bytes) -> Span | None:
    """The records that the first bytes of a message of inferences name; None where they don't."""
    head, at = payload[:_HEAD_BYTES], 0
    found: dict[int, int] = {_FIRST_SEQ: 0}
    stream = b""
    while at < len(head) and head[at] in (_SCHEMA, _STREAM, _FIRST_SEQ, _COUNT):
        tag = head[at]
        number, at = _varint(head, at + 1)
        if tag == _STREAM:
            stream = head[at : at + number]
            at += number
        else:
            found[tag] = number
    return span_of(stream, found[_FIRST_SEQ], found.get(_COUNT, 0), len(payload))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 10 bytes, and where it ends; what is cut short reads as 0."""
    number = 0
    for place, byte in enumerate(data[at : at + 10]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    return 0, len(data)
