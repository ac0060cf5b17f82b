"""Verify: whether every record has one fate, no row is there twice and alarms are told in order, asked of the lake."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from pipelines.views import rows_of
from schemas.tables import TABLES, Table

# 1,024 numbers of a stream are looked at as one. A bit for each says exactly which are there, and the count whether one
# is there twice: only then are the rows of these 1,024 looked at.
_BLOCKS: Final = """
create or replace temp table blocks as
select device, stream, seq // 1024 as block, count(*) as rows, min(seq) as first_seq, max(seq) as last_seq,
       bitstring_agg((seq % 1024)::integer, 0, 1023) as bits, min(received) as earliest, max(received) as latest
from inferences group by device, stream, block"""
_RUNS: Final = """
create or replace temp table runs as
with cuts as (  -- the numbers that are missing, and those before the first and after the last
    select *, [first_seq - 1] || case when rows > last_seq - first_seq then []
        else list_filter(range(first_seq, last_seq + 1), lambda n: get_bit(bits, (n % 1024)::integer) = 0) end
        || [last_seq + 1] as cut
    from blocks where bit_count(bits) = rows),
pairs as (
    select *, unnest(list_transform(range(1, len(cut)), lambda k: {'first': cut[k] + 1, 'last': cut[k + 1] - 1})) as run
    from cuts)
select device, stream, run.first as first_seq, run.last as last_seq, 'inference' as fate, earliest, latest
from pairs where run.first <= run.last
union all
select device, stream, seq, seq, 'inference', received, received
from inferences i semi join (from blocks where bit_count(bits) < rows) b
on i.device = b.device and i.stream = b.stream and i.seq // 1024 = b.block
union all
select device, stream, first_seq, last_seq, fate, received, received from fates where fate <> 'inference'"""
_SETTLED: Final = """
create or replace temp table settled as
select *, max(last_seq) over (partition by device, stream order by first_seq, last_seq
                              rows between unbounded preceding and 1 preceding) as before from runs"""
_HOLES: Final = """
with open as (
    select device, stream, coalesce(before, -1) + 1 as first_seq, first_seq - 1 as last_seq, latest
    from settled where first_seq > coalesce(before, -1) + 1),
told as (  -- when the record after the hole came
    select o.device, o.stream, o.first_seq, o.last_seq, coalesce(min(i.received), any_value(o.latest)) as noticed
    from open o left join inferences i on i.device = o.device and i.stream = o.stream and i.seq = o.last_seq + 1
    group by all)
from told where noticed between coalesce($since, noticed) and coalesce($until, noticed)
and noticed <= (select max(latest) from settled) - to_microseconds($settle_us)
order by noticed, device, stream, first_seq"""
_DOUBLED: Final = """
select device, stream, first_seq, least(last_seq, before) as last_seq, fate
from settled where first_seq <= before
and latest >= coalesce($since, latest) and earliest <= coalesce($until, earliest)
order by device, stream, first_seq"""
_RANGE: Final = "{time} between coalesce($since, {time}) and coalesce($until, {time})"
_RECEIVED: Final = _RANGE.format(time="received")
_COUNTS: Final = f"""
select 'inference' as fate, '' as reason, count(*) as records from inferences where {_RECEIVED}
union all
select fate, coalesce(reason, ''), sum(last_seq - first_seq + 1)::bigint from fates
where fate <> 'inference' and {_RECEIVED} group by fate, reason
union all
select 'unread', reason, count(*) from rejects where first_seq is null and {_RECEIVED} group by reason
order by all"""
_FORKS: Final = f"""
select device, stream, first_seq, last_seq, received
from rejects where reason = 'fork' and {_RECEIVED} order by device, stream, first_seq, received"""
_REPEATED: Final = """
select {key}, count(*) as rows from {table} where {range} group by {key} having count(*) > 1 order by {key}"""
# A revision that is missing, or that the one before it can't lead to. An alarm may begin as `cleared`, where it became
# known when it was over. A lake that a replay made of a stretch of time begins in the midst of some.
_MISTOLD: Final = f"""
with told as (
    select alarm_id, revision, state, changed, cleared_at, since,
           lag(revision) over w as before, lag(state) over w as was, lag(changed) over w as earlier
    from alarms window w as (partition by alarm_id order by revision)),
