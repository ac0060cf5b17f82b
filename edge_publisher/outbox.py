"""The outbox: what the model said, kept on disk until Gleaner has it for good.

Each record gets a number, `seq`, when it is appended. From then on the number is
in exactly one of three places: freed, because Gleaner acknowledged it; present;
or in a declared gap, because the outbox was full and gave up its oldest. Numbers
rise without holes and are never used again, not even when all records are gone.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from edge_publisher.lock import FolderLock
from edge_publisher.ranges import Range, Ranges, joined, runs, size, without
from edge_publisher.record import Kind, Record
from edge_publisher.storage import PAGE_BYTES, Database, StorageFailed
from schemas.embedding import Codec
from schemas.errors import Reason, Rejected
from schemas.wire import MAX_SEQ, STREAM_BYTES

_ROW_OVERHEAD: Final = 32
_SPARE_PAGES: Final = 8
_SHED_AT_LEAST: Final = 16
_SHED_SHARE: Final = 64  # of the records at once, so that shedding costs little for each append
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (only INTEGER PRIMARY KEY CHECK (only = 0), stream BLOB, next_seq INTEGER);
CREATE TABLE IF NOT EXISTS kinds (
    id INTEGER PRIMARY KEY, model TEXT, model_version INTEGER, site TEXT, top_k INTEGER, codec TEXT, dims INTEGER,
    UNIQUE (model, model_version, site, top_k, codec, dims));
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, kind INTEGER, device_time INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS gaps (first_seq INTEGER PRIMARY KEY, last_seq INTEGER, reason TEXT, device_time INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A record with its number."""

    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class LostRange:
    """Numbers that were given up, both ends included, and why; time in µs since 1970."""

    first_seq: int
    last_seq: int
    reason: str
    device_time_us: int


