"""Decode: received bytes to Arrow columns, and whatever is wrong to a reason.

A message that can't be read becomes a row of `rejects`. A message that can be read
but holds rows that make no sense keeps them, marked, until `dedup` knows which of
them are new: a rejected row is a fate too, and has it once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.records import Records
from operators.validate import ModelShape, faults_of
from schemas import messages, wire
from schemas.errors import Rejected
from schemas.tables import INFERENCES
from schemas.topics import Origin, Up, parse_up
from schemas.wire_pb2 import Feedback, Gaps, Hello, Sample, Status

_DAY_US: Final = 86_400_000_000
M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far a device's clock is believed.

    Attributes:
        skew_us: a row may be this much newer than its receipt.
        horizon_us: and this much older.
    """

    skew_us: int = 60_000_000
    horizon_us: int = 30 * _DAY_US


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a message came from and where it lies in the log."""

    device: str | None
    topic: str
    received_us: int
    offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of one message: consecutive records of one stream.

    Attributes:
        receipt: where the message came from.
        stream: of the device's outbox, 32 hex digits.
        first_seq: record number of the first row.
        count: rows.
    """

    receipt: Receipt
    stream: str
    first_seq: int
    count: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that could not be read; its records, where they are known."""

    receipt: Receipt
    error: Rejected
    segment: Segment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Everything some records of the log held.

    Attributes:
        partition: of the log.
        rows: the rows of all readable messages, columns of `inferences`.
        segments: the messages they came in, in the same order.
        faults: (rows,) int8; 0, or the code of the reason (`operators.validate`).
        refusals: messages that could not be read.
        gaps, samples, hellos, statuses, feedback: the small messages.
        tick_us: log time, where these records end at a tick.
    """

    partition: int
    rows: pa.RecordBatch
    segments: tuple[Segment, ...]
    faults: NDArray[np.int8]
    refusals: tuple[Refusal, ...]
    gaps: tuple[tuple[Receipt, Gaps], ...]
    samples: tuple[tuple[Receipt, Sample], ...]
    hellos: tuple[tuple[Receipt, Hello], ...]
    statuses: tuple[tuple[Receipt, Status], ...]
    feedback: tuple[tuple[Receipt, Feedback], ...]
    tick_us: int | None


def decode(
    records: Records,
    models: Mapping[tuple[str, int], ModelShape],
    limits: wire.Limits = wire.Limits(),
    clock: Clock = Clock(),
) -> Decoded:
    """The content of some records.

    Args:
        records: as the log holds them.
        models: what rows of the models that the server knows must look like;
            rows of a model it does not know are taken as they are.
        limits: of one message.
        clock: how far device clocks are believed.
    """
    by_kind: dict[Up, list[Receipt]] = {kind: [] for kind in Up}
    refusals: list[Refusal] = []
    for offset, received, topic, payload in zip(
        records.offsets, records.received_us, records.topics, records.payloads, strict=True
    ):
        origin = _origin(topic)
        if isinstance(origin, Rejected):
            refusals.append(Refusal(Receipt(None, topic, received, offset, payload), origin))
            continue
        by_kind[origin.kind].append(Receipt(origin.device, topic, received, offset, payload))

    receipts = by_kind[Up.INFERENCES]
    decoded = wire.decode([receipt.payload for receipt in receipts], limits)
    refusals += [_refusal(receipts[refused.place], refused) for refused in decoded.refused]
    segments = tuple(
        Segment(receipts[place], header.stream.hex(), header.first_seq, header.count)
        for place, header in zip(decoded.places, decoded.headers, strict=True)
    )

    def read(kind: Up, reader: Callable[[bytes, int], M]) -> tuple[tuple[Receipt, M], ...]:
        return _read_all(by_kind[kind], reader, limits.payload_bytes, refusals)

    return Decoded(
        partition=records.partition,
        rows=_rows(records.partition, segments, decoded, clock),
        segments=segments,
        faults=faults_of(decoded.headers, decoded.columns, models),
        gaps=read(Up.GAPS, messages.read_gaps),
        samples=read(Up.SAMPLES, messages.read_sample),
        hellos=read(Up.HELLO, messages.read_hello),
        statuses=read(Up.STATUS, messages.read_status),
        feedback=read(Up.FEEDBACK, messages.read_feedback),
        refusals=tuple(refusals),
        tick_us=records.tick_us,
    )