judged as (
    select alarm_id, revision, state, changed, case
        when state not in ('raised', 'confirmed', 'retracted', 'cleared') then 'no such state'
        when before is null and revision > 0 and since >= (select min(received) from inferences)
        then 'the first revision is missing'
        when revision <> before + 1 then 'revisions are missing before it'
        when before is null and revision = 0 and state = 'retracted' then 'taken back before it was raised'
        when was = 'confirmed' and state = 'raised' then 'confirmed before'
        when was = 'retracted' and state = 'retracted' then 'taken back twice'
        when changed < earlier then 'told before the revision before it'
        when state = 'cleared' and cleared_at is null then 'cleared at no time'
        when state in ('raised', 'confirmed') and cleared_at is not null then 'open and cleared'
        end as why
    from told)
select * from judged where why is not null and {_RANGE.format(time="changed")} order by alarm_id, revision"""
_TIMES: Final = ("received", "changed", "window_start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the lake says of a stretch of time.

    Attributes:
        inferences: rows.
        rejects, gaps: records by reason.
        unread: rejected messages that name no record, by reason.
        holes: ranges that have no fate, though later records of their stream have had one for long.
        doubled: ranges that have more than one.
        forks: ranges whose numbers other records had first.
        repeated: keys that several rows of a table have, with `table` and how many `rows`.
        mistold: revisions of alarms that do not follow from the one before, with `why`.
    """

    inferences: int
    rejects: dict[str, int]
    gaps: dict[str, int]
    unread: dict[str, int]
    holes: list[dict[str, Any]]
    doubled: list[dict[str, Any]]
    forks: list[dict[str, Any]]
    repeated: list[dict[str, Any]]
    mistold: list[dict[str, Any]]

    @property
    def sound(self) -> bool:
        """Whether there is nothing to look into: declared gaps and rejects are fates."""
        return not (self.holes or self.doubled or self.forks or self.repeated or self.mistold)


def verify(
    lake: duckdb.DuckDBPyConnection,
    since: datetime | None = None,
    until: datetime | None = None,
    settle: timedelta = timedelta(minutes=10),
) -> Verdict:
    """Hold the lake to its promise of one fate for each record.

    Args:
        lake: as `pipelines.views.connect` gives it.
        since: only records received from then on; repeats and holes are found against the whole lake.
        until: only records received up to then.
        settle: how long a hole may stay open, against the newest row: records travel out of order.
    """
    for step in (_BLOCKS, _RUNS, _SETTLED):
        lake.execute(step)
    of = {"since": since, "until": until}
    counts = lake.execute(_COUNTS, of).fetchall()

    def by_reason(fate: str) -> dict[str, int]:
        return {reason: records for each, reason, records in counts if each == fate}

    return Verdict(
        inferences=by_reason("inference")[""],
        rejects=by_reason("reject"),
        gaps=by_reason("gap"),
        unread=by_reason("unread"),
        holes=rows_of(lake.execute(_HOLES, of | {"settle_us": settle // timedelta(microseconds=1)})),
        doubled=rows_of(lake.execute(_DOUBLED, of)),
        forks=rows_of(lake.execute(_FORKS, of)),
        repeated=[row for table in TABLES.values() if table.name != "inferences" for row in _repeated(lake, table, of)],
        mistold=rows_of(lake.execute(_MISTOLD, of)),
    )


def _repeated(lake: duckdb.DuckDBPyConnection, table: Table, of: dict[str, Any]) -> list[dict[str, Any]]:
    """The keys that several rows have. A log that was begun anew counts its offsets from the first again."""
    time = next(name for name in _TIMES if name in table.schema.names)
    key = (*table.key, "received") if "log_offset" in table.key else table.key
    query = _REPEATED.format(key=", ".join(key), table=table.name, range=_RANGE.format(time=time))
    return [{"table": table.name, **row} for row in rows_of(lake.execute(query, of))]
