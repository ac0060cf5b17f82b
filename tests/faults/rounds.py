"""A run: rounds of faults in one world after the other, each healed, at rest and checked now and then."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.check import Verdict
from tests.faults.nemesis import Nemesis
from tests.faults.rest import frozen, judge
from tests.faults.stores import store_of
from tests.faults.talk import say
from tests.faults.world import World

CHECK_EVERY: Final = 25
_CHECKS_OF_A_WORLD: Final = 2
_FREEZE_EVERY: Final = 10


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        rounds: that were played.
        findings: kind → what is wrong.
        counts: of records, duplicates and so on, over all worlds.
        hit: the fail points that were hit.
        kept: folders of the worlds in which something was found.
    """

    rounds: int = 0
    findings: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    hit: set[str] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict, where: str) -> None:
        """Take up the findings of a check."""
        for kind, texts in verdict.findings.items():
            self.findings.setdefault(kind, []).extend(f"{where}: {text}" for text in texts)


def play(rounds: int, seed: int, kind: str, nemesis: Nemesis, outcome: Outcome) -> None:
    """Play rounds until there were enough, or something was found; `outcome` says what came of them."""
    while outcome.rounds < rounds and not outcome.findings:
        root = Path(tempfile.mkdtemp(prefix="faults-"))
        try:
            _live(root, min(rounds - outcome.rounds, CHECK_EVERY * _CHECKS_OF_A_WORLD), seed, kind, nemesis, outcome)
        finally:
            if outcome.findings:
                outcome.kept.append(str(root))
            else:
                shutil.rmtree(root, ignore_errors=True)


def _live(root: Path, rounds: int, seed: int, kind: str, nemesis: Nemesis, outcome: Outcome) -> None:
    """The life of one world, to its last round or to the first finding."""
    with World(root, seed + outcome.rounds, store_of(kind, root)) as world:
        for played in range(1, rounds + 1):
            told = nemesis.round(world, outcome.rounds)
            outcome.rounds += 1
            say(f"round {outcome.rounds}: {told}")
            verdict = _look(world, played, last=played == rounds)
            outcome.add(verdict, f"round {outcome.rounds}")
            if verdict.findings:
                break
        outcome.counts += verdict.counts
        outcome.hit |= set(world.hits())


def _look(world: World, played: int, *, last: bool) -> Verdict:
    """Check the world at rest, or frozen, if it is time for either."""
    if last or played % CHECK_EVERY == 0:
        verdict = judge(world)
        say(f"checked: {dict(verdict.counts)} {verdict.told() or 'sound'}")
        world.quiet(False)
        return verdict
    return frozen(world) if played % _FREEZE_EVERY == 0 else Verdict()
