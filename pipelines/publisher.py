"""The publisher: what is committed goes to the lake, and then its devices hear of it.

It has a thread of its own, so that a slow store, or one that is away, does not hold up
the flow: rows wait on local disk, acknowledgements in memory, at most one for each stream.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from operators.seen import Seen
from pipelines import metrics
from pipelines.backoff import Backoff
from pipelines.commands import Commands, send_acks
from pipelines.lake import Lake
from pipelines.marker import Marker
from pipelines.stop import Stop
from schemas.errors import Unavailable

Acks = dict[tuple[str, str], Seen]
_POLL_S: Final = 0.5
log = structlog.get_logger()


@dataclass(slots=True)
class _Due:
    """What is committed of one partition, and whom to tell once it is in the lake."""

    upto: Marker
    acks: Acks = field(default_factory=dict)


class Publisher:
    """Publishes committed rows, in their order, until it is closed.

    Args:
        lake: where from and where to.
        commands: tells devices.
        on_published: called with partition and log offset once all up to it is in the lake.
        most_bytes: what may wait on local disk before `is_full`.
    """

    def __init__(
        self, lake: Lake, commands: Commands, on_published: Callable[[int, int], None], most_bytes: int
    ) -> None:
        self._lake, self._commands, self._on_published, self._most_bytes = lake, commands, on_published, most_bytes
        self._due: dict[int, _Due] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._busy = False
        self._failure: BaseException | None = None
        self._said = ""
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def submit(self, partition: int, upto: Marker, acks: Acks) -> None:
        """Publish what is staged below `upto.seq`, then send `acks`; returns at once."""
        with self._changed:
            self._put(partition, _Due(upto, acks))
            self._changed.notify_all()

    def is_full(self) -> bool:
        """Whether so much waits on local disk that no more should be made.

        Raises:
            GleanerError: why publishing has ended.
        """
        if self._failure is not None:
            raise self._failure
        waiting = self._lake.staged_bytes
        metrics.STAGED.set(waiting)
        return waiting > self._most_bytes

    def close(self, patience_s: float, hurry: Stop | None = None) -> bool:
        """Publish what is due for at most `patience_s`, or until `hurry`; whether all went.

        What did not go is published at the next start.

        Raises:
            GleanerError: why publishing has ended.
        """
        end = time.monotonic() + patience_s
        with self._changed:
            while self._is_at_work() and time.monotonic() < end and not (hurry and hurry.is_set()):
                self._changed.wait(min(_POLL_S, max(0.0, end - time.monotonic())))
            drained = not self._is_at_work()
            self._closing = True
            self._changed.notify_all()
        if drained:
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        return drained

    def halt(self) -> None:
        """Stop after the file at hand."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _is_at_work(self) -> bool:
        return self._thread.is_alive() and (bool(self._due) or self._busy)

    def _put(self, partition: int, due: _Due) -> None:
        """Add to what is due; an acknowledgement waits for all that its stream's newer ones wait for."""
        known = self._due.get(partition)
        self._due[partition] = due if known is None else _Due(due.upto, known.acks | due.acks)

    def _run(self) -> None:
        try:
            while (taken := self._take()) is not None:
                partition, due = taken
                try:
                    self._publish(partition, due)
                except Unavailable as error:
                    self._wait(partition, due, error)
        except BaseException as error:  # noqa: BLE001 - the rim of this thread; `is_full` raises it in the flow's
            self._failure = error
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _take(self) -> tuple[int, _Due] | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._due and not self._closing:
                self._changed.wait()
            if self._closing:
                return None
            self._busy = True
            partition = next(iter(self._due))
            return partition, self._due.pop(partition)

    def _publish(self, partition: int, due: _Due) -> None:
        for table in self._lake.publish(partition, due.upto):
            metrics.FILES.labels(table).inc()
            if self._closing:
                return
        if due.upto.offset:  # at a start nothing is known to be committed yet
            self._on_published(partition, due.upto.offset)
        send_acks(self._commands, due.acks.items())
        if self._said:
            log.info("the store takes rows again")
            self._said, self._backoff = "", Backoff()
        metrics.STORE_AWAY.set(0)

    def _wait(self, partition: int, due: _Due, error: Unavailable) -> None:
        """Put back what could not go, and give the store time."""
        metrics.STORE_AWAY.set(1)
        if self._said != str(error):
            self._said = str(error)
            log.error("the store takes no rows; they wait on local disk", why=self._said)
        with self._changed:
            newer = self._due.pop(partition, None)
            self._put(partition, due)
            if newer is not None:
                self._put(partition, newer)
            self._busy = False
            end = time.monotonic() + self._backoff.next_s()
            while not self._closing and time.monotonic() < end:
                self._changed.wait(max(0.0, end - time.monotonic()))
