"""What the lake says became of each record, in tables of our own that are asked quickly."""

from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from schemas.tables import TABLES

_LONGEST: Final = 5_000_000
_COPIED: Final = {
    "inf": "select device, stream, seq, sample_digest as digest, sample_bytes, device_time from inferences",
    "rej": "select device, stream, first_seq, last_seq, reason, payload, log_partition, log_offset from rejects",
    "gap": "select device, stream, first_seq, last_seq, reason from gaps",
}
_NUMBERS: Final = f"""
create table fate as
select device, stream, seq, 'inference' as fate from inf
union all
select device, stream, unnest(range(first_seq, least(last_seq, first_seq + {_LONGEST}) + 1)), 'reject'
from rej where first_seq is not null and reason <> 'fork'
union all
select device, stream, unnest(range(first_seq, least(last_seq, first_seq + {_LONGEST}) + 1)), 'gap' from gap"""
Numbers = dict[tuple[str, str], set[int]]


@dataclass(slots=True)
class Fates:
    """The lake, copied into memory once.

    Attributes:
        sql: a connection in which `inf`, `rej`, `gap` and `fate` (one row for each number) are tables.
        settled: (device, stream) → numbers that have a fate.
    """

    sql: duckdb.DuckDBPyConnection
    settled: Numbers = field(default_factory=dict)

    @classmethod
    def of(cls, lake: duckdb.DuckDBPyConnection) -> "Fates":
        """Copy what a connection to the lake gives."""
        for name, query in _COPIED.items():
            lake.execute(f"create table {name} as {query}")
        lake.execute(_NUMBERS)
        made = cls(lake)
        for device, stream, seqs in made.ask("select device, stream, list(seq) from fate group by all"):
            made.settled[device, stream] = set(seqs)
        return made

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The answer."""
        return self.sql.execute(query).fetchall()

    def count(self, query: str) -> int:
        """The one number that is the answer."""
        return int(self.ask(query)[0][0] or 0)

    def repeated_keys(self) -> list[str]:
        """Rows of any table that are there more than once, by its natural key."""
        found = []
        for table in TABLES.values():
            key = ", ".join(table.key)
            rows = self.ask(f"select {key}, count(*) from {table.name} group by all having count(*) > 1")
            found += [f"{table.name} {row}" for row in rows]
        return found
