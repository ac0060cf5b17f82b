"""From outbox rows to payloads: which rows travel together, and their bytes.

The rows of one message share everything in its header and number without a jump;
their times are told as 32-bit offsets from the first. A batch is cut where that ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_publisher.outbox import Row
from edge_publisher.record import Kind
from schemas.envelope import MAX_PAYLOAD_BYTES
from schemas.wire import MAX_ROWS, Columns, Header, encode

HEADER_BYTES: Final = 384  # more than any header takes: two names of 63, the stream, lengths and numbers
_DELTAS: Final = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How large a message may grow.

    Attributes:
        rows: inferences in one message, at most 4,096.
        payload_bytes: of one message, as broker and reader take it.
    """

    rows: int = 64
    payload_bytes: int = MAX_PAYLOAD_BYTES

    def rows_of(self, kind: Kind) -> int:
        """Rows of one kind that fit into a message; 0 where not even one does."""
        return min(self.rows, MAX_ROWS, max(0, self.payload_bytes - HEADER_BYTES) // kind.row_bytes)


def first_batch(rows: Sequence[Row], limits: BatchLimits) -> Sequence[Row]:
    """The longest start of `rows` that can travel as one message.

    Empty where there are no rows, or where the first alone is too large.
    """
    if not rows:
        return ()
    most = min(len(rows), limits.rows_of(rows[0].record.kind))
    for place in range(1, most):
        if not _together(rows[0], rows[place], place):
            return rows[:place]
    return rows[:most]


def _together(first: Row, row: Row, place: int) -> bool:
    return (
        row.seq == first.seq + place
        and row.record.kind == first.record.kind
        and row.record.device_time_us - first.record.device_time_us in _DELTAS
    )


def payload_of(batch: Sequence[Row], stream: bytes) -> bytes:
    """The message that carries a batch as `first_batch` cut it.

    Raises:
        ValueError: the rows are not laid out as their kind says.
    """
    first, kind = batch[0], batch[0].record.kind
    times = np.array([row.record.device_time_us for row in batch], np.int64)
    header = Header(
        stream=stream,
        first_seq=first.seq,
        count=len(batch),
        device_time_us=first.record.device_time_us,
        model=kind.model,
        model_version=kind.model_version,
        site=kind.site,
        top_k=kind.top_k,
        codec=kind.codec,
        dims=kind.dims,
    )
    return encode(header, _columns(batch, times - first.record.device_time_us))


def _columns(batch: Sequence[Row], deltas_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Columns:
    kind = batch[0].record.kind
    rows = np.frombuffer(b"".join([row.record.body for row in batch]), kind.layout())
    names = rows.dtype.names or ()
    return Columns(
        device_time_delta_us=deltas_us.astype(np.int32),
        class_ids=rows["class_ids"],
        scores=rows["scores"],
        entropy=rows["entropy"],
        embedding=rows["embedding"].tobytes() if "embedding" in names else b"",
        embedding_scale=rows["embedding_scale"] if "embedding_scale" in names else np.empty(0, np.float32),
        sample_digest=rows["sample_digest"].tobytes(),
        sample_bytes=rows["sample_bytes"],
        latency_us=rows["latency_us"],
    )
