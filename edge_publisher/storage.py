"""A SQLite database that never outgrows its share of the disk.

Of `max_bytes`, the write-ahead log of a database gets three sixteenths, its file what is left:
the log is written back after half of one, and no transaction of ours is larger than two. Freed
pages are used again, so the file stays within its share as long as its owner makes room
before it writes; SQLite's own page limit stands behind that.

Two sixteenths may be a file of nothing, the reserve, set aside for the day on which
others fill the disk: also what frees space needs a little first. From then on the file
hardly grows, and its owner makes do with the pages that it has.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from schemas.errors import Fatal, SettingsError, Unavailable

PAGE_BYTES: Final = 4096
T = TypeVar("T")
MIN_BYTES: Final = 512 * 1024


class StorageFailed(Unavailable):
    """The disk took no write: full, or broken. Nothing was accepted; try again later."""


class DiskFull(StorageFailed):
    """No room on the disk, or in the share of it."""


class Database:
    """One connection, shared by threads, to a database of bounded size.

    Args:
        path: of the file; its folder exists.
        max_bytes: what the file and its log may use together, at least 512 KiB.
        schema: SQL that makes the tables where there are none.
        durable: whether a committed transaction survives a power cut (fsync for each).
        reserve: whether it goes on when others fill the disk.

    Attributes:
        budget_bytes: what the file itself may use.
        limit_bytes: what it may use now; less while the disk is full.
        largest_write_bytes: of one value.

    Raises:
        DiskFull: there is no room for its log.
        Fatal: the file is damaged or not a database.
        SettingsError: `max_bytes` is too small.
    """

    def __init__(self, path: Path, *, max_bytes: int, schema: str, durable: bool, reserve: bool = False) -> None:
        if max_bytes < MIN_BYTES:
            raise SettingsError(f"{path.name}: give it at least {MIN_BYTES} bytes, not {max_bytes}")
        self.path = path
        self.budget_bytes = max_bytes * (11 if reserve else 12) // 16
        self._keeps_reserve = reserve
        self.limit_bytes = self.budget_bytes
        self.largest_write_bytes = max_bytes // 16
        self._lock = threading.RLock()
        self._reserve = path.with_name(f"{path.name}-reserve")
        try:
            self._open(schema, durable)
        except DiskFull:
            self._reserve.unlink(missing_ok=True)
            self._open(schema, durable)

    def _open(self, schema: str, durable: bool) -> None:
        path = self.path
        try:
            self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(schema, durable)
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                self._sql.close()
                raise DiskFull(f"{path}: the disk is full; free some space, and start again") from error
            raise Fatal(
                f"{path}: not a readable database ({error}); move the file and those beside it ({path.name}-wal, -shm) "
                "out of the folder, and the agent starts anew; what only that file held is lost"
            ) from error

    def _prepare(self, schema: str, durable: bool) -> None:
        self._sql.execute(f"PRAGMA page_size={PAGE_BYTES}")
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._sql.execute(f"PRAGMA wal_autocheckpoint={max(8, self.largest_write_bytes // 2 // PAGE_BYTES)}")
        self._sql.execute(f"PRAGMA journal_size_limit={self.largest_write_bytes}")
        damage = self._sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        self._sql.executescript(schema)
        self._sql.execute(f"PRAGMA max_page_count={self.budget_bytes // PAGE_BYTES}")

    def used_bytes(self) -> int:
        """Bytes of pages that hold something."""
        return (self._number("page_count") - self._number("freelist_count")) * PAGE_BYTES

    def shrink(self) -> None:
        """Give freed pages back to the file system, where the file is larger than it may be."""
        if self._number("page_count") * PAGE_BYTES > self.budget_bytes:
            with suppress(sqlite3.OperationalError):  # it needs room itself; the next start tries again
                self._sql.execute("VACUUM")
            self._sql.execute(f"PRAGMA max_page_count={self.budget_bytes // PAGE_BYTES}")

    def _number(self, pragma: str) -> int:
        with self._lock:
            return int(self._sql.execute(f"PRAGMA {pragma}").fetchone()[0])

    def rows(self, query: str, *values: Any) -> list[Any]:
        """All rows of a query."""
        with self._lock:
            return self._sql.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is executed inside, or nothing of it.

        Raises:
            StorageFailed: the disk did not take it; nothing was written.
        """
        with self._lock:
            try:
                self._sql.execute("BEGIN IMMEDIATE")
                yield self._sql
                self._sql.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                kind = DiskFull if _is_full(error) else StorageFailed
                raise kind(f"{self.path}: nothing was written: {error}") from error
            except BaseException:
                self._roll_back()
                raise

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives; all that it executes, or nothing of it, as in `transaction`.

        Where the disk is full, the reserve is used up, the file stays as large as it is, and
        the work is done once more.

        Raises:
            DiskFull: that was not enough.
            StorageFailed: the disk did not take it.
        """
        with self._lock:
            try:
                with self.transaction() as sql:
                    return work(sql)
            except DiskFull:
                self._use_reserve()
            with self.transaction() as sql:
                return work(sql)

    def restock(self) -> None:
        """Set the reserve aside again, where it was used and the disk has room; the file may grow then."""
        with self._lock:
            if not self._keeps_reserve or self._reserve.exists():
                return
            try:
                with self._reserve.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, 2 * self.largest_write_bytes)
            except OSError:
                self._reserve.unlink(missing_ok=True)
            else:
                self._limit(self.budget_bytes)

    def _use_reserve(self) -> None:
        grows_bytes = self.largest_write_bytes if self._reserve.exists() else 0
        self._reserve.unlink(missing_ok=True)
        self._limit(min(self.limit_bytes, self._number("page_count") * PAGE_BYTES + grows_bytes))
        with suppress(sqlite3.Error):
            self._sql.execute("PRAGMA wal_checkpoint(RESTART)")  # what is written back makes the log free again

    def _limit(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._sql.execute(f"PRAGMA max_page_count={limit_bytes // PAGE_BYTES}")

    def _roll_back(self) -> None:
        if self._sql.in_transaction:
            self._sql.execute("ROLLBACK")

    def close(self) -> None:
        """Write the log back and close the file."""
        with self._lock:
            self._sql.close()


def _is_full(error: sqlite3.DatabaseError) -> bool:
    """Whether there is no room; SQLite says so in other words for the index of its log."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR_SHM")
