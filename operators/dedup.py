"""Dedup: each record has one fate, however often it arrives.

Keyed by log partition, so that a device always meets the same state. Rows that are
new go on to `inferences`, or to `rejects` with their reason; declared gaps settle
the records they name. The rest is counted and forgotten.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from heapq import merge
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.decode import Decoded, Receipt, Refusal, Segment
from operators.devices import device_rows, feedback_rows, origin_row
from operators.seen import Ranges, Seen, admit, knows
from operators.tabulate import tabulate
from operators.validate import reason_of
from schemas.errors import Reason, Rejected
from schemas.tables import DEVICES, FEEDBACK, GAPS, REJECTS
from schemas.wire_pb2 import Gap

MAX_STREAMS: Final = 256
MAX_KEPT_PAYLOAD: Final = 64 * 1024
Streams = MutableMapping[str, dict[str, Seen]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """What is new in some records of the log.

    Attributes:
        partition: of the log.
        inferences: rows that had not been seen and make sense.
        rejects, gaps, devices, feedback: rows of these tables.
        replies: receipts of answers to requests (their own step reads them, and knows repeats).
        acks: (device, stream) → what has arrived of it; told once it is durable.
        duplicates: rows that had been seen before.
        deferred: rows that came too far out of order to be taken now.
        tick_us: log time, where the records ended at a tick.
    """

    partition: int
    inferences: pa.RecordBatch
    rejects: pa.RecordBatch
    gaps: pa.RecordBatch
    devices: pa.RecordBatch
    feedback: pa.RecordBatch
    replies: tuple[Receipt, ...]
    acks: Mapping[tuple[str, str], Seen]
    duplicates: int
    deferred: int
    tick_us: int | None


@dataclass(slots=True)
class _Tally:
    """What one batch adds, while it is walked."""

    streams: Streams
    acks: dict[tuple[str, str], Seen]
    duplicates: int = 0
    deferred: int = 0

    def admit(self, segment: Segment) -> Ranges:
        """The records of `segment` that are new."""
        device, stream = str(segment.receipt.device), segment.stream
        known = self.streams.setdefault(device, {})
        before = known.get(stream, Seen())
        last = segment.first_seq + segment.count - 1
        after, new = admit(before, segment.first_seq, last)
        known[stream] = self.acks[device, stream] = after
        fresh = sum(end - begin + 1 for begin, end in new)
        repeated = segment.count - fresh if new else knows(before, segment.first_seq, last)
        self.duplicates += repeated
        self.deferred += segment.count - fresh - repeated
        return new

    def refuses(self, segment: Segment) -> bool:
        """Whether the device has had so many streams that no further one is followed."""
        known = self.streams.get(str(segment.receipt.device), {})
        return segment.stream not in known and len(known) >= MAX_STREAMS


def dedup(streams: Streams, decoded: Decoded) -> Unique:
    """What is new in `decoded`.

    Args:
        streams: device → stream → what has arrived of it; updated in place. At most
            `MAX_STREAMS` streams a device and `MAX_HOLES` holes a stream.
        decoded: what the log held, in its order.
    """
    tally = _Tally(streams, {})
    rejects = [reject_row(decoded.partition, refusal) for refusal in decoded.refusals if refusal.segment is None]
    gaps: list[dict[str, Any]] = []
    keep, faulty = np.zeros(len(decoded.faults), bool), bool(decoded.faults.any())
    row = 0
    for segment, said in _claims(decoded):
        start = row - segment.first_seq
        row += segment.count if said is None else 0
        if tally.refuses(segment):
            rejects.append(reject_row(decoded.partition, _too_many(segment)))
            continue
        for begin, end in tally.admit(segment):
            if said is None:
                keep[start + begin : start + end + 1] = True
                rejects += _faulty(decoded, segment, start, begin, end) if faulty else ()
            elif isinstance(said, Refusal):
                rejects.append(reject_row(decoded.partition, said, (begin, end)))
            else:
                gaps.append(_gap(decoded.partition, segment, said, (begin, end)))
    for receipt, hello in decoded.hellos:
        device, stream = str(receipt.device), hello.stream.hex()
        tally.acks[device, stream] = streams.get(device, {}).get(stream, Seen())
    keep &= decoded.faults == 0
    return Unique(
        partition=decoded.partition,
        inferences=decoded.rows if keep.all() else decoded.rows.filter(pa.array(keep)),
        rejects=tabulate(REJECTS, rejects),
        gaps=tabulate(GAPS, gaps),
        devices=tabulate(DEVICES, device_rows(decoded)),
        feedback=tabulate(FEEDBACK, feedback_rows(decoded)),
        replies=tuple(receipt for receipt, _ in decoded.samples),
        acks=tally.acks,
        duplicates=tally.duplicates,
        deferred=tally.deferred,
        tick_us=decoded.tick_us,
    )


def _claims(decoded: Decoded) -> Iterator[tuple[Segment, Refusal | Gap | None]]:
    """What settles records, in the order of the log: rows (None), refused messages and gaps.

    The first claim decides, so its order must not depend on where the log was cut into batches.
    """
    rows = ((segment, None) for segment in decoded.segments)
    refusals = ((refusal.segment, refusal) for refusal in decoded.refusals if refusal.segment is not None)
    gaps = (
        (Segment(receipt, message.stream.hex(), gap.first_seq, gap.last_seq - gap.first_seq + 1), gap)
        for receipt, message in decoded.gaps
        for gap in message.gaps
    )
    return merge(rows, refusals, gaps, key=lambda claim: claim[0].receipt.offset)


def _faulty(decoded: Decoded, segment: Segment, at: int, begin: int, end: int) -> Iterator[dict[str, Any]]:
    """A row of `rejects` for each run of rows with the same fault in `begin … end`."""
    faults = decoded.faults[at + begin : at + end + 1]
    if not faults.any():
        return
    without_payload: dict[str, Any] = {}  # the first row keeps it for all: they have the same log_offset
    for first, last in _runs(faults):
        if faults[first]:
            error = Rejected(reason_of(int(faults[first])), "these rows can't have come from this model")
            refusal = Refusal(segment.receipt, error, segment)
            yield reject_row(decoded.partition, refusal, (begin + first, begin + last)) | without_payload
            without_payload = {"payload": None}


def _runs(codes: NDArray[np.int8]) -> Iterable[tuple[int, int]]:
    """The first and last place of each run of equal codes."""
    ends = np.append(np.flatnonzero(np.diff(codes)), len(codes) - 1)
    starts = np.concatenate(([0], ends[:-1] + 1))
    return zip(starts.tolist(), ends.tolist(), strict=True)


def _too_many(segment: Segment) -> Refusal:
    detail = f"the device has had {MAX_STREAMS} streams; is its outbox lost at each start?"
    return Refusal(segment.receipt, Rejected(Reason.TOO_MANY_STREAMS, detail))


def reject_row(partition: int, refusal: Refusal, span: tuple[int, int] | None = None) -> dict[str, Any]:
    """A row of `rejects`; `span` are the records it settles, where they are known.

    A device forgets the records that are settled, so their message is kept whole.
    """
    known = refusal.segment is not None and span is not None
    return origin_row(partition, refusal.receipt) | {
        "topic": refusal.receipt.topic[:256],
        "reason": str(refusal.error.reason),
        "detail": refusal.error.detail,
        "stream": refusal.segment.stream if refusal.segment and known else None,
        "first_seq": span[0] if span else None,
        "last_seq": span[1] if span else None,
        "payload": refusal.receipt.payload[: None if known else MAX_KEPT_PAYLOAD],
    }


def _gap(partition: int, segment: Segment, gap: Gap, span: tuple[int, int]) -> dict[str, Any]:
    return origin_row(partition, segment.receipt) | {
        "stream": segment.stream,
        "first_seq": span[0],
        "last_seq": span[1],
        "reason": gap.reason,
        "device_time": gap.device_time,
    }
