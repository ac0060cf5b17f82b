"""Seeds: what dedup must know of records that the log no longer holds, told by the lake.

A log that is read from its first record tells again what became of all that it holds.
Of anything older the lake knows: each of its rows names the records that it settles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from operators.seen import Seen
from pipelines.log import LogReader
from schemas.topics import Up, partition_of, up_topic

Seeds = dict[int, dict[str, dict[str, Seen]]]
"""Log partition → device → stream → what has arrived of it."""

_FIRSTS: Final = """
create or replace temp table firsts (log_partition integer, log_offset bigint, received timestamptz)"""
OLDER: Final = """not exists (
    from firsts f
    where f.log_partition = t.log_partition and t.log_offset >= f.log_offset and t.received >= f.received)"""
_ISLANDS: Final = f"""
with ranges as (
    select device, stream, min(seq) as first_seq, max(seq) as last_seq from (
        select device, stream, seq, seq - row_number() over (partition by device, stream order by seq) as island
        from inferences t where {OLDER})
    group by device, stream, island
    union all
    select device, stream, first_seq, last_seq from rejects t
    where first_seq is not null and reason <> 'fork' and {OLDER}
    union all
    select device, stream, first_seq, last_seq from gaps t where {OLDER}),
marked as (
    select *, max(last_seq) over (partition by device, stream order by first_seq, last_seq
                                  rows between unbounded preceding and 1 preceding) as before from ranges),
joined as (
    select *, count(*) filter (before is null or first_seq > before + 1)
              over (partition by device, stream order by first_seq, last_seq) as island from marked)
select device, stream, min(first_seq) as first_seq, max(last_seq) as last_seq
from joined group by device, stream, island order by device, stream, first_seq"""


@dataclass(frozen=True, slots=True)
class First:
    """The first record that one partition of a log holds: its offset, and when it came (µs since 1970)."""

    partition: int
    offset: int
    received_us: int


def firsts_of(log: Path, partitions: int) -> list[First]:
    """The first record of each partition that has one."""
    found = []
    for partition in range(partitions):
        reader = LogReader(log, partition)
        try:
            first = reader.first()
        finally:
            reader.close()
        if first is not None:
            found.append(First(partition, *first))
    return found


def note_firsts(lake: duckdb.DuckDBPyConnection, firsts: list[First]) -> None:
    """Make the table `firsts` in a connection to the lake, which `OLDER` asks.

    A row is older than the log if its offset is, or if it came before the first record
    did: then it is of an earlier log, whose offsets mean nothing here.
    """
    lake.execute(_FIRSTS)
    for first in firsts:
        values = [first.partition, first.offset, first.received_us]
        lake.execute("insert into firsts values (?, ?, make_timestamptz(?))", values)


def seeds_of(lake: duckdb.DuckDBPyConnection, partitions: int) -> Seeds:
    """What has arrived of each stream before the log's first record.

    Args:
        lake: a connection with `firsts` noted.
        partitions: of the log; each device's streams go to its own.
    """
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for device, stream, first, last in lake.execute(_ISLANDS).fetchall():
        ranges.setdefault((device, stream), []).append((first, last))
    seeds: Seeds = {}
    for (device, stream), each in ranges.items():
        partition = partition_of(up_topic(device, Up.INFERENCES), partitions)
        seeds.setdefault(partition, {}).setdefault(device, {})[stream] = _seen(each)
    return seeds


def _seen(ranges: list[tuple[int, int]]) -> Seen:
    if ranges[0][0] > 0:
        return Seen(-1, tuple(ranges))
    return Seen(ranges[0][1], tuple(ranges[1:]))


def count_streams(seeds: Mapping[int, Mapping[str, Mapping[str, Seen]]]) -> int:
    """How many streams the seeds are of."""
    return sum(len(streams) for devices in seeds.values() for streams in devices.values())
