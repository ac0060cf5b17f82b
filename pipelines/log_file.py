"""One partition of the log, as its one writer has it: an SQLite file in WAL mode with `synchronous=FULL`."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipelines.durable import sync
from schemas.errors import LakeError, Unavailable

_CREATE: Final = """
create table if not exists records (
    "offset" integer primary key autoincrement,
    received_us integer not null,
    topic text not null,
    properties text,
    payload blob not null
)"""
_INSERT: Final = "insert into records (received_us, topic, properties, payload) values (?, ?, ?, ?)"
_FORGET: Final = (
    'delete from records where "offset" in (select "offset" from records '
    'where "offset" <= ? and received_us < ? order by "offset" limit ?)'
)
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DamagedError(Exception):
    """The file can't be used as it is."""


class LogFile:
    """The writer of one partition.

    Attributes:
        last_us: receive time of the newest record, µs since 1970; 0 without one.
        last_given: the highest offset that a record had when the file was opened, kept or forgotten.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            DamagedError: it is there and SQLite can't make sense of it.
            LakeError: it can't be opened or made.
        """
        self._path, self._suspect = path, False
        try:
            self._file = _open(path)
            self.last_us = _last_us(self._file)
            self.last_given = _last_given(self._file)
        except sqlite3.Error as error:
            if is_damage(error):
                raise DamagedError(str(error)) from error
            raise LakeError(f"{path}: not a partition of a log, or not writable: {error}") from error

    def skip_to(self, offset: int) -> None:
        """Give no offset up to this one to any record from now on."""
        with self._using("the log takes no records now") as file, file:
            file.execute("begin immediate")
            file.execute("delete from sqlite_sequence where name = 'records'")
            file.execute("insert into sqlite_sequence (name, seq) values ('records', ?)", (offset,))
        self.last_given = offset

    def insert(self, now_us: int, messages: Iterable[tuple[str, str | None, bytes]]) -> None:
        """Put messages on disk, in their order; durable on return.

        Args:
            now_us: when they came; a clock that went back is held at the last time.
            messages: topic, properties and payload of each.

        Raises:
            Unavailable: the disk is full, or fails; nothing of it counts as written.
            DamagedError: the file can't be used any more.
        """
        received = max(now_us, self.last_us)
        with self._using("the log takes no records now") as file, file:
            file.execute("begin immediate")
            file.executemany(_INSERT, ((received, *message) for message in messages))
        self.last_us = received

    def forget(self, through: int, before_us: int, most: int) -> int:
        """Forget records, the oldest first; how many went.

        Args:
            through: none with a higher offset.
            before_us: none that came at this time or later.
            most: how many at once.

        Raises:
            Unavailable, DamagedError: as for `insert`.
        """
        with self._using("nothing of the log can be forgotten now") as file, file:
            return file.execute(_FORGET, (through, before_us, most)).rowcount

    def oldest(self) -> tuple[int, int] | None:
        """Offset and receive time of the oldest record, if there is one."""
        query = 'select "offset", received_us from records order by "offset" limit 1'
        with self._using("the log can't be read now") as file:
            found: tuple[int, int] | None = file.execute(query).fetchone()
        return found

    def used_bytes(self) -> int:
        """What it takes on disk: pages in use, and the write-ahead log as long as it is."""
        with self._using("the log can't be measured now") as file:
            size, pages, free = (
                file.execute(f"pragma {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
            )
        wal = Path(f"{self._path}-wal")
        return int(size * (pages - free)) + (wal.stat().st_size if wal.exists() else 0)

    def settle(self) -> bool:
        """Move the write-ahead log into the file, synced, and cut it; whether no reader was in the way."""
        with self._using("the log can't be written now") as file:
            return _settled(file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _using(self, what: str) -> Iterator[sqlite3.Connection]:
        """The file, opened anew after a failed write; `what` begins the text of an `Unavailable`."""
        try:
            if self._suspect:
                self._open_again()
            yield self._file
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise DamagedError(str(error)) from error
            if not isinstance(error, sqlite3.OperationalError):
                raise
            self._suspect = self._suspect or _kind(error) == sqlite3.SQLITE_IOERR
            raise Unavailable(f"{what}: {error}; is there room on its disk, and is it sound?") from error

    def _open_again(self) -> None:
        """Open the file after a write or a sync failed.

        What the system could not sync it may show as written all the same, until it starts again. So nothing is
        appended behind it: all that can be seen is written once more and synced before anything else is.
        """
        self._file.close()
        self._file = _open(self._path)
        if not _settled(self._file):
            raise Unavailable("the log's disk failed, and a reader is in the way of writing it once more")
        self.last_us, self._suspect = _last_us(self._file), False


def is_damage(error: sqlite3.Error) -> bool:
    """Whether this says that the file itself is broken."""
    return _kind(error) in _DAMAGE


def path_of(folder: Path, partition: int) -> Path:
    """Where a partition of the log in `folder` is."""
    return folder / f"{partition:03d}.sqlite"


def set_aside(path: Path) -> Path:
    """Give a damaged file, and what SQLite keeps beside it, a name under which nobody looks; that name."""
    number = 1
    while (aside := Path(f"{path}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        if (beside := Path(f"{path}{suffix}")).exists():
            beside.replace(f"{aside}{suffix}")
    sync(path.parent)
    return aside


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("pragma journal_mode=wal", "pragma synchronous=full", _CREATE):
            file.execute(statement)
    except sqlite3.Error:
        file.close()
        raise
    return file


def _settled(file: sqlite3.Connection) -> bool:
    return not file.execute("pragma wal_checkpoint(truncate)").fetchone()[0]


def _last_us(file: sqlite3.Connection) -> int:
    (last,) = file.execute('select received_us from records order by "offset" desc limit 1').fetchone() or (0,)
    return int(last)


def _last_given(file: sqlite3.Connection) -> int:
    found: tuple[Any] | None = file.execute("select seq from sqlite_sequence where name = 'records'").fetchone()
    return int(found[0]) if found else 0


def _kind(error: sqlite3.Error) -> int:
    """The kind of an error, without its details; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