def _origin(topic: str) -> Origin | Rejected:
    try:
        return parse_up(topic)
    except Rejected as error:
        return error


def _refusal(receipt: Receipt, refused: wire.Refused) -> Refusal:
    span = refused.span
    segment = None if span is None else Segment(receipt, span.stream.hex(), span.first_seq, span.count)
    return Refusal(receipt, refused.error, segment)


def _read_all(
    receipts: Sequence[Receipt], reader: Callable[[bytes, int], M], max_bytes: int, refusals: list[Refusal]
) -> tuple[tuple[Receipt, M], ...]:
    read: list[tuple[Receipt, M]] = []
    for receipt in receipts:
        try:
            read.append((receipt, reader(receipt.payload, max_bytes)))
        except Rejected as error:
            refusals.append(Refusal(receipt, error))
    return tuple(read)


def _rows(partition: int, segments: Sequence[Segment], decoded: wire.Decoded, clock: Clock) -> pa.RecordBatch:
    """All rows as Arrow, each column built at once."""
    headers, columns = decoded.headers, decoded.columns
    counts = np.array([header.count for header in headers], np.int64)
    rows = int(counts.sum())
    starts = np.cumsum(counts) - counts

    def spread(values: Sequence[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, np.int64), counts)

    received = spread([segment.receipt.received_us for segment in segments])
    device_time = spread([header.device_time_us for header in headers]) + columns.device_time_delta_us
    time = np.clip(device_time, received - clock.horizon_us, received + clock.skew_us)
    scaled = np.repeat(np.array([header.codec.scaled for header in headers], bool), counts)
    scale = np.zeros(rows, np.float32)
    scale[scaled] = columns.embedding_scale
    widths = spread([header.codec.width * header.dims for header in headers])
    k = spread([header.top_k for header in headers])
    within = np.arange(rows) - np.repeat(starts, counts)
    values: dict[str, Any] = {
        "date": pa.array((time // _DAY_US).astype(np.int32)).cast(pa.date32()),
        "model": _words([header.model for header in headers], counts),
        "device": _words([str(segment.receipt.device) for segment in segments], counts),
        "stream": _words([segment.stream for segment in segments], counts),
        "seq": spread([header.first_seq for header in headers]) + within,
        "time": _times(time),
        "device_time": _times(device_time),
        "clock_off": pa.array(time != device_time),
        "site": _words([header.site for header in headers], counts),
        "model_version": spread([header.model_version for header in headers]),
        "class_ids": pa.ListArray.from_arrays(_offsets(k), pa.array(columns.class_ids)),
        "scores": pa.ListArray.from_arrays(_offsets(k), pa.array(columns.scores)),
        "entropy": columns.entropy,
        "embedding": _binary(columns.embedding, widths),
        "embedding_codec": _words([str(header.codec) for header in headers], counts),
        "embedding_scale": pa.array(scale, mask=~scaled),
        "sample_digest": pa.Array.from_buffers(pa.binary(32), rows, [None, pa.py_buffer(columns.sample_digest)]),
        "sample_bytes": columns.sample_bytes,
        "latency_us": columns.latency_us,
        "received": _times(received),
        "log_partition": np.full(rows, partition, np.int32),
        "log_offset": spread([segment.receipt.offset for segment in segments]),
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(values[name]) for name in INFERENCES.schema.names], schema=INFERENCES.schema
    )


def _words(texts: Sequence[str], counts: NDArray[np.int64]) -> pa.DictionaryArray:
    """A text for each message, repeated for its rows, each distinct text stored once."""
    codes: dict[str, int] = {}
    each = np.array([codes.setdefault(text, len(codes)) for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(np.repeat(each, counts), pa.array(list(codes), pa.string()))


def _times(us: NDArray[np.int64]) -> pa.Array:
    return pa.array(us).cast(pa.timestamp("us", tz="UTC"))


def _offsets(widths: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.concatenate(([0], np.cumsum(widths))).astype(np.int32)


def _binary(data: bytes, widths: NDArray[np.int64]) -> pa.Array:
    buffers = [None, pa.py_buffer(_offsets(widths).tobytes()), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(widths), buffers)
