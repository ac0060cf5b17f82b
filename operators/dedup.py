"""Dedup: each record has one fate, however often it arrives.

Keyed by log partition, so that a device always meets the same state. Rows that are
new go on to `inferences`, or to `rejects` with their reason; declared gaps settle
the records they name. A repeat that holds something else than the first is a fork, and
goes to `rejects` beside the fate that its number has. The rest is counted and forgotten.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.decode import Decoded, Receipt, Refusal, Segment
from operators.devices import device_rows, feedback_row, origin_row, word_of
from operators.forks import find_forks, fingerprints, remember
from operators.seen import Ranges, Seen, arrived
from operators.streams import MAX_STREAMS, Device, Stream, Streams
from operators.tabulate import tabulate
from operators.validate import reason_of
from schemas.errors import Reason, Rejected
from schemas.tables import DEVICES, FEEDBACK, GAPS, REJECTS
from schemas.wire_pb2 import Gap

MAX_KEPT_PAYLOAD: Final = 64 * 1024


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
        forks: rows under numbers that other rows have; they are in `rejects`.
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
    forks: int
    deferred: int
    tick_us: int | None


@dataclass(slots=True)
class _Tally:
    """What one batch adds, while it is walked.

    Attributes:
        streams: what is known.
        decoded: the batch.
        keep: (rows,) which of its rows are new.
        marks, times: fingerprint and device time of each of its rows.
        faulty: whether one of its rows makes no sense.
        rejects, gaps: rows of these tables.
    """

    streams: Streams
    decoded: Decoded
    keep: NDArray[np.bool_]
    marks: bytes
    times: NDArray[np.int64]
    faulty: bool
    acks: dict[tuple[str, str], Seen] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    forks: int = 0
    deferred: int = 0

    def take(self, segment: Segment, said: Refusal | Gap | None, row: int) -> None:
        """Settle what is new of one claim; `row` is the first of its rows, where it has rows."""
        device = self._device(segment.receipt)
        if device.refuses(segment.stream):
            self.rejects.append(reject_row(self.decoded.partition, _too_many(segment)))
            return
        last = segment.first_seq + segment.count - 1
        stream, before, new = device.admit(segment.stream, segment.first_seq, last)
        self.acks[str(segment.receipt.device), segment.stream] = stream.seen
        if said is None:
            self._take_rows(device, stream, segment, new, row - segment.first_seq)
        else:
            self._settle(segment, said, new)
        fresh = sum([end - begin + 1 for begin, end in new])
        if fresh < segment.count:
            old = arrived(before, segment.first_seq, last)
            repeated = sum([end - begin + 1 for begin, end in old])
            forks = 0 if said else self._tell_forks(stream, segment, old, row - segment.first_seq)
            self.forks += forks
            self.duplicates += repeated - forks
            self.deferred += segment.count - fresh - repeated

    def feedback(self) -> list[dict[str, Any]]:
        """Rows of `feedback`, without what MQTT delivered again."""
        return [
            feedback_row(self.decoded.partition, receipt, message)
            for receipt, message in self.decoded.feedback
            if not self._device(receipt).repeats(word_of(message))
        ]

    def _device(self, receipt: Receipt) -> Device:
        name = str(receipt.device)
        device = self.streams.get(name)
        if device is None:
            device = self.streams[name] = Device()
        return device

    def _take_rows(self, device: Device, stream: Stream, segment: Segment, new: Ranges, at: int) -> None:
        """Keep the rows of new records, those that are sound; `at` is the place of record 0 among the rows."""
        faulty: list[dict[str, Any]] = []
        for first, last in new:
            begin, end = at + first, at + last + 1
            self.keep[begin:end] = True
            prints = stream.prints or device.freshen(segment.stream, stream)
            remember(prints, first, self.marks[4 * begin : 4 * end], self.times.item(end - 1))
            if self.faulty:
                faulty += _faulty(self.decoded, segment, at, first, last)
        self.rejects += _once(faulty)

    def _settle(self, segment: Segment, said: Refusal | Gap, new: Ranges) -> None:
        """Rows for what is new of a refused message or a gap."""
        partition = self.decoded.partition
        if isinstance(said, Refusal):
            self.rejects += _once([reject_row(partition, said, pair) for pair in new])
        else:
            self.gaps += [_gap(partition, segment, said, pair) for pair in new]

    def _tell_forks(self, stream: Stream, segment: Segment, old: Ranges, at: int) -> int:
        """Rows of `rejects` for what is not what was there before; gives how many records that are."""
        if stream.prints is None:
            return 0
        rows, count = [], 0
        for first, last in old:
            begin, end = at + first, at + last + 1
            forked = find_forks(stream.prints, first, self.marks[4 * begin : 4 * end], self.times[begin:end])
            if forked is not None:
                runs = [(first + a, first + b) for a, b in _runs(forked) if forked[a]]
                rows += [reject_row(self.decoded.partition, _fork(segment), pair) for pair in runs]
                count += int(forked.sum())
        self.rejects += _once(rows)
        return count


def dedup(streams: Streams, decoded: Decoded) -> Unique:
    """What is new in `decoded`.

    Args:
        streams: device → what is known of its streams; updated in place. At most
            `MAX_STREAMS` streams a device and `MAX_HOLES` holes a stream.
        decoded: what the log held, in its order.
    """
    marks, times = fingerprints(decoded.rows)
    tally = _Tally(streams, decoded, np.zeros(len(times), bool), marks, times, bool(decoded.faults.any()))
    tally.rejects += [reject_row(decoded.partition, refusal) for refusal in decoded.refusals if refusal.segment is None]
    row = 0
    for segment, said in _claims(decoded):
        tally.take(segment, said, row)
        row += segment.count if said is None else 0
    for receipt, hello in decoded.hellos:
        device, stream = str(receipt.device), hello.stream.hex()
        known = streams[device].streams.get(stream) if device in streams else None
        tally.acks[device, stream] = known.seen if known else Seen()
    keep = tally.keep & (decoded.faults == 0)
    return Unique(
        partition=decoded.partition,
        inferences=decoded.rows if keep.all() else decoded.rows.filter(pa.array(keep)),
        rejects=tabulate(REJECTS, tally.rejects),
        gaps=tabulate(GAPS, tally.gaps),
        devices=tabulate(DEVICES, device_rows(decoded)),
        feedback=tabulate(FEEDBACK, tally.feedback()),
        replies=tuple(receipt for receipt, _ in decoded.samples),
        acks=tally.acks,
        duplicates=tally.duplicates,
        forks=tally.forks,
        deferred=tally.deferred,
        tick_us=decoded.tick_us,
    )


def seeded(streams: Mapping[str, Mapping[str, Seen]]) -> dict[str, Device]:
    """The state that knows which numbers have arrived, and nothing of what they held.

    Args:
        streams: device → stream → what has arrived of it.
    """
    return {
        device: Device({name: Stream(seen) for name, seen in each.items()}, sum(len(s.ahead) for s in each.values()))
        for device, each in streams.items()
    }


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
    for first, last in _runs(faults):
        if faults[first]:
            error = Rejected(reason_of(int(faults[first])), "these rows can't have come from this model")
            refusal = Refusal(segment.receipt, error, segment)
            yield reject_row(decoded.partition, refusal, (begin + first, begin + last))


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one message: the first keeps the payload for all, since they have the same log_offset."""
    return [row if not place else row | {"payload": None} for place, row in enumerate(rows)]


def _runs(codes: NDArray[Any]) -> Iterable[tuple[int, int]]:
    """The first and last place of each run of equal codes."""
    ends = np.append(np.flatnonzero(np.diff(codes)), len(codes) - 1)
    starts = np.concatenate(([0], ends[:-1] + 1))
    return zip(starts.tolist(), ends.tolist(), strict=True)


def _too_many(segment: Segment) -> Refusal:
    detail = f"it has had {MAX_STREAMS} streams: keep its outbox on a disk that outlives a start, and give it a new id"
    return Refusal(segment.receipt, Rejected(Reason.TOO_MANY_STREAMS, detail))


def _fork(segment: Segment) -> Refusal:
    detail = "other records have these numbers; was the device's outbox restored from a backup?"
    return Refusal(segment.receipt, Rejected(Reason.FORK, detail), segment)


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
