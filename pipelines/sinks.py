"""Sinks: what the flow gives, kept back until the epoch it belongs to is committed.

Both are `FixedPartitionedSink`s, because with recovery on Bytewax commits without
waiting for any other kind. Each gets an item in every epoch; the first one after a
snapshot says that the epoch of that snapshot is committed.
"""

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.requests import Request
from operators.seen import Seen
from pipelines.commands import Commands, send_requests
from pipelines.healing import Healing, start_of
from pipelines.lake import Lake, Tables, tables_of
from pipelines.marker import Marker
from pipelines.publisher import Acks, Publisher
from pipelines.sources import Stopper

_FULL_DISK_S: Final = 2.0
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
log = structlog.get_logger()
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
    """Stages at the end of each epoch, has it published and acknowledged after its commit.

    Attributes:
        lake: where to.
        publisher: takes what is committed.
        healing: whether a new recovery store is being filled.
        keep: what of the rows to write.
        log: id of the log.
        commits: partition → offset up to which it is committed.
        partitions: as many as the log has.
        stopper: knows whether the end is clean.
    """

    lake: Lake
    publisher: Publisher
    healing: Healing
    keep: Callable[[Tables], Tables]
    log: str
    commits: Mapping[int, int]
    partitions: int
    stopper: Stopper

    def list_parts(self) -> list[str]:
        """One for each log partition."""
        return [f"{number:03d}" for number in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Keys are log partitions, as digits."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "LakePart":  # noqa: ARG002 - Bytewax's
        """Roll back what was not committed, have published what was.

        Raises:
            OutOfStep: the recovery store does not fit the lake.
        """
        return LakePart(self, int(for_part), start_of(self.lake, self.healing, int(for_part), resume_state))


class LakePart(StatefulSinkPartition[Delivery, int]):
    """One partition of the lake's writer; its state is the next staging number."""

    def __init__(self, sink: LakeSink, partition: int, seq: int) -> None:
        """Settle what the last run left behind."""
        self._sink, self._partition, self._seq = sink, partition, seq
        self._rows: list[tuple[str, pa.RecordBatch]] = []
        self._bytes = 0
        self._acks: Acks = {}
        self._committing: Acks | None = {}
        sink.lake.roll_back(partition, seq)
        self._settle()

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
        """Hand over what is committed, if the end is clean; else the next start does."""
        if self._sink.stopper.clean.is_set():
            self._settle()

    def _stage(self) -> None:
        tables = self._sink.keep(tables_of(self._rows))
        while not self._has_staged(tables):
            time.sleep(_FULL_DISK_S)
        self._rows, self._bytes = [], 0

    def _has_staged(self, tables: Tables) -> bool:
        """Write the rows to local disk; False while it is full and nobody wants to stop."""
        try:
            if self._sink.lake.stage(self._partition, self._seq, tables):
                self._seq += 1
        except OSError as error:
            if error.errno not in _NO_ROOM or self._sink.stopper.requested.is_set():
                raise
            log.error("no room to stage rows: nothing is read until there is", why=error.strerror)  # noqa: TRY400
            return False
        return True

    def _settle(self) -> None:
        """Have published what was staged before the last snapshot: its epoch is committed."""
        if self._committing is not None:
            acks, self._committing = self._committing, None
            offset = self._sink.commits.get(self._partition, 0)
            self._sink.publisher.submit(self._partition, Marker(log=self._sink.log, seq=self._seq, offset=offset), acks)


@dataclass(frozen=True, slots=True)
class RequestSink(FixedPartitionedSink[tuple[Request, ...], None]):
    """Asks devices for samples, once the selection is committed.

    Attributes:
        commands: tells devices.
        max_bytes: largest sample to send.
        partitions: as many as the log has.
        healing: while the log is read again nobody is asked; what is still open then is, in its time.
    """

    commands: Commands
    max_bytes: int
    partitions: int
    healing: Healing

    def list_parts(self) -> list[str]:
        """One for each log partition."""
        return [f"{number:03d}" for number in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Keys are log partitions, as digits."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "RequestPart":  # noqa: ARG002 - Bytewax's
        """Nothing is remembered: what is due is asked again."""
        return RequestPart(self._send)

    def _send(self, requests: Iterable[Request]) -> None:
        if not self.healing.active:
            send_requests(self.commands, requests, self.max_bytes)


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
