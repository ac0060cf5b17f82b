"""Sinks: what the flow gives, kept back until the epoch it belongs to is committed.

Both are `FixedPartitionedSink`s, because with recovery on Bytewax commits without
waiting for any other kind. Each gets an item in every epoch; the first one after a
snapshot says that the epoch of that snapshot is committed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.requests import Request
from operators.seen import Seen
from pipelines import metrics
from pipelines.commands import Commands, send_acks, send_requests
from pipelines.lake import Lake, tables_of
from pipelines.sources import Stopper

MAX_BUFFERED_BYTES: Final = 32 << 20
"""Rows of one partition beyond this go to local disk before their epoch ends, as a file of their own."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes to the lake together, and whom to tell once it is there.

    Attributes:
        rows: (table, batch) pairs.
        acks: (device, stream) → what is durable once these rows are.
    """

    rows: tuple[tuple[str, pa.RecordBatch], ...] = ()
    acks: Mapping[tuple[str, str], Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LakeSink(FixedPartitionedSink[Delivery, int]):
    """Stages at the end of each epoch, publishes and acknowledges after its commit.

    Attributes:
        lake: where to.
        commands: tells devices.
        partitions: as many as the log has.
        stopper: knows whether the end is clean.
    """

    lake: Lake
    commands: Commands
    partitions: int
    stopper: Stopper

    def list_parts(self) -> list[str]:
        """One for each log partition."""
        return [f"{number:03d}" for number in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Keys are log partitions, as digits."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "LakePart":  # noqa: ARG002 - Bytewax's
        """Roll back what was not committed, publish what was."""
        return LakePart(self, int(for_part), resume_state or 0)


class LakePart(StatefulSinkPartition[Delivery, int]):
    """One partition of the lake's writer; its state is the next staging number."""

    def __init__(self, sink: LakeSink, partition: int, seq: int) -> None:
        """Settle what the last run left behind."""
        self._sink, self._partition, self._seq = sink, partition, seq
        self._rows: list[tuple[str, pa.RecordBatch]] = []
        self._bytes = 0
        self._acks: dict[tuple[str, str], Seen] = {}
        self._committing: dict[tuple[str, str], Seen] | None = None
        sink.lake.roll_back(partition, seq)
        self._publish()

    def write_batch(self, items: list[Delivery]) -> None:
        """Keep the rows of this epoch; settle the one before."""
        self._settle()
        for item in items:
            self._rows += item.rows
            self._bytes += sum(batch.nbytes for _, batch in item.rows)
            self._acks.update(item.acks)
            if self._bytes >= MAX_BUFFERED_BYTES:
                self._stage()

    def snapshot(self) -> int:
        """Write what is left of this epoch's rows to local disk; the next staging number."""
        self._stage()
        self._committing, self._acks = self._acks, {}
        return self._seq

    def close(self) -> None:
        """Publish what is committed, if the end is clean; else the next start does."""
        if self._sink.stopper.clean.is_set():
            self._settle()

    def _stage(self) -> None:
        if self._sink.lake.stage(self._partition, self._seq, tables_of(self._rows)):
            self._seq += 1
        self._rows, self._bytes = [], 0

    def _settle(self) -> None:
        if self._committing is not None:
            acks, self._committing = self._committing, None
            self._publish()
            send_acks(self._sink.commands, acks.items())

    def _publish(self) -> None:
        for table in self._sink.lake.publish(self._partition, self._seq):
            metrics.FILES.labels(table).inc()


@dataclass(frozen=True, slots=True)
class RequestSink(FixedPartitionedSink[tuple[Request, ...], None]):
    """Asks devices for samples, once the selection is committed.

    Attributes:
        commands: tells devices.
        max_bytes: largest sample to send.
        partitions: as many as the log has.
    """

    commands: Commands
    max_bytes: int
    partitions: int

    def list_parts(self) -> list[str]:
        """One for each log partition."""
        return [f"{number:03d}" for number in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Keys are log partitions, as digits."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "RequestPart":  # noqa: ARG002 - Bytewax's
        """Nothing is remembered: what is due is asked again."""
        return RequestPart(lambda requests: send_requests(self.commands, requests, self.max_bytes))


class RequestPart(StatefulSinkPartition[tuple[Request, ...], None]):
    """One partition of the requests to devices."""

    def __init__(self, send: Callable[[Iterable[Request]], None]) -> None:
        """Send by `send`."""
        self._send = send
        self._kept: list[Request] = []
        self._committing: list[Request] = []

    def write_batch(self, items: list[tuple[Request, ...]]) -> None:
        """Send what the last epoch asked for; keep what this one does."""
        self._send(self._committing)
        self._committing = []
        for item in items:
            self._kept += item

    def snapshot(self) -> None:
        """Nothing to remember."""
        self._committing += self._kept
        self._kept = []
