"""The log: what makes MQTT replayable.

One SQLite file for each partition, in WAL mode with `synchronous=FULL`: `append`
returns when the rows are on disk, and a reader sees nothing before that. Offsets
are never used twice. The number of partitions is fixed when the log is created.

Ticks, rows that ingest writes on a timer, are the only clock the dataflow has.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from operators.records import Records
from pipelines.lock import hold
from schemas.errors import GleanerError, LakeError, Unavailable
from schemas.topics import partition_of

TICK: Final = "$tick"
_META: Final = "log.json"
_FORMAT: Final = 1
_CREATE: Final = """
create table if not exists records (
    "offset" integer primary key autoincrement,
    received_us integer not null,
    topic text not null,
    properties text,
    payload blob not null
)"""
_INSERT: Final = "insert into records (received_us, topic, properties, payload) values (?, ?, ?, ?)"


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
    """The one process that appends. Use as a context manager, or `close` it.

    Attributes:
        partitions: how many there are.
    """

    def __init__(self, folder: Path, partitions: int) -> None:
        """Open the log in `folder`, or create it with so many partitions.

        Raises:
            LakeError: not writable, or it was created with another number of partitions.
            LockHeld: another process appends to it.
        """
        self._lock = hold(folder / "lock", "writes this log")
        self._files: list[sqlite3.Connection] = []
        try:
            self.partitions = _create_or_check(folder, partitions)
            for number in range(self.partitions):
                self._files.append(_open_writer(_path(folder, number)))
        except GleanerError:
            self.close()
            raise
        self._last_us = [_last_us(file) for file in self._files]

    def append(self, messages: Sequence[Message], now_us: int) -> None:
        """Put messages on disk, in their order; durable on return.

        Args:
            messages: at least one.
            now_us: microseconds since 1970; a clock that went back is held at the last time.

        Raises:
            Unavailable: the disk is full, or fails; partitions that were written stay written.
        """
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(partition_of(message.topic, self.partitions), []).append(message)
        for number, some in by_partition.items():
            self._insert(number, some, now_us)

    def tick(self, now_us: int) -> None:
        """Let log time pass in every partition."""
        for number in range(self.partitions):
            self._insert(number, [Message(TICK, b"")], now_us)

    def ahead_us(self, now_us: int) -> int:
        """By how much log time is ahead of the clock: it stands still until the clock has caught up."""
        return max(0, max(self._last_us) - now_us)

    def trim(self, partition: int, through_offset: int, before_us: int, most: int = 20_000) -> int:
        """Forget records up to an offset that are older than a time; give how many went."""
        query = (
            'delete from records where "offset" in (select "offset" from records '
            'where "offset" <= ? and received_us < ? order by "offset" limit ?)'
        )
        with self._files[partition] as file:
            return file.execute(query, (through_offset, before_us, most)).rowcount

    def close(self) -> None:
        """Close the files and let another process write."""
        for file in self._files:
            file.close()
        os.close(self._lock)

    def _insert(self, number: int, messages: Sequence[Message], now_us: int) -> None:
        received = self._last_us[number] = max(now_us, self._last_us[number])
        rows = [(received, m.topic, m.properties, m.payload) for m in messages]
        try:
            with self._files[number] as file:
                file.execute("begin immediate")
                file.executemany(_INSERT, rows)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the log takes no records now: {error}; is there room on its disk?") from error

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LogReader:
    """One partition, read from any offset; never sees what is not on disk yet."""

    def __init__(self, folder: Path, partition: int) -> None:
        """Open a partition.

        Raises:
            LakeError: it is not there.
        """
        path = _path(folder, partition)
        if not path.exists():
            raise LakeError(f"{folder}: no log here; start `gleaner ingest` first, it creates one")
        self._partition = partition
        uri = f"file:{quote(str(path))}?mode=ro"
        self._file = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    def read(self, after: int, most_records: int, most_bytes: int) -> tuple[list[Records], int]:
        """Records behind the offset `after`, cut at ticks, and the offset of the last one."""
        query = 'select "offset", received_us, topic, payload from records where "offset" > ? order by "offset" limit ?'
        rows, size = [], 0
        cursor = self._file.execute(query, (after, most_records))
        for row in cursor:
            rows.append(row)
            size += len(row[2]) + len(row[3])  # a topic can be as long as a message
            if size >= most_bytes:
                break
        cursor.close()
        return list(_cut(self._partition, rows)), rows[-1][0] if rows else after

    def end(self) -> int:
        """The offset of the last record on disk; 0 in an empty partition."""
        (last,) = self._file.execute('select max("offset") from records').fetchone()
        return last or 0

    def last_given(self) -> int:
        """The highest offset that a record ever had here, kept or forgotten; 0 before the first."""
        found = self._file.execute("select seq from sqlite_sequence where name = 'records'").fetchone()
        return int(found[0]) if found else 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def partitions_of(folder: Path) -> int:
    """How many partitions the log in `folder` has.

    Raises:
        LakeError: there is none.
    """
    try:
        return int(json.loads((folder / _META).read_text())["partitions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{folder}: no log here; start `gleaner ingest` first, it creates one") from error


def _cut(partition: int, rows: Sequence[tuple[Any, ...]]) -> Any:
    """Rows as `Records`, a batch ending at each tick."""
    start = 0
    ends = [place for place, row in enumerate(rows) if row[2] == TICK]
    for end in [*ends, len(rows)]:
        some = rows[start:end]
        if some or end < len(rows):
            offsets, received, topics, payloads = zip(*some, strict=True) if some else ((), (), (), ())
            tick = rows[end][1] if end < len(rows) else None
            yield Records(
                partition=partition,
                offsets=list(offsets),
                received_us=list(received),
                topics=list(topics),
                payloads=list(payloads),
                tick_us=tick,
            )
        start = end + 1


def _path(folder: Path, partition: int) -> Path:
    return folder / f"{partition:03d}.sqlite"


def _create_or_check(folder: Path, partitions: int) -> int:
    meta = folder / _META
    if not meta.exists():
        draft = meta.with_suffix(".new")
        draft.write_text(json.dumps({"format": _FORMAT, "partitions": partitions}))
        draft.replace(meta)
    there = partitions_of(folder)
    if there != partitions:
        raise LakeError(f"{folder}: created with {there} partitions, which can't change; set log.partitions={there}")
    return there


def _open_writer(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("pragma journal_mode=wal", "pragma synchronous=full", _CREATE):
            file.execute(statement)
    except sqlite3.Error as error:
        file.close()
        raise LakeError(f"{path}: not a partition of a log, or not writable: {error}") from error
    return file


def _last_us(file: sqlite3.Connection) -> int:
    (last,) = file.execute('select received_us from records order by "offset" desc limit 1').fetchone() or (0,)
    return int(last)