class Outbox:
    """The records of one device, in a folder that no other agent may use.

    Args:
        folder: made, private to the user, where it is not there.
        max_bytes: what it may use of the disk; full, it gives up its oldest records.

    Attributes:
        stream: 16 random bytes, made with the outbox.

    Raises:
        LockHeld: another agent uses the folder.
        Fatal: the file is damaged.
        SettingsError: `max_bytes` is too small.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._lock = FolderLock(folder)
        try:
            self._db = Database(folder / "outbox.sqlite3", max_bytes=max_bytes, schema=_SCHEMA, durable=True)
            self._db.shrink()
            self.stream = self._begin()
        except BaseException:
            self._lock.release()
            raise
        self._kind_ids: dict[Kind, int] = {}
        self._kinds: dict[int, Kind] = {}

    def _begin(self) -> bytes:
        with self._db.transaction() as sql:
            sql.execute("INSERT OR IGNORE INTO state VALUES (0, ?, 0)", (os.urandom(STREAM_BYTES),))
        stream: bytes = self._db.rows("SELECT stream FROM state")[0][0]
        return stream

    @property
    def next_seq(self) -> int:
        """The number that the next record gets."""
        return int(self._db.rows("SELECT next_seq FROM state")[0][0])

    def append(self, records: Sequence[Record]) -> range:
        """Keep `records`; when this returns, they are on disk: accepted. Gives their numbers.

        Raises:
            StorageFailed: the disk did not take them; none is accepted, no number is used.
        """
        ids = [self._kind_id(record.kind) for record in records]
        with self._db.transaction() as sql:
            first = self.next_seq
            if records:
                self._make_room(sql, sum(len(record.body) + _ROW_OVERHEAD for record in records), records[0])
            sql.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?)",
                [(first + i, ids[i], record.device_time_us, record.body) for i, record in enumerate(records)],
            )
            sql.execute("UPDATE state SET next_seq = ?", (first + len(records),))
        return range(first, first + len(records))

    def read(self, first: int, limit: int, last: int = MAX_SEQ) -> list[Row]:
        """At most `limit` rows with first ≤ seq ≤ last, in order."""
        found = self._db.rows(
            "SELECT seq, kind, device_time, body FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            first, last, limit,
        )  # fmt: skip
        return [Row(seq, Record(self._kind(kind), time, body)) for seq, kind, time, body in found]

    def ack(self, through: int, holes: Iterable[Range] = (), ahead: int = -1) -> int:
        """Free what is durable: all ≤ `through`, and all ≤ `ahead` that is in no hole.

        Gives how many numbers were freed, of records and of gaps.

        A number beyond all that were given means that this outbox is an old copy of
        one that went on: the next record then gets a number beyond it.

        Raises:
            Rejected: a number that no device reaches.
        """
        end = max(through, ahead)
        if end > MAX_SEQ // 2:
            raise Rejected(Reason.OUT_OF_RANGE, "acknowledged beyond every number that a device gives")
        durable = joined([(0, through), *without([(through + 1, ahead)], holes)])
        with self._db.transaction() as sql:
            freed = sum(_delete(sql, "DELETE FROM records WHERE seq BETWEEN ? AND ?", pair) for pair in durable)
            freed += self._forget_gaps(sql, durable)
            sql.execute("UPDATE state SET next_seq = ? WHERE next_seq <= ?", (end + 1, end))
        return freed

    def give_up(self, first: int, last: int, reason: str, device_time_us: int) -> None:
        """Turn the records with first ≤ seq ≤ last into a declared gap."""
        with self._db.transaction() as sql:
            found = sql.execute("SELECT seq FROM records WHERE seq BETWEEN ? AND ?", (first, last)).fetchall()
            _lose(sql, [seq for (seq,) in found], reason, device_time_us)

    def gaps(self) -> list[LostRange]:
        """All gaps that Gleaner has not acknowledged, in order."""
        return [LostRange(*row) for row in self._db.rows("SELECT * FROM gaps ORDER BY first_seq")]

    def has_gaps(self) -> bool:
        """Whether there is a gap to declare."""
        return bool(self._db.rows("SELECT 1 FROM gaps LIMIT 1"))

    def first_seq(self) -> int | None:
        """The oldest record's number; None when it is empty."""
        found: int | None = self._db.rows("SELECT min(seq) FROM records")[0][0]
        return found

    def count(self) -> int:
        """Records in it."""
        return int(self._db.rows("SELECT count(*) FROM records")[0][0])

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return self._db.used_bytes()

    def close(self) -> None:
        """Close the file and let another agent have the folder."""
        self._db.close()
        self._lock.release()

    def _make_room(self, sql: sqlite3.Connection, need_bytes: int, newest: Record) -> None:
        """Give up the oldest records until `need_bytes` more fit."""
        allowed = self._db.budget_bytes - need_bytes - _SPARE_PAGES * PAGE_BYTES
        while self._db.used_bytes() > allowed:
            number = max(_SHED_AT_LEAST, self.count() // _SHED_SHARE)
            oldest = sql.execute("SELECT seq FROM records ORDER BY seq LIMIT ?", (number,)).fetchall()
            if not oldest:
                raise StorageFailed(f"{self._db.path}: {need_bytes} bytes at once are more than it may hold")
            _lose(sql, [seq for (seq,) in oldest], "outbox_full", newest.device_time_us)

    def _forget_gaps(self, sql: sqlite3.Connection, durable: Ranges) -> int:
        forgotten = 0
        for gap in self.gaps():
            left = without([(gap.first_seq, gap.last_seq)], durable)
            if left == ((gap.first_seq, gap.last_seq),):
                continue
            sql.execute("DELETE FROM gaps WHERE first_seq = ?", (gap.first_seq,))
            rows = [(first, last, gap.reason, gap.device_time_us) for first, last in left]
            sql.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?)", rows)
            forgotten += size((gap.first_seq, gap.last_seq)) - sum(map(size, left))
        return forgotten

    def _kind_id(self, kind: Kind) -> int:
        if kind not in self._kind_ids:
            with self._db.transaction() as sql:
                sql.execute("INSERT OR IGNORE INTO kinds VALUES (NULL, ?, ?, ?, ?, ?, ?)", astuple(kind))
            same = "model = ? AND model_version = ? AND site = ? AND top_k = ? AND codec = ? AND dims = ?"
            self._kind_ids[kind] = self._db.rows(f"SELECT id FROM kinds WHERE {same}", *astuple(kind))[0][0]  # noqa: S608 (a constant)
        return self._kind_ids[kind]

    def _kind(self, kind_id: int) -> Kind:
        if kind_id not in self._kinds:
            found = self._db.rows("SELECT * FROM kinds WHERE id = ?", kind_id)[0]
            model, version, site, top_k, codec, dims = found[1:]
            self._kinds[kind_id] = Kind(model, version, site, top_k, Codec(codec), dims)
        return self._kinds[kind_id]


def _delete(sql: sqlite3.Connection, statement: str, pair: Range) -> int:
    return sql.execute(statement, pair).rowcount


def _lose(sql: sqlite3.Connection, seqs: list[int], reason: str, device_time_us: int) -> None:
    """Delete records and declare them, joined to the gap just before where it has the same reason."""
    for first, last in runs(seqs):
        sql.execute("DELETE FROM records WHERE seq BETWEEN ? AND ?", (first, last))
        grown = sql.execute(
            "UPDATE gaps SET last_seq = ?, device_time = ? WHERE last_seq = ? AND reason = ?",
            (last, device_time_us, first - 1, reason),
        )
        if not grown.rowcount:
            sql.execute("INSERT INTO gaps VALUES (?, ?, ?, ?)", (first, last, reason, device_time_us))
