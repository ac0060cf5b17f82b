"""A SQLite database that never outgrows its share of the disk.

Of `max_bytes`, the database file gets three quarters and its write-ahead log the
rest: the log is written back after a sixteenth, and no transaction of ours is
larger than two of these. Freed pages are used again, so the file stays within its
share as long as its owner makes room before it writes; SQLite's own page limit
stands behind that.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from schemas.errors import Fatal, SettingsError, Unavailable

PAGE_BYTES: Final = 4096
MIN_BYTES: Final = 512 * 1024


class StorageFailed(Unavailable):
    """The disk took no write: full, or broken. Nothing was accepted; try again later."""


class Database:
    """One connection, shared by threads, to a database of bounded size.

    Args:
        path: of the file; its folder exists.
        max_bytes: what the file and its log may use together, at least 512 KiB.
        schema: SQL that makes the tables where there are none.
        durable: whether a committed transaction survives a power cut (fsync for each).

    Raises:
        Fatal: the file is damaged or not a database.
        SettingsError: `max_bytes` is too small.
    """

    def __init__(self, path: Path, *, max_bytes: int, schema: str, durable: bool) -> None:
        if max_bytes < MIN_BYTES:
            raise SettingsError(f"{path.name}: give it at least {MIN_BYTES} bytes, not {max_bytes}")
        self.path = path
        self.budget_bytes = max_bytes * 3 // 4
        self.largest_write_bytes = max_bytes // 16
        self._lock = threading.RLock()
        try:
            self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(schema, durable)
        except sqlite3.DatabaseError as error:
            raise Fatal(
                f"{path}: not a readable database ({error}); move the file and those beside it ({path.name}-wal, -shm) "
                "out of the folder, and the agent starts anew; what only that file held is lost"
            ) from error

    def _prepare(self, schema: str, durable: bool) -> None:
        self._sql.execute(f"PRAGMA page_size={PAGE_BYTES}")
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._sql.execute(f"PRAGMA wal_autocheckpoint={max(8, self.largest_write_bytes // PAGE_BYTES)}")
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
                raise StorageFailed(f"{self.path}: nothing was written: {error}") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._sql.in_transaction:
            self._sql.execute("ROLLBACK")

    def close(self) -> None:
        """Write the log back and close the file."""
        with self._lock:
            self._sql.close()
