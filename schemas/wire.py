"""Inferences on the wire: one payload from one device's columns, and the columns
of a whole batch of payloads at once.

Sizes and counts are checked against the limits before anything is allocated for
them, and every payload that is not exactly right is set aside with its reason.
Columns are numpy; nothing here runs once for each inference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas import topics
from schemas.embedding import CODECS, MAX_DIMS, Codec
from schemas.envelope import MAX_PAYLOAD_BYTES, SCHEMA, check_crc, check_schema, parse, seal
from schemas.errors import Reason, Rejected
from schemas.head import Span, read_head, span_of
from schemas.wire_pb2 import Inferences

STREAM_BYTES: Final = 16
DIGEST_BYTES: Final = 32
MAX_ROWS: Final = 4096
MAX_TOP_K: Final = 32
MAX_SEQ: Final = 2**63 - 1
TIMES: Final = (0, 253_402_300_799_000_000)  # 1970 … 9999: what Parquet readers and SQL agree on


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader accepts.

    Attributes:
        payload_bytes: size of one message.
        rows: inferences in one message.
    """

    payload_bytes: int = MAX_PAYLOAD_BYTES
    rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the rows of one message share.

    Attributes:
        stream: 16 bytes, made at random with the outbox.
        first_seq: sequence number of the first row; the others follow without holes.
        count: rows, at least 1.
        device_time_us: microseconds since 1970 by the device's clock.
        model: name of the model's bundle.
        model_version: its version counter.
        site: where the device stands.
        top_k: classes told for each row.
        codec: how embeddings are written.
        dims: values in one embedding.
    """

    stream: bytes
    first_seq: int
    count: int
    device_time_us: int
    model: str
    model_version: int
    site: str
    top_k: int
    codec: Codec
    dims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The rows of some messages, one after the other.

    `k` and `dims` may differ between messages, so those columns are flat and the
    headers say how to cut them.

    Attributes:
        device_time_delta_us: (n,) int32, after the header's time.
        class_ids: (Σ count × k,) uint16, best first.
        scores: (Σ count × k,) float32.
        entropy: (n,) float32, nats.
        embedding: codes, as `schemas.embedding` writes them.
        embedding_scale: (rows of scaled codecs,) float32.
        sample_digest: n × 32 bytes, SHA-256.
        sample_bytes: (n,) uint32.
        latency_us: (n,) uint32.
    """

    device_time_delta_us: NDArray[np.int32]
    class_ids: NDArray[np.uint16]
    scores: NDArray[np.float32]
    entropy: NDArray[np.float32]
    embedding: bytes
    embedding_scale: NDArray[np.float32]
    sample_digest: bytes
    sample_bytes: NDArray[np.uint32]
    latency_us: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Refused:
    """A payload that is no good message.

    Attributes:
        place: its place among the payloads.
        error: why.
        span: its records, if the bytes are those that were sent and say which.
    """

    place: int
    error: Rejected
    span: Span | None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of payloads held.

    Attributes:
        places: for each good message its place among the payloads.
        headers: of the good messages.
        columns: their rows.
        refused: the others.
    """

    places: tuple[int, ...]
    headers: tuple[Header, ...]
    columns: Columns
    refused: tuple[Refused, ...]


# field of the message, attribute of Columns, dtype, bytes a row given k, dims and codec
_FIELDS: Final = (
    ("device_time_delta", "device_time_delta_us", "<i4"),
    ("class_ids", "class_ids", "<u2"),
    ("scores", "scores", "<f4"),
    ("entropy", "entropy", "<f4"),
    ("embedding", "embedding", None),
    ("embedding_scale", "embedding_scale", "<f4"),
    ("sample_digest", "sample_digest", None),
    ("sample_bytes", "sample_bytes", "<u4"),
    ("latency_us", "latency_us", "<u4"),
)


@lru_cache(maxsize=256)
def row_widths(top_k: int, codec: Codec, dims: int) -> tuple[int, ...]:
    """Bytes of one row in each column, in the order of the columns."""
    return (4, 2 * top_k, 4 * top_k, 4, codec.width * dims, 4 if codec.scaled else 0, DIGEST_BYTES, 4, 4)


def encode(header: Header, columns: Columns) -> bytes:
    """The payload of one message.

    Raises:
        ValueError: a column does not have the length that the header says.
    """
    message = Inferences(
        schema=SCHEMA,
        stream=header.stream,
        first_seq=header.first_seq,
        count=header.count,
        device_time=header.device_time_us,
        model=header.model,
        model_version=header.model_version,
        site=header.site,
        top_k=header.top_k,
        embedding_codec=CODECS.index(header.codec),  # type: ignore[arg-type]
        embedding_dims=header.dims,
    )
    for field, attribute, dtype in _FIELDS:
        column = getattr(columns, attribute)
        setattr(message, field, column if dtype is None else column.astype(dtype).tobytes())
    try:
        _check(message, Limits(payload_bytes=2**31))
    except Rejected as error:
        raise ValueError(f"these columns make no message: {error.detail}") from error
    return seal(message)


def decode(payloads: Sequence[bytes], limits: Limits = Limits()) -> Decoded:
    """The rows of all good payloads together, and why the others are none."""
    places, headers, messages, refused = [], [], [], []
    for place, payload in enumerate(payloads):
        message = None
        try:
            message = parse(Inferences, payload, limits.payload_bytes)
            check_schema(message)
            header = _check(message, limits)
        except Rejected as error:
            refused.append(Refused(place, error, _span(message, payload, error)))
            continue
        places.append(place)
        headers.append(header)
        messages.append(message)
    return Decoded(tuple(places), tuple(headers), _join(messages), tuple(refused))


def _span(message: Inferences | None, payload: bytes, error: Rejected) -> Span | None:
    """The records of a message whose bytes are those that were sent, whatever else is wrong with it."""
    if message is not None:
        return span_of(message.stream, message.first_seq, message.count, len(payload))
    if error.reason is not Reason.OVERSIZE or payload[:1] == b"{":
        return None
    try:
        check_crc(payload)
    except Rejected:
        return None
    return read_head(payload)


def _join(messages: Sequence[Inferences]) -> Columns:
    """The columns of all messages, each in one buffer."""
    joined: dict[str, Any] = {}
    for field, attribute, dtype in _FIELDS:
        column = b"".join([getattr(message, field) for message in messages])
        joined[attribute] = column if dtype is None else np.frombuffer(column, dtype)
    return Columns(**joined)


def _check(message: Inferences, limits: Limits) -> Header:
    """The header of a message whose every column has the length it must have."""
    if len(message.stream) != STREAM_BYTES:
        raise Rejected(Reason.BAD_SHAPE, f"the stream has {len(message.stream)} bytes, not 16")
    if not 1 <= message.count <= limits.rows:
        raise Rejected(Reason.BAD_SHAPE, f"{message.count} rows, 1 to {limits.rows} are read")
    if message.first_seq > MAX_SEQ - message.count:
        raise Rejected(Reason.OUT_OF_RANGE, "the sequence number is beyond 2^63")
    if not TIMES[0] <= message.device_time <= TIMES[1]:
        raise Rejected(Reason.OUT_OF_RANGE, "the device time is not between 1970 and 9999")
    if not (topics.is_name(message.model) and topics.is_name(message.site)):
        raise Rejected(Reason.BAD_NAME, "model and site must be 1 to 63 of a-z, 0-9, _ and -")
    if not 1 <= message.top_k <= MAX_TOP_K or message.embedding_dims > MAX_DIMS:
        raise Rejected(Reason.BAD_SHAPE, f"top_k up to {MAX_TOP_K}, embedding_dims up to {MAX_DIMS}")
    if not 0 <= message.embedding_codec < len(CODECS):
        raise Rejected(Reason.BAD_SHAPE, f"unknown embedding codec {int(message.embedding_codec)}")
    codec = CODECS[message.embedding_codec]
    widths = row_widths(message.top_k, codec, message.embedding_dims)
    for (field, _, _), width in zip(_FIELDS, widths, strict=True):
        if len(getattr(message, field)) != message.count * width:
            raise Rejected(Reason.BAD_SHAPE, f"{field} is not {message.count} rows of {width} bytes")
    return Header(
        stream=message.stream,
        first_seq=message.first_seq,
        count=message.count,
        device_time_us=message.device_time,
        model=message.model,
        model_version=message.model_version,
        site=message.site,
        top_k=message.top_k,
        codec=codec,
        dims=message.embedding_dims,
    )
