"""The last word of a run, as one object, and whether it is a good one."""

from collections.abc import Iterable
from typing import Any, Final

from tests.faults import disks, fail_points, mutants
from tests.faults.mutants import Tried
from tests.faults.nemesis import Nemesis
from tests.faults.rounds import Outcome

_BROKEN: Final = ("lost", "doubled", "invented", "altered")
_NEVER_NONE: Final = ("duplicates_removed", "gaps", "rejects")
_EXAMPLES: Final = 10
_ENOUGH_TRIES: Final = 4
_ENOUGH_ROUNDS: Final = 300
"""In fewer rounds not each point has its turn: one that was hardly armed is no finding."""


def summary(
    nemesis: Nemesis, outcome: Outcome, tried: list[Tried], *, seed: int, store: str, seconds: float
) -> dict[str, Any]:
    """What happened, in numbers and names.

    Args:
        nemesis: what it did.
        outcome: what came of it.
        tried: mutants and their controls; none, if they were left out.
        seed, store: as they were given.
        seconds: it took.
    """
    findings = outcome.findings
    unhit = _unhit(nemesis, outcome, store)
    untried = {} if outcome.rounds >= _ENOUGH_ROUNDS else {p: n for p, n in unhit.items() if n < _ENOUGH_TRIES}
    alarms = mutants.false_alarms(tried)
    missed = mutants.missed(tried)
    return {
        "rounds": outcome.rounds,
        "records": outcome.counts["records"],
        **{kind: len(findings.get(kind, ())) for kind in _BROKEN},
        "other_findings": {kind: len(texts) for kind, texts in findings.items() if kind not in _BROKEN},
        **{name: outcome.counts[name] for name in (*_NEVER_NONE, "forks", "samples", "drift")},
        "kills": nemesis.kills,
        "fail_points_hit": sorted(outcome.hit),
        "fail_points_missed": sorted(unhit.keys() - untried.keys()),
        "mutants_caught": sorted(each.mutant for each in tried if each.mutant and each.mutant not in missed),
        "mutants_missed": missed,
        "false_alarms": alarms,
        "skipped": [*_skipped(tried), *(f"fail point {p}: armed {n} times" for p, n in untried.items())],
        "actions": dict(sorted(nemesis.done.items())),
        "examples": {kind: texts[:_EXAMPLES] for kind, texts in findings.items()},
        "worlds_kept": outcome.kept,
        "seed": seed,
        "store": store,
        "seconds": round(seconds, 1),
    }


def broken(told: dict[str, Any]) -> list[str]:
    """Why a run is not a good one; nothing, if it is."""
    reasons = [f"{told[kind]} {kind}" for kind in _BROKEN if told[kind]]
    reasons += [f"{count} {kind}" for kind, count in told["other_findings"].items()]
    reasons += [f"no {name}: the run proves nothing" for name in _NEVER_NONE if not told[name]]
    reasons += _named("fail point never hit", told["fail_points_missed"])
    reasons += _named("mutant not caught", told["mutants_missed"])
    reasons += _named("found where nothing is broken", told["false_alarms"])
    return reasons


def _named(what: str, names: Iterable[str]) -> list[str]:
    return [f"{what}: {name}" for name in names]


def _unhit(nemesis: Nemesis, outcome: Outcome, store: str) -> dict[str, int]:
    """The fail points that were not hit, and how often each was armed."""
    points = {point for kind in fail_points.KINDS for point in fail_points.names(kind, store)}
    return {point: nemesis.ambush.tries[point] for point in sorted(points - outcome.hit)}


def _skipped(tried: list[Tried]) -> list[str]:
    """What this machine or these arguments left out, by name."""
    left = [] if disks.mountable() else ["full_disk: no tmpfs can be mounted here"]
    return left if tried else [*left, "mutants"]
