"""Reading a partition of the log, around what is damaged.

What can't be read is skipped, and said. Nothing is lost by it: such a record was not
published, so its device was never told that it is durable, and sends it again.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import structlog

from operators.records import Records
from pipelines import metrics
from pipelines.log_file import is_damage, path_of
from schemas.errors import LakeError

TICK: Final = "$tick"
LAST_OFFSET: Final = 2**63 - 1
_READ: Final = (
    'select "offset", received_us, topic, payload from records where "offset" >= ? and "offset" <= ? '
    'order by "offset" limit ?'
)
_STEPS_OF_ONE: Final = 4096
_LOOK_AGAIN_S: Final = 1.0
_RESENT: Final = "devices send again what was not acknowledged to them"
Row = tuple[Any, ...]
log = structlog.get_logger()


class LogReader:
    """One partition, read from any offset; never sees what is not on disk yet."""

    def __init__(self, folder: Path, partition: int) -> None:
        """Open a partition.

        Raises:
            LakeError: it is not there.
        """
        self._path, self._partition = path_of(folder, partition), partition
        if not self._path.exists():
            raise LakeError(f"{folder}: no log here; start `gleaner ingest` first, it creates one")
        self._look_again_s = 0.0
        self._open()

    def read(
        self, after: int, most_records: int, most_bytes: int, through: int = LAST_OFFSET
    ) -> tuple[list[Records], int]:
        """Records behind the offset `after`, up to `through`, cut at ticks, and the offset of the last one."""
        rows, damaged = self._rows(after + 1, through, most_records, most_bytes)
        if not rows and damaged and (behind := self._behind_damage(after + 1, through)):
            after = behind - 1
            rows, _ = self._rows(behind, through, most_records, most_bytes)
        if not rows and self._was_replaced():
            self._file.close()
            self._open()
            rows, _ = self._rows(after + 1, through, most_records, most_bytes)
        return list(_cut(self._partition, rows)), rows[-1][0] if rows else after

    def end(self) -> int:
        """The offset of the last record on disk; 0 in an empty partition.

        Raises:
            LakeError: it is damaged there.
        """
        return int(self._ask('select max("offset") from records')[0] or 0)

    def first(self, after: int = 0) -> tuple[int, int] | None:
        """The offset of the first record that is still here behind `after`, and when it came (µs since 1970).

        Raises:
            LakeError: it is damaged there.
        """
        query = 'select "offset", received_us from records where "offset" > ? order by "offset" limit 1'
        found: tuple[int, int] | None = self._ask(query, after)
        return found

    def last_before(self, received_us: int) -> int:
        """The offset of the last record that came before a time; 0 where none did. Log time never goes back.

        Raises:
            LakeError: it is damaged where one had to look.
        """
        query = 'select received_us from records where "offset" <= ? order by "offset" desc limit 1'
        low, high = 0, self.end()
        while low < high:
            middle = (low + high + 1) // 2
            found = self._ask(query, middle)
            low, high = (middle, high) if found is None or found[0] < received_us else (low, middle - 1)
        return low

    def last_given(self) -> int:
        """The highest offset that a record ever had here, kept or forgotten; 0 before the first.

        Raises:
            LakeError: it is damaged there.
        """
        found = self._ask("select seq from sqlite_sequence where name = 'records'")
        return int(found[0]) if found else 0

    def used_bytes(self) -> int:
        """What it takes on disk: pages in use, and the write-ahead log as long as it is."""
        size, pages, free = (self._ask(f"pragma {name}")[0] for name in ("page_size", "page_count", "freelist_count"))
        wal = Path(f"{self._path}-wal")
        return int(size * (pages - free)) + (wal.stat().st_size if wal.exists() else 0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        uri = f"file:{quote(str(self._path))}?mode=ro"
        self._file = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        self._inode = self._path.stat().st_ino

    def _was_replaced(self) -> bool:
        """Whether the writer has set this file aside and begun another; its offsets go on beyond this one's."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:  # it is about to make the other
            return False

    def _ask(self, query: str, *values: int) -> Any:
        try:
            return self._file.execute(query, values).fetchone()
        except sqlite3.DatabaseError as error:
            raise LakeError(
                f"{self._path}: can't be read: {error}; `gleaner ingest` sets it aside if it is damaged"
            ) from error

    def _rows(self, first: int, last: int, most_records: int, most_bytes: int) -> tuple[list[Row], bool]:
        """Sound rows from an offset on, and whether something that is damaged follows them."""
        rows: list[Row] = []
        size, before = 0, first - 1
        try:
            cursor = self._file.execute(_READ, (first, last, most_records))
            for row in cursor:
                if row[0] <= before or not _is_sound(row):
                    return rows, True
                rows.append(row)
                before = row[0]
                size += len(row[2]) + len(row[3])  # a topic can be as long as a message
                if size >= most_bytes:
                    break
            cursor.close()
        except sqlite3.DatabaseError as error:
            if not (is_damage(error) or "UTF-8" in str(error)):
                raise
            return rows, True
        return rows, False

    def _behind_damage(self, first: int, last: int) -> int | None:
        """The offset of the next sound row; None, for a while without looking, where there is none."""
        if time.monotonic() < self._look_again_s:
            return None
        found = first_sound(lambda offset: self._probe(offset, last), first, last)
        told = log.bind(partition=self._partition, first=first)
        if found is None:
            if not self._look_again_s:
                told.error("the log is damaged, and nothing behind it can be read yet", then=_RESENT)
            self._look_again_s = time.monotonic() + _LOOK_AGAIN_S
            return None
        told.error("messages of the log are damaged and skipped", last=found - 1, then=_RESENT)
        metrics.LOG_SKIPPED.inc(found - first)
        self._look_again_s = 0.0
        return found

    def _probe(self, offset: int, last: int) -> int | None:
        """The offset of the first row from here on, 0 where none follows, None where it is damaged."""
        rows, damaged = self._rows(offset, last, 1, 1)
        return rows[0][0] if rows else None if damaged else 0


def first_sound(probe: Callable[[int], int | None], first: int, last: int) -> int | None:
    """The offset of the first row behind a damaged one; None where no row follows.

    Looks at each offset for a while, then ever further ahead and back by halves, since a
    damaged page can hide many. Where pages are damaged here and there, a sound stretch
    between them may be passed over, but only beyond the first few thousand offsets.

    Args:
        probe: the offset of the first row from an offset on, 0 where none follows, None where it is damaged.
        first: an offset that is damaged.
        last: the highest to look at.
    """
    low, step = first, 1
    while low < last:
        high = min(last, low + step)
        found = probe(high)
        if found is not None:
            return _bisect(probe, low, high, found) or None
        low = high
        step = 1 if high - first < _STEPS_OF_ONE else step * 2
    return None


def _bisect(probe: Callable[[int], int | None], low: int, high: int, found: int) -> int:
    """What `probe` gives at the first offset above `low`, which is damaged, where it gives something."""
    while high - low > 1:
        middle = (low + high) // 2
        there = probe(middle)
        if there is None:
            low = middle
        else:
            high, found = middle, there
    return found


def _is_sound(row: Row) -> bool:
    return type(row[1]) is int and type(row[2]) is str and type(row[3]) is bytes


def _cut(partition: int, rows: Sequence[Row]) -> Iterator[Records]:
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
