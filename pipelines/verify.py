"""Verify: whether every record has exactly one fate, asked of the lake alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from pipelines.views import columns_of

_SETTLED: Final = """
create or replace temp table settled as
select device, stream, first_seq, last_seq, fate, received,
       max(last_seq) over (partition by device, stream order by first_seq, last_seq
                           rows between unbounded preceding and 1 preceding) as before
from fates"""
_RANGE: Final = "received between coalesce($since, received) and coalesce($until, received)"
_HOLES: Final = f"""
select device, stream, coalesce(before, -1) + 1 as first_seq, first_seq - 1 as last_seq, received as noticed
from settled where first_seq > coalesce(before, -1) + 1 and {_RANGE}
and received <= (select max(received) from settled) - to_microseconds($settle_us)
order by noticed, device"""
_DOUBLED: Final = f"""
select device, stream, first_seq, least(last_seq, before) as last_seq, fate
from settled where first_seq <= before and {_RANGE} order by device, stream, first_seq"""
_COUNTS: Final = f"""
select fate, coalesce(reason, '') as reason, sum(last_seq - first_seq + 1)::bigint as records
from fates where {_RANGE} group by all order by all"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the lake says of the records of a stretch of time.

    Attributes:
        inferences: rows.
        rejects, gaps: records by reason.
        holes: ranges that have no fate, though later records of their stream have had one for long.
        doubled: ranges that have more than one.
    """

    inferences: int
    rejects: dict[str, int]
    gaps: dict[str, int]
    holes: list[dict[str, Any]]
    doubled: list[dict[str, Any]]

    @property
    def sound(self) -> bool:
        """Whether there is nothing to look into: declared gaps and rejects are fates."""
        return not (self.holes or self.doubled)


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
    lake.execute(_SETTLED)
    of = {"since": since, "until": until}
    counts = lake.execute(_COUNTS, of).fetchall()
    holes = _rows(lake.execute(_HOLES, of | {"settle_us": settle // timedelta(microseconds=1)}))
    return Verdict(
        inferences=sum(records for fate, _, records in counts if fate == "inference"),
        rejects={reason: records for fate, reason, records in counts if fate == "reject"},
        gaps={reason: records for fate, reason, records in counts if fate == "gap"},
        holes=holes,
        doubled=_rows(lake.execute(_DOUBLED, of)),
    )


def _rows(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = columns_of(result)
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
