"""Gaps: the numbers that an outbox gave up, until Gleaner knows of them.

A gap takes a few bytes, and there are never more than `MAX_GAPS` without a record
between them: then two of them become one. The numbers between these two were
acknowledged, and Gleaner leaves out of a gap what it has already.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge_publisher.ranges import Ranges, runs, size, without

MAX_GAPS: Final = 512
TABLE: Final = """
CREATE TABLE IF NOT EXISTS gaps (first_seq INTEGER PRIMARY KEY, last_seq INTEGER, reason TEXT, device_time INTEGER);
"""
_NEIGHBOURS: Final = """
SELECT first_seq, next_first, next_last FROM (
    SELECT first_seq, last_seq, reason, lead(first_seq) OVER later AS next_first,
           lead(last_seq) OVER later AS next_last, lead(reason) OVER later AS next_reason
    FROM gaps WINDOW later AS (ORDER BY first_seq))
WHERE next_first IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM records WHERE seq BETWEEN last_seq + 1 AND next_first - 1)
ORDER BY reason <> next_reason, next_first - last_seq LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Numbers that were given up, both ends included, and why; time in µs since 1970."""

    first_seq: int
    last_seq: int
    reason: str
    device_time_us: int


def lose(sql: sqlite3.Connection, seqs: Iterable[int], reason: str, device_time_us: int) -> None:
    """Delete records and declare their numbers."""
    for first, last in runs(seqs):
        sql.execute("DELETE FROM records WHERE seq BETWEEN ? AND ?", (first, last))
        declare(sql, LostRange(first, last, reason, device_time_us))


def declare(sql: sqlite3.Connection, gap: LostRange) -> None:
    """Add a gap, joined to the one just before where it has the same reason."""
    grown = sql.execute(
        "UPDATE gaps SET last_seq = ?, device_time = ? WHERE last_seq = ? AND reason = ?",
        (gap.last_seq, gap.device_time_us, gap.first_seq - 1, gap.reason),
    )
    if grown.rowcount:
        return
    _insert(sql, gap)
    while sql.execute("SELECT count(*) FROM gaps").fetchone()[0] > MAX_GAPS and _join_two(sql):
        pass


def read(sql: sqlite3.Connection) -> list[LostRange]:
    """All gaps, in order."""
    return [LostRange(*row) for row in sql.execute("SELECT * FROM gaps ORDER BY first_seq")]


def forget(sql: sqlite3.Connection, durable: Ranges) -> int:
    """Take numbers out of the gaps; gives how many were in one."""
    forgotten = 0
    for gap in read(sql):
        whole = (gap.first_seq, gap.last_seq)
        left = without([whole], durable)
        if left == (whole,):
            continue
        sql.execute("DELETE FROM gaps WHERE first_seq = ?", (gap.first_seq,))
        for first, last in left:
            _insert(sql, LostRange(first, last, gap.reason, gap.device_time_us))
        forgotten += size(whole) - sum(map(size, left))
    return forgotten


def _insert(sql: sqlite3.Connection, gap: LostRange) -> None:
    values = (gap.first_seq, gap.last_seq, gap.reason, gap.device_time_us)
    sql.execute("INSERT INTO gaps VALUES (?, ?, ?, ?)", values)


def _join_two(sql: sqlite3.Connection) -> bool:
    """Make one gap of the two that lie next to each other, with no record between; False where there are none."""
    found = sql.execute(_NEIGHBOURS).fetchone()
    if found is None:
        return False
    first, second, last = found
    sql.execute("DELETE FROM gaps WHERE first_seq = ?", (second,))
    sql.execute("UPDATE gaps SET last_seq = ? WHERE first_seq = ?", (last, first))
    return True
