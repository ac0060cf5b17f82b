"""The outbox: what the model said, kept on disk until Gleaner has it for good.

Each record gets a number, `seq`, when it is appended. From then on the number is
in exactly one of three places: freed, because Gleaner acknowledged it; present;
or in a declared gap, because the outbox or the disk was full and it gave up its
oldest. Numbers rise without holes and are never used again, not even when all records
are gone. In an outbox that was restored from a backup, a record may get a later number
once; see `renumber`.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from edge_publisher import gaps
from edge_publisher.gaps import LostRange
from edge_publisher.lock import FolderLock
from edge_publisher.ranges import Range, Ranges, joined, without
from edge_publisher.record import Kind, Record
from edge_publisher.renumber import declare_missing, renumber
from edge_publisher.storage import PAGE_BYTES, Database, StorageFailed
from schemas.embedding import Codec
from schemas.errors import Reason, Rejected
from schemas.wire import MAX_SEQ, STREAM_BYTES

_ROW_OVERHEAD: Final = 32
_SPARE_PAGES: Final = 8
_SHED_AT_LEAST: Final = 16
_SHED_SHARE: Final = 64  # of the records at once, so that shedding costs little for each append
_SENT_AT_LEAST: Final = 256  # how far what the disk knows of sending may lag behind
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS state (only INTEGER PRIMARY KEY CHECK (only = 0), stream BLOB, next_seq INTEGER);
CREATE TABLE IF NOT EXISTS kinds (
    id INTEGER PRIMARY KEY, model TEXT, model_version INTEGER, site TEXT, top_k INTEGER, codec TEXT, dims INTEGER,
    UNIQUE (model, model_version, site, top_k, codec, dims));
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, kind INTEGER, device_time INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS sent (only INTEGER PRIMARY KEY CHECK (only = 0), below INTEGER);
{gaps.TABLE}"""


@dataclass(frozen=True, slots=True)
class Row:
    """A record with its number."""

    seq: int
    record: Record


