"""Mutants and their controls: the check must find each thing that is broken, and nothing where nothing is."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults import scenarios
from tests.faults.check import Verdict
from tests.faults.rest import judge
from tests.faults.sabotage import BREAKS
from tests.faults.scenarios import Scenario, dies_at
from tests.faults.stores import store_of
from tests.faults.talk import say
from tests.faults.world import World

AT_ONCE: Final = 2
_PATIENCE_S: Final = 10.0
_SEED: Final = 7
_BETWEEN: Final = dies_at("acks.before", "acks.before")
_UNPUBLISHED: Final = dies_at("put.before")
_SCENARIOS: Final[dict[str, Scenario]] = {
    "log-forgets-messages": scenarios.calm,
    "puback-before-log": scenarios.ingest_killed,
    "drops-rows": scenarios.calm,
    "alters-digests": scenarios.calm,
    "alters-samples": scenarios.calm,
    "swallows-rejects": scenarios.calm,
    "swallows-gaps": scenarios.broker_away,
    "ends-nothing": scenarios.calm,
    "rolls-back-committed": _UNPUBLISHED,
    "publishes-uncommitted": dies_at("sink.snapshot.after", "sink.snapshot.after"),
    "acks-before-durable": scenarios.store_slow,
    "claims-more": scenarios.calm,
    "admits-repeats": scenarios.resends,
    "forgets-what-arrived": _BETWEEN,
    "swaps-devices": scenarios.calm,
    "skips-records": _BETWEEN,
    "reads-again": _BETWEEN,
    "heals-without-filter": scenarios.recovery_lost,
    "names-by-life": dies_at("mark.before", "mark.before"),
    "frees-when-sent": scenarios.broker_wiped,
    "reuses-stream": scenarios.outbox_wiped,
    "sheds-silently": scenarios.broker_away,
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What the check said of a world that was broken on purpose, or, without a mutant, was not."""

    mutant: str
    scenario: Scenario
    verdict: Verdict


def try_all(names: Sequence[str] = tuple(BREAKS), *, with_controls: bool = True) -> list[Tried]:
    """A short world for each mutant, and one without a mutant for each thing that these worlds go through."""
    controls = dict.fromkeys(_SCENARIOS[name] for name in names) if with_controls else {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pairs = [*((name, _SCENARIOS[name]) for name in names), *(("", scenario) for scenario in controls)]
        return list(pool.map(lambda pair: attempt(*pair), pairs))


def attempt(mutant: str, scenario: Scenario) -> Tried:
    """One world, from its start to the check."""
    root = Path(tempfile.mkdtemp(prefix="mutant-"))
    try:
        with World(root, _SEED, store_of("folder", root), mutant, with_disks=False) as world:
            verdict = scenario(world)
            for kind, texts in judge(world, _PATIENCE_S if mutant else 60.0, asks_verify=not mutant).findings.items():
                verdict.found(kind, texts)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    name = mutant or "control"
    say(f"{name} ({getattr(scenario, '__name__', '')}): {verdict.told() or 'sound'}"[:400])
    return Tried(mutant, scenario, verdict)


def missed(tried: Iterable[Tried]) -> list[str]:
    """The mutants that were not caught."""
    return [each.mutant for each in tried if each.mutant and not each.verdict.findings]


def false_alarms(tried: Iterable[Tried]) -> list[str]:
    """What was found where nothing was broken."""
    return [each.verdict.told() for each in tried if not each.mutant and each.verdict.findings]
