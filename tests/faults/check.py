"""The ledger check: what the devices wrote down against what the lake, the log and the acknowledgements say."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipelines.place import Place
from pipelines.views import connect
from tests.faults import ledger, received
from tests.faults.acks import dishonest
from tests.faults.fates import Fates
from tests.faults.ledger import ACCEPTED, Told
from tests.faults.queries import FINDINGS, LOST
from tests.faults.received import Received
from tests.faults.samples import raw_sample
from tests.faults.selections import unsound_selections

_EXAMPLES = 8


@dataclass(slots=True)
class Verdict:
    """What the check found.

    Attributes:
        findings: kind → what is wrong, one text each; empty where every promise is kept.
        counts: how much there was, so that a run in which nothing happened is seen to be one.
    """

    findings: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def found(self, kind: str, texts: Iterable[str]) -> None:
        """Note findings of a kind."""
        more = list(texts)
        if more:
            self.findings.setdefault(kind, []).extend(more)

    def told(self) -> str:
        """All findings, a few of each kind by name."""
        return "\n".join(
            f"{kind}: {len(texts)}: {'; '.join(texts[:_EXAMPLES])}" for kind, texts in sorted(self.findings.items())
        )


def check(ledgers: Path, acks: Path, log: Path, lake: Place, seed: int) -> Verdict:
    """Hold everything against everything else.

    Args:
        ledgers: folder of what the devices wrote before and after each hand-over.
        acks: folder of what the devices heard.
        log: folder of the log.
        lake: where the tables are.
        seed: of what the devices observed.
    """
    verdict = Verdict()
    came = received.read(log)  # before the lake is: what comes later needs not be there
    with connect(lake) as connection:
        fates = Fates.of(connection)
        told = ledger.read(ledgers, seed)
        _register(fates, told, seed)
        _records(verdict, fates, told)
        _log(verdict, fates, came)
        verdict.found("ledger_damaged", told.damaged)
        verdict.found("repeated", fates.repeated_keys())
        verdict.found("ack_before_durable", dishonest(acks, fates.settled, told.forked))
        for kind, texts in unsound_selections(fates).items():
            verdict.found(kind, texts)
        _count(verdict, fates, told, came)
    return verdict


def _register(fates: Fates, told: Told, seed: int) -> None:
    """The ledger as a table `led`."""
    entries = told.entries
    columns = {
        "device": [e.device for e in entries],
        "n": [e.n for e in entries],
        "digest": pa.array([e.digest for e in entries], pa.binary()),
        "outcome": [e.outcome for e in entries],
        "stream": pa.array([e.stream for e in entries], pa.string()),
        "seq": pa.array([e.seq for e in entries], pa.int64()),
        "time": pa.array([e.time for e in entries], pa.timestamp("us", tz="UTC")),
        "size": [len(raw_sample(seed, e.device, e.n)) for e in entries],
        "excused": [e.excused for e in entries],
        "by_digest": [e.by_digest for e in entries],
    }
    fates.sql.register("led_told", pa.table(columns))
    fates.sql.execute("create table led as from led_told")


def _records(verdict: Verdict, fates: Fates, told: Told) -> None:
    """Each accepted record has one fate, and is what was accepted; nothing else is there."""
    held = _held_by_forks(fates)
    verdict.found("lost", (text for text, digest in fates.ask(LOST) if digest not in held))
    for kind, queries in FINDINGS.items():
        for query in queries:
            verdict.found(kind, (text for (text,) in fates.ask(query)))
    gaps = fates.ask("select device, first_seq, last_seq, reason from gap where device in (select device from led)")
    explained = told.may_shed | told.forked
    verdict.found("gap_unexplained", (f"{gap}" for gap in gaps if gap[0] not in explained))


def _held_by_forks(fates: Fates) -> set[bytes]:
    """Digests that lie in the payload of a message that was set aside as a fork."""
    forks = "select payload from rej where reason = 'fork' and payload is not null"
    payloads = [payload for (payload,) in fates.ask(forks)]
    suspects = [digest for (digest,) in fates.ask("select digest from led where by_digest")] if payloads else []
    return {digest for digest in suspects if any(digest in payload for payload in payloads)}


def _log(verdict: Verdict, fates: Fates, came: Received) -> None:
    """All that the log holds is in the lake: readable records with their fate, the rest as rejects."""
    for (device, stream), numbers in came.numbers().items():
        missing = numbers - fates.settled.get((device, stream), set())
        if missing:
            verdict.found("logged_but_lost", [f"{device}/{stream[:8]}: {len(missing)} records, {min(missing)} first"])
    kept = set(fates.ask("select log_partition, log_offset from rej"))
    verdict.found("reject_missing", (f"{place}" for place in came.unreadable if place not in kept))


def _count(verdict: Verdict, fates: Fates, told: Told, came: Received) -> None:
    counts = verdict.counts
    counts["records"] = sum(entry.outcome == ACCEPTED for entry in told.entries)
    counts["duplicates_removed"] = came.duplicates()
    counts["gaps"] = fates.count("select sum(last_seq - first_seq + 1) from gap")
    counts["rejects"] = fates.count("select count(*) from rej")
    counts["forks"] = fates.count("select count(*) from rej where reason = 'fork'")
    counts["samples"] = fates.count("select count(*) from samples")
    counts["drift"] = fates.count("select count(*) from drift")