class Outbox:
    """The records of one device, in a folder that no other agent may use.

    Args:
        folder: made, private to the user, where it is not there.
        max_bytes: what it may use of the disk; full, it gives up its oldest records.

    Attributes:
        stream: 16 random bytes, made with the outbox.
        restores: how often it was found to be an old copy, in this life of the agent.
        renumbered: records and given up numbers that moved then.

    Raises:
        LockHeld: another agent uses the folder.
        Fatal: the file is damaged.
        SettingsError: `max_bytes` is too small.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._lock = FolderLock(folder)
        try:
            self._db = Database(
                folder / "outbox.sqlite3", max_bytes=max_bytes, schema=_SCHEMA, durable=True, reserve=True
            )
            self._db.shrink()
            self.stream = self._begin()
            self._db.restock()
        except BaseException:
            self._lock.release()
            raise
        self.restores = 0
        self.renumbered = 0
        self._opened_at = self.next_seq
        self._sent_below = int(self._db.rows("SELECT below FROM sent")[0][0])
        self._kind_ids: dict[Kind, int] = {}
        self._kinds: dict[int, Kind] = {}

    def _begin(self) -> bytes:
        def work(sql: sqlite3.Connection) -> None:
            sql.execute("INSERT OR IGNORE INTO state VALUES (0, ?, 0)", (os.urandom(STREAM_BYTES),))
            sql.execute("INSERT OR IGNORE INTO sent SELECT 0, next_seq FROM state")

        self._db.write(work)
        stream: bytes = self._db.rows("SELECT stream FROM state")[0][0]
        return stream

    @property
    def next_seq(self) -> int:
        """The number that the next record gets."""
        return int(self._db.rows("SELECT next_seq FROM state")[0][0])

    def append(self, records: Sequence[Record]) -> range:
        """Keep `records`; when this returns, they are on disk: accepted. Gives their numbers.

        Where it is full, or the disk is, it gives up its oldest records for them.

        Raises:
            StorageFailed: the disk did not take them; none is accepted, no number is used.
        """
        ids = [self._kind_id(record.kind) for record in records]
        self._db.restock()
        return self._db.write(lambda sql: self._append(sql, records, ids))

    def _append(self, sql: sqlite3.Connection, records: Sequence[Record], ids: list[int]) -> range:
        first = self.next_seq
        if records:
            need_bytes = sum(len(record.body) + _ROW_OVERHEAD for record in records)
            self._make_room(sql, need_bytes, records[0])
        sql.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?)",
            [(first + i, ids[i], record.device_time_us, record.body) for i, record in enumerate(records)],
        )
        sql.execute("UPDATE state SET next_seq = ?", (first + len(records),))
        sent = self._sent_below
        sql.execute("UPDATE sent SET below = ? WHERE below < ?", (sent, sent - _SENT_AT_LEAST))
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

        Gives how many numbers were freed, of records and of gaps. One that was never
        sent is not freed: what Gleaner has under it came from somewhere else, or it was
        sent just before a crash. It is sent, and the next acknowledgement frees it.

        Numbers that were made in this life and never sent, or never made at all, prove
        that this outbox is an old copy of one that went on. Then its own records move
        to numbers beyond `ahead`, and the holes, which it can't fill, become a gap.

        Raises:
            Rejected: a number that no device reaches.
        """
        end = max(through, ahead)
        if end > MAX_SEQ // 2:
            raise Rejected(Reason.OUT_OF_RANGE, "acknowledged beyond every number that a device gives")
        durable = without([(0, through), *without([(through + 1, ahead)], holes)], [(self._sent_below, MAX_SEQ)])
        freed = self._db.write(lambda sql: self._free(sql, durable))
        if end >= max(self._opened_at, self._sent_below):
            self._move_beyond(end, joined(holes))
        return freed

    def note_sent(self, last: int) -> None:
        """Numbers up to `last` were published, or declared as a gap."""
        self._sent_below = max(self._sent_below, last + 1)

    def _free(self, sql: sqlite3.Connection, durable: Ranges) -> int:
        freed = sum(_delete(sql, "DELETE FROM records WHERE seq BETWEEN ? AND ?", pair) for pair in durable)
        freed += gaps.forget(sql, durable)
        sql.execute("UPDATE sent SET below = ? WHERE below < ?", (self._sent_below, self._sent_below))
        return freed

    def _move_beyond(self, end: int, holes: Ranges) -> None:
        """Leave the numbers up to `end` to the life of this outbox that used them."""
        first = max(self._opened_at, self._sent_below)
        taken = min(end, self._db.write(partial(_jump, beyond=end)) - 1)
        at = first
        while at <= taken:
            at = self._db.write(partial(renumber, first=at, last=taken))
        missing = without(holes, [(0, first - 1), (end + 1, MAX_SEQ)])
        self._db.write(lambda sql: declare_missing(sql, missing, time.time_ns() // 1000))
        self._opened_at = end + 1
        self.restores += 1
        self.renumbered += max(0, taken - first + 1)

    def give_up(self, first: int, last: int, reason: str, device_time_us: int) -> None:
        """Turn the records with first ≤ seq ≤ last into a declared gap."""

        def work(sql: sqlite3.Connection) -> None:
            found = sql.execute("SELECT seq FROM records WHERE seq BETWEEN ? AND ?", (first, last)).fetchall()
            gaps.lose(sql, [seq for (seq,) in found], reason, device_time_us)

        self._db.write(work)

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
        allowed = self._db.limit_bytes - need_bytes - _SPARE_PAGES * PAGE_BYTES
        while self._db.used_bytes() > allowed:
            number = max(_SHED_AT_LEAST, self.count() // _SHED_SHARE)
            oldest = sql.execute("SELECT seq FROM records ORDER BY seq LIMIT ?", (number,)).fetchall()
            if not oldest:
                raise StorageFailed(f"{self._db.path}: {need_bytes} bytes at once are more than it may hold")
            gaps.lose(sql, [seq for (seq,) in oldest], "outbox_full", newest.device_time_us)

    def _kind_id(self, kind: Kind) -> int:
        if kind not in self._kind_ids:
            values = astuple(kind)
            self._db.write(
                lambda sql: sql.execute("INSERT OR IGNORE INTO kinds VALUES (NULL, ?, ?, ?, ?, ?, ?)", values)
            )
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


def _jump(sql: sqlite3.Connection, beyond: int) -> int:
    """Make the next number one beyond these; gives what it was."""
    before = int(sql.execute("SELECT next_seq FROM state").fetchone()[0])
    sql.execute("UPDATE state SET next_seq = ?", (max(before, beyond + 1),))
    return before
