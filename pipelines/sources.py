"""Sources: the log, as Bytewax reads it.

The first `next_batch` after a `snapshot` runs only once that epoch is durable on every
worker: this is the commit signal. It is passed on as an empty batch, so that every
sink gets a call in every epoch, and knows then that the one before is committed.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition

from operators.records import Records
from pipelines import metrics
from pipelines.log import LAST_OFFSET, LogReader, partitions_of
from pipelines.settings import Flow
from pipelines.stop import Stop

_POLL = timedelta(milliseconds=20)
_MEET_S = 0.2
Keyed = tuple[str, Records]


@dataclass(slots=True)
class Stopper:
    """Ends the flow so that nothing is replayed: read no more, commit, then stop.

    Attributes:
        at_end: also stop once every partition was read to its end.
        requested: no more is read.
        signalled: somebody wants it to end.
        clean: all that was read is committed.
    """

    at_end: bool = False
    requested: Stop = field(default_factory=Stop)
    signalled: Stop = field(default_factory=Stop)
    clean: threading.Event = field(default_factory=threading.Event)
    _at_end: set[int] = field(default_factory=set)
    _committed: set[int] = field(default_factory=set)
    _workers: set[int] = field(default_factory=set)
    _leaving: set[int] = field(default_factory=set)
    _meeting: threading.Condition = field(default_factory=threading.Condition)

    def begin(self) -> None:
        """A flow begins: what an earlier one read and committed counts no more."""
        for told in (self._at_end, self._committed, self._workers, self._leaving):
            told.clear()

    def joined(self) -> None:
        """A worker reads: the thread that says so."""
        self._workers.add(threading.get_ident())

    def may_leave(self) -> bool:
        """Whether all workers are here at this moment; each of them may leave then.

        One that leaves alone leaves the others waiting for ever: their sources are not asked again before
        it has finished an epoch that it never will.
        """
        me = threading.get_ident()
        with self._meeting:
            self._leaving.add(me)
            self._meeting.notify_all()
            if self._meeting.wait_for(lambda: self._leaving >= self._workers, _MEET_S):
                return True
            self._leaving.discard(me)
            return False

    def reached_end(self, partition: int, of: int) -> None:
        """A partition has nothing more to read now."""
        self._at_end.add(partition)
        if self.at_end and len(self._at_end) == of:
            self.requested.set()

    def committed(self, partition: int, of: int) -> None:
        """All that a partition read is committed; with the last one, the flow may end."""
        self._committed.add(partition)
        if len(self._committed) == of:
            self.clean.set()


@dataclass(frozen=True, slots=True)
class LogSource(FixedPartitionedSource[Keyed, int]):
    """Every partition of a log; the state of one is the offset of its last record.

    Attributes:
        folder: of the log.
        flow: batch sizes.
        stopper: ends it.
        commits: partition → offset up to which it is committed; kept up to date here.
        is_full: whether to read no more for now.
        ends: partition → offset of the last record to read; all of it where none is named.
    """

    folder: Path
    flow: Flow
    stopper: Stopper
    commits: dict[int, int]
    is_full: Callable[[], bool]
    ends: Mapping[int, int] = field(default_factory=dict)

    def list_parts(self) -> list[str]:
        """The partitions, as three digits."""
        return [f"{number:03d}" for number in range(partitions_of(self.folder))]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "LogPart":  # noqa: ARG002 - Bytewax's
        """A reader behind the committed offset."""
        return LogPart(self, int(for_part), resume_state or 0)


class LogPart(StatefulSourcePartition[Keyed, int]):
    """One partition of the log."""

    def __init__(self, source: LogSource, partition: int, offset: int) -> None:
        """Go on behind `offset`."""
        self._source, self._partition, self._offset = source, partition, offset
        self._partitions = len(source.list_parts())
        self._reader = LogReader(source.folder, partition)
        self._awaiting: int | None = None
        self._through = source.ends.get(partition, LAST_OFFSET)
        self._begun = False
        self._idle = False
        self._was_idle = False
        self._awake = datetime.now(UTC)

    def next_batch(self) -> list[Keyed]:
        """What follows in the log; at the start and after a commit, an empty batch goes before it."""
        self._source.stopper.joined()
        mark = self._note_commit()
        if self._source.stopper.clean.is_set():
            if self._source.stopper.may_leave():
                raise AbortExecution  # ends this worker; an end of input would close every state instead
            self._sleep()
            return mark
        if self._source.stopper.requested.is_set():
            self._idle = True
            self._sleep()
            return mark
        if self._source.is_full():
            self._sleep()
            return mark
        flow = self._source.flow
        batches, self._offset = self._reader.read(self._offset, flow.batch_records, flow.batch_bytes, self._through)
        if not batches:
            self._source.stopper.reached_end(self._partition, self._partitions)
            self._sleep()
        return mark + [(f"{self._partition:03d}", records) for records in batches]

    def next_awake(self) -> datetime | None:
        """When to look again: now, or a little later when there was nothing."""
        return self._awake

    def snapshot(self) -> int:
        """The offset of the last record handed out."""
        self._awaiting, self._was_idle = self._offset, self._idle
        return self._offset

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _sleep(self) -> None:
        self._awake = datetime.now(UTC) + _POLL

    def _note_commit(self) -> list[Keyed]:
        if self._awaiting is None and self._begun:
            return []
        if self._awaiting is not None:
            self._source.commits[self._partition] = self._awaiting
            metrics.COMMITTED.labels(f"{self._partition:03d}").set(self._awaiting)
            self._awaiting = None
            if self._was_idle:
                self._source.stopper.committed(self._partition, self._partitions)
        self._begun = True
        empty = Records(partition=self._partition, offsets=[], received_us=[], topics=[], payloads=[])
        return [(f"{self._partition:03d}", empty)]
