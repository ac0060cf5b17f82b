"""The demo's report: the lake held against the devices' own ledgers, in SQL."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.demo.plan import BAD_SITE, WINDOW_S, DemoPlan
from pipelines.views import connect

_LEDGER: Final = """
create view ledger as
select device, stream, seq, digest, class_id, label
from read_json('{glob}', format = 'newline_delimited',
     columns = {{device: 'VARCHAR', stream: 'VARCHAR', seq: 'BIGINT',
                 digest: 'VARCHAR', class_id: 'BIGINT', label: 'BIGINT'}})
"""
_SETTLED: Final = """
create view settled as select device, stream, unnest(range(first_seq, last_seq + 1)) as seq from fates
"""
QUESTIONS: Final = (
    (
        "Which sites trust their model less than before?",
        "select site, round(avg(confidence), 3) as mean_confidence, count(*) as inferences\n"
        "from predictions group by site order by 2",
    ),
    (
        "When did what start to alarm?",
        "select cohort, statistic, state, strftime(since, '%H:%M:%S') as since,\n"
        "       strftime(raised_at, '%H:%M:%S') as raised_at\nfrom current_alarms order by raised_at, cohort",
    ),
    (
        "Which digits are worth a label?",
        "select class_id as taken_for, count(*) as samples, round(avg(margin), 2) as mean_margin\n"
        "from labelling where strategy = 'margin' group by 1 order by 2 desc, 1 limit 5",
    ),
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the server's processes and the devices counted.

    Attributes:
        duplicates: inferences that arrived again.
        bytes_published: payload bytes that devices handed to their links.
        bytes_raw: bytes of all raw samples they took.
        seconds: how long the demo took.
    """

    duplicates: int
    bytes_published: int
    bytes_raw: int
    seconds: float


def open_lake(plan: DemoPlan) -> duckdb.DuckDBPyConnection:
    """The lake with the ledgers beside it."""
    connection = connect(plan.lake)
    glob = str(plan.folder / "devices" / "*" / "ledger" / "*.jsonl").replace("'", "''")
    connection.execute(_LEDGER.format(glob=glob))
    connection.execute(_SETTLED)
    return connection


def report(plan: DemoPlan, lake: duckdb.DuckDBPyConnection, start_at: float, totals: Totals) -> dict[str, Any]:
    """What happened, as plain values."""
    alarms = _alarms(lake, start_at + plan.smear_at_s)
    ended = dict(lake.execute("select status, count(*) from current_selections group by 1").fetchall())
    return {
        "accepted": _one(lake, "select count(*) from ledger"),
        "durable": _one(lake, "select count(*) from inferences"),
        "missing": _one(lake, "select count(*) from ledger anti join settled using (device, stream, seq)"),
        "doubled": _one(
            lake,
            "select coalesce(sum(n - 1), 0)::bigint "
            "from (select count(*) as n from settled group by device, stream, seq)",
        ),
        "invented": _one(lake, "select count(*) from settled anti join ledger using (device, stream, seq)"),
        "altered": _one(
            lake,
            "select count(*) from inferences join ledger using (device, stream, seq) "
            "where lower(hex(sample_digest)) <> digest or class_ids[1] <> class_id",
        ),
        "duplicates_removed": totals.duplicates,
        "rejects": dict(lake.execute("select reason, count(*) from rejects group by 1 order by 1").fetchall()),
        "gaps": _one(lake, "select count(*) from gaps"),
        "alarms": alarms,
        "drifted_sites": sorted({alarm["site"] for alarm in alarms}),
        "smeared_site": BAD_SITE,
        "requested": sum(ended.values()),
        "delivered": ended.get("delivered", 0),
        "expired": ended.get("expired", 0),
        "refused": ended.get("refused", 0),
        **_mistakes(lake),
        "bytes_published": totals.bytes_published,
        "bytes_raw": totals.bytes_raw,
        "seconds": round(totals.seconds, 1),
    }


def is_sound(result: dict[str, Any]) -> bool:
    """Whether no accepted inference is missing, doubled, invented or altered."""
    return not any(result[key] for key in ("missing", "doubled", "invented", "altered"))


def _mistakes(lake: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """How often the model was wrong, among what was selected and in the whole fleet."""
    by_strategy = dict(
        lake.execute(
            "select strategy, avg((class_id <> label)::int) from samples "
            "join ledger using (device, stream, seq) group by 1"
        ).fetchall()
    )
    chosen = _one(lake, "select avg((class_id <> label)::int) from samples join ledger using (device, stream, seq)")
    return {
        "mistake_rate_selected": _rounded(chosen),
        "mistake_rate_fleet": _rounded(_one(lake, "select avg((class_id <> label)::int) from ledger")),
        "mistake_rate_by_strategy": {name: _rounded(rate) for name, rate in sorted(by_strategy.items())},
    }


def _alarms(lake: duckdb.DuckDBPyConnection, smeared_at: float) -> list[dict[str, Any]]:
    """Each alarm of a site that stands: the window that raised it, and how many windows after the smear."""
    found = lake.execute(
        "select alarm_id, cohort, statistic, epoch(raised_at) from current_alarms "
        "where state <> 'retracted' and level = 'site' order by 4, 2, 1"
    ).fetchall()
    return [
        {
            "alarm_id": alarm_id,
            "site": site,
            "statistic": statistic,
            "window": int(raised_at - WINDOW_S),
            "delay_windows": _delay(raised_at - WINDOW_S, smeared_at) if site == BAD_SITE else None,
        }
        for alarm_id, site, statistic, raised_at in found
    ]


def _delay(window: float, smeared_at: float) -> int:
    """Windows from the one in which the smear came to the one that alarmed, both included."""
    return int(window // WINDOW_S - smeared_at // WINDOW_S) + 1


def _one(lake: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = lake.execute(query).fetchone()
    return row[0] if row else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)


def next_commands(plan: DemoPlan, config: Path, alarms: Sequence[str]) -> list[str]:
    """What to type here to look further, such as at the first of these alarms."""
    gleaner = "gleaner" if shutil.which("gleaner") else str(shown(Path(sys.executable).parent / "gleaner"))
    command = f"{gleaner} --config {shown(config)}"
    return [
        f"{command} drift",
        *(f"{command} drift explain {alarm}" for alarm in alarms[:1]),
        f"{command} samples --out {shown(plan.folder / 'samples')}",
        f'{command} sql "from current_alarms"',
        f"{command} verify",
        f"{command} status",
    ]


def shown(path: Path) -> Path:
    """The path as one would type it here: relative, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
