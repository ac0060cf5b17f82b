"""Renumber: what an old copy of an outbox holds under numbers that are taken.

An outbox that was restored from a backup counts on from an old number. Once an
acknowledgement covers numbers that this copy never sent, it is known for such a copy:
its own records with these numbers get new ones, beyond all that Gleaner has.
"""

import sqlite3
from typing import Final

from edge_publisher.gaps import LostRange, declare, forget, read
from edge_publisher.ranges import Ranges

REASON: Final = "outbox_restored"
_AT_ONCE: Final = 64  # records in one transaction, which must not outgrow the log of the database


def renumber(sql: sqlite3.Connection, first: int, last: int) -> int:
    """Give the first of the numbers `first … last` new ones, in one transaction; gives where to go on.

    Each number of the range is that of a record or in a gap. The new ones follow each
    other from the outbox's next one on, so the order stays.
    """
    gap = next((gap for gap in read(sql) if gap.last_seq >= first), None)
    inside = gap is not None and gap.first_seq <= first
    until = min(last, gap.last_seq if gap and inside else first + _AT_ONCE - 1)
    if gap is not None and not inside:
        until = min(until, gap.first_seq - 1)
    start = int(sql.execute("SELECT next_seq FROM state").fetchone()[0])
    if gap is not None and inside:
        forget(sql, ((first, until),))
        declare(sql, LostRange(start, start + until - first, gap.reason, gap.device_time_us))
    else:
        sql.execute("UPDATE records SET seq = seq + ? WHERE seq BETWEEN ? AND ?", (start - first, first, until))
    sql.execute("UPDATE state SET next_seq = ?", (start + until - first + 1,))
    return until + 1


def declare_missing(sql: sqlite3.Connection, holes: Ranges, device_time_us: int) -> None:
    """Declare numbers of the life that is gone: only that life had their records."""
    for first, last in holes:
        declare(sql, LostRange(first, last, REASON, device_time_us))
