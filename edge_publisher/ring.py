"""The ring: the newest raw samples, and for longer those that the model was unsure of.

**What goes first.** Each sample gets, when it is put, a rank:

    rank = arrival + UNSURE_LIVES · held · (1 - margin)

`arrival` counts the samples put, `held` is how many are in the ring now, and
`margin` is the best score less the second best, in [0, 1]. When room is needed,
the sample of lowest rank goes, the older of two equals. So with equal margins the
ring is first in, first out; a sample of margin 0 stays as long as one of margin 1
that came `UNSURE_LIVES` fillings of the ring later; and every sample goes at last,
so old doubts never lock new samples out.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_publisher.storage import PAGE_BYTES, Database

UNSURE_LIVES: Final = 4.0
_SPARE_PAGES: Final = 8
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS samples (
    arrival INTEGER PRIMARY KEY, digest BLOB UNIQUE, rank REAL, content_type TEXT, data BLOB);
CREATE INDEX IF NOT EXISTS samples_by_rank ON samples (rank, arrival);
"""


@dataclass(frozen=True, slots=True)
class RawSample:
    """A raw sample as it is uploaded."""

    data: bytes
    content_type: str


class Ring:
    """Raw samples by SHA-256 digest, in a folder that the outbox has locked.

    A sample is safe from a crash of the agent once `put` returned, and from a power
    cut a little later: a lost one is answered as evicted.

    Args:
        folder: exists.
        max_bytes: what the ring may use of the disk, at every instant.

    Raises:
        Fatal: the file is damaged.
        SettingsError: `max_bytes` is too small.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._db = Database(folder / "ring.sqlite3", max_bytes=max_bytes, schema=_SCHEMA, durable=False)
        with self._db.transaction() as sql:
            self._make_room(sql, 0)
        self._db.shrink()
        newest, self._held = self._db.rows("SELECT max(arrival), count(*) FROM samples")[0]
        self._arrival = newest or 0

    def put(self, digest: bytes, sample: RawSample, margin: float) -> bool:
        """Keep a sample; False where it is larger than the ring takes (a sixteenth of it).

        One that is there already is not written again; it keeps the higher rank.

        Raises:
            StorageFailed: the disk did not take it.
        """
        if len(sample.data) > self._db.largest_write_bytes:
            return False
        arrival = self._arrival + 1
        rank = arrival + UNSURE_LIVES * self._held * (1.0 - margin)
        with self._db.transaction() as sql:
            known = sql.execute("UPDATE samples SET rank = max(rank, ?) WHERE digest = ?", (rank, digest)).rowcount
            if known:
                return True
            evicted = self._make_room(sql, len(sample.data))
            values = (arrival, digest, rank, sample.content_type, sample.data)
            sql.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", values)
        self._arrival, self._held = arrival, self._held + 1 - evicted
        return True

    def get(self, digest: bytes) -> RawSample | None:
        """The sample with this digest; None once it is gone."""
        found = self._db.rows("SELECT data, content_type FROM samples WHERE digest = ?", digest)
        return RawSample(*found[0]) if found else None

    def count(self) -> int:
        """Samples in it."""
        return int(self._held)

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return self._db.used_bytes()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _make_room(self, sql: sqlite3.Connection, need_bytes: int) -> int:
        """Evict until `need_bytes` more fit; gives how many samples went."""
        evicted = 0
        allowed = self._db.budget_bytes - need_bytes - need_bytes // 64 - _SPARE_PAGES * PAGE_BYTES
        while self._db.used_bytes() > allowed:
            lowest = "SELECT arrival FROM samples ORDER BY rank, arrival LIMIT 1"
            if not sql.execute(f"DELETE FROM samples WHERE arrival = ({lowest})").rowcount:  # noqa: S608 (a constant)
                break
            evicted += 1
        return evicted
