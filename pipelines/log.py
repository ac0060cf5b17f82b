"""The log: what makes MQTT replayable.

One SQLite file for each partition, in WAL mode with `synchronous=FULL`: `append`
returns when the rows are on disk, and a reader sees nothing before that. Offsets
are never used twice. The number of partitions is fixed when the log is created.

Ticks, rows that ingest writes on a timer, are the only clock the dataflow has.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from pipelines.lock import hold
from pipelines.log_file import DamagedError, LogFile, path_of, set_aside
from pipelines.log_meta import create_or_check, log_id, partitions_of, raise_floor
from pipelines.log_reader import LAST_OFFSET, TICK, LogReader
from schemas.errors import GleanerError, Unavailable
from schemas.topics import partition_of

__all__ = ("LAST_OFFSET", "TICK", "LogReader", "LogWriter", "Message", "log_id", "partitions_of")

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker delivered it.

    Attributes:
        topic: as received.
        payload: as received.
        properties: MQTT 5 properties worth keeping, as JSON, or None.
    """

    topic: str
    payload: bytes
    properties: str | None = None


class LogWriter:
    """The one process that appends to its partitions. Use as a context manager, or `close` it.

    Attributes:
        partitions: how many the log has.
        owned: those that are written here, in their order.
        appended_bytes: of topics and payloads, since it was opened.
    """

    def __init__(
        self,
        folder: Path,
        partitions: int,
        owned: Iterable[int] | None = None,
        published: Callable[[], Mapping[int, int]] = dict,
    ) -> None:
        """Open the log in `folder`, or create it with so many partitions.

        A partition that is damaged, missing or an older copy goes on with offsets that none of its records had.

        Args:
            folder: of the log.
            partitions: how many it has, 1 to 256.
            owned: the partitions to write; all of them where none are named.
            published: partition → an offset that was given for certain, as that up to which the lake holds all.

        Raises:
            LakeError: not writable, or it was created with another number of partitions.
            LockHeld: another process appends to one of them.
        """
        self._folder, self.partitions, self._published = folder, partitions, published
        self.owned = tuple(range(partitions)) if owned is None else tuple(sorted(owned))
        self.appended_bytes = 0
        self._locks: list[int] = []
        self._files: dict[int, LogFile] = {}
        try:
            create_or_check(folder, partitions)
            for number in self.owned:
                self._locks.append(hold(folder / f"{number:03d}.lock", f"writes this log (partition {number})"))
            for number in self.owned:
                self._files[number] = self._opened(number)
        except GleanerError:
            self.close()
            raise

    def append(self, messages: Sequence[Message], now_us: int) -> None:
        """Put messages on disk, in their order; durable on return. Those of partitions of others are theirs to write.

        Args:
            messages: at least one.
            now_us: microseconds since 1970; a clock that went back is held at the last time.

        Raises:
            Unavailable: the disk is full, or fails; partitions that were written stay written.
        """
        by_partition: dict[int, list[tuple[str, str | None, bytes]]] = {}
        for m in messages:
            row = (m.topic, m.properties, m.payload)
            by_partition.setdefault(partition_of(m.topic, self.partitions), []).append(row)
            self.appended_bytes += len(m.topic) + len(m.payload)
        for number in by_partition.keys() & self._files.keys():
            self._do(number, lambda file, rows=by_partition[number]: file.insert(now_us, rows))  # type: ignore[misc]

    def tick(self, now_us: int) -> None:
        """Let log time pass in every partition that is written here."""
        for number in self.owned:
            self._do(number, lambda file: file.insert(now_us, [(TICK, None, b"")]))

    def ahead_us(self, now_us: int) -> int:
        """By how much log time is ahead of the clock: it stands still until the clock has caught up."""
        return max(0, max(file.last_us for file in self._files.values()) - now_us)

    def trim(self, partition: int, through_offset: int, before_us: int, most: int = 20_000) -> int:
        """Forget records up to an offset that are older than a time; give how many went.

        Raises:
            Unavailable: the disk is full, or fails.
        """
        return self._do(partition, lambda file: file.forget(through_offset, before_us, most))

    def oldest(self, partition: int) -> tuple[int, int] | None:
        """Offset and receive time (µs since 1970) of the oldest record of a partition, if there is one."""
        return self._do(partition, lambda file: file.oldest())

    def used_bytes(self) -> int:
        """What the partitions written here take on disk: pages in use, and write-ahead logs as long as they are."""
        return sum(self._do(number, lambda file: file.used_bytes()) for number in self.owned)

    def settle(self) -> None:
        """Cut the write-ahead logs to nothing, where no reader is in the way."""
        for number in self.owned:
            self._do(number, lambda file: file.settle())

    def close(self) -> None:
        """Close the files and let another process write."""
        for file in self._files.values():
            file.close()
        while self._locks:
            os.close(self._locks.pop())

    def _do(self, number: int, what: Callable[[LogFile], T]) -> T:
        """What a partition answers; where it turns out to be damaged, it is begun anew."""
        try:
            return what(self._files[number])
        except DamagedError as error:
            self._files[number].close()
            self._set_aside(number, error)
            self._files[number] = self._opened(number)
            raise Unavailable(f"partition {number} of the log was damaged and is begun anew") from error

    def _opened(self, number: int) -> LogFile:
        """The file of a partition, whose next offset is one that no record had."""
        path = path_of(self._folder, number)
        known = self._published().get(number, 0)
        try:
            file = LogFile(path) if path.exists() else None
        except DamagedError as error:
            self._set_aside(number, error)
            file = None
        if file is None or file.last_given < known:
            file = file or LogFile(path)
            file.skip_to(raise_floor(self._folder, number, known))
            log.error("a partition of the log is not what it was", partition=number, goes_on_behind=file.last_given)
        return file

    def _set_aside(self, number: int, error: DamagedError) -> None:
        aside = set_aside(path_of(self._folder, number))
        log.error("a partition of the log is damaged", partition=number, kept_as=aside.name, why=str(error))

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
