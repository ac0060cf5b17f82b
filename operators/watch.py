"""Watch: the drift of every window, from the panes that all partitions counted.

A window is judged once it is closed: its end, and the grace after it, lie in the past
of every partition's log time. Rows that come later still change it: it is judged
again and told with a higher revision. Keyed by cohort bucket; one round at a time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import numpy as np

from operators.drift import Finding, alarms, evaluate
from operators.rounds import Part, Rounds
from operators.tabulate import day_of
from operators.windows import PaneKey, Panes, References, add_panes

Cohort = tuple[str, int, str]

MAX_COHORTS: Final = 1024
"""Cohorts of one bucket that are watched at a time: a device chooses the name of its site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What counts as drift.

    Attributes:
        window_us: length of a window in event time.
        grace_us: how long after its end a window is judged first, in log time.
        round_us: how often windows are judged, in log time.
        horizon_us: how long a window can still change; what is older is forgotten here
            (its rows are in the lake).
        alpha: chance that one statistic of one window exceeds its threshold without drift.
        consecutive: windows in a row that must exceed for an alarm.
        min_rows: fewest rows of a window that is judged.
    """

    window_us: int
    grace_us: int
    round_us: int
    horizon_us: int
    alpha: float
    consecutive: int
    min_rows: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was last told of one window.

    Attributes:
        revision: 0 for the first time.
        findings: one for each statistic.
        alarming: whether each of them alarms, with the windows before it.
    """

    revision: int
    findings: tuple[Finding, ...]
    alarming: tuple[bool, ...]


@dataclass(slots=True)
class Watched:
    """The state of one bucket of cohorts.

    Attributes:
        rounds: panes of rounds that some partition has not told yet.
        panes: of every window within the horizon.
        verdicts: of those that are closed.
    """

    rounds: Rounds[Panes]
    panes: Panes = field(default_factory=dict)
    verdicts: dict[PaneKey, Verdict] = field(default_factory=dict)


def watch(watched: Watched, part: Part[Panes], references: References, policy: Policy) -> list[dict[str, Any]]:
    """Rows of `drift` that a part of a round leads to.

    Args:
        watched: the state; updated in place. Its panes are bounded by `MAX_COHORTS` × horizon / window;
            a cohort beyond them is not watched (its rows are in the lake).
        part: what one partition counted.
        references: by model and version.
        policy: what counts as drift.
    """
    rows: list[dict[str, Any]] = []
    for whole in watched.rounds.add(part):
        changed: set[PaneKey] = set()
        now = whole[0].round * policy.round_us
        for each in whole:
            fresh = _watchable(watched, each.content, now - policy.horizon_us - policy.window_us)
            add_panes(watched.panes, fresh)
            changed |= fresh.keys()
        rows += _judge(watched, changed, now, references, policy)
        _forget(watched, now - policy.horizon_us, policy)
    return rows


def _watchable(watched: Watched, panes: Panes, after_us: int) -> Panes:
    """The panes of windows that begin after a time, of cohorts that are watched or that there is room for.

    New ones are taken in the order of their names, so that a replay takes the same.
    """
    cohorts = {_cohort(key) for key in watched.panes}
    taken: Panes = {}
    for key in sorted(key for key in panes if key[3] > after_us):
        if _cohort(key) in cohorts or len(cohorts) < MAX_COHORTS:
            cohorts.add(_cohort(key))
            taken[key] = panes[key]
    return taken


def _judge(
    watched: Watched, changed: set[PaneKey], now: int, references: References, policy: Policy
) -> Iterator[dict[str, Any]]:
    """Rows for the closed windows that are new or changed, and for those whose alarm follows from them.

    Windows of a model whose reference was taken away are left as they are.
    """
    last = now - policy.window_us - policy.grace_us
    closed = sorted(key for key in watched.panes if key[3] <= last and key[:2] in references)
    history = {cohort: list(keys) for cohort, keys in groupby(closed, key=_cohort)}
    due = {key for key in closed if key in changed or key not in watched.verdicts}
    for cohort, keys in groupby(sorted(due), key=_cohort):
        reference = references[cohort[:2]]
        judged = list(keys)
        stack = np.stack([watched.panes[key] for key in judged])
        found = evaluate(reference, stack, policy.alpha, policy.min_rows, policy.consecutive)
        yield from _tell(watched, history[cohort], dict(zip(judged, found, strict=True)), policy)


def _tell(
    watched: Watched, series: list[PaneKey], found: dict[PaneKey, tuple[Finding, ...]], policy: Policy
) -> Iterator[dict[str, Any]]:
    """Rows for each window of a cohort whose verdict is new or another; the state follows."""
    known = {key: found[key] if key in found else watched.verdicts[key].findings for key in series}
    alarming = _alarming(watched, {key: known[key] for key in series if known[key]}, policy.consecutive)
    for key in series:
        before = watched.verdicts.get(key)
        after = Verdict(before.revision + 1 if before else 0, known[key], alarming.get(key, ()))
        if before and (before.findings, before.alarming) == (after.findings, after.alarming):
            continue
        watched.verdicts[key] = after
        yield from _rows(key, after, policy)


def _alarming(
    watched: Watched, judged: dict[PaneKey, tuple[Finding, ...]], consecutive: int
) -> dict[PaneKey, tuple[bool, ...]]:
    """Which windows of a cohort alarm, for each statistic.

    The windows before the first ones may be forgotten already. An alarm that needed them stands
    for as long as its own run goes on.
    """
    columns = list(_exceeds(judged.values()))
    flags = zip(*(alarms(column, consecutive) for column in columns), strict=True)
    alarming = dict(zip(judged, flags, strict=True)) if judged else {}
    for place, key in list(enumerate(judged))[: consecutive - 1]:
        before = watched.verdicts.get(key)
        if before and before.alarming:
            unbroken = [all(column[: place + 1]) for column in columns]
            alarming[key] = tuple(old and on for old, on in zip(before.alarming, unbroken, strict=True))
    return alarming


def _exceeds(findings: Iterable[tuple[Finding, ...]]) -> Iterator[list[bool]]:
    """For each statistic whether it exceeded, window by window."""
    for column in zip(*findings, strict=True):
        yield [finding.exceeds for finding in column]


def _rows(key: PaneKey, verdict: Verdict, policy: Policy) -> Iterator[dict[str, Any]]:
    model, version, site, start = key
    for finding, alarming in zip(verdict.findings, verdict.alarming, strict=True):
        yield {
            "date": day_of(start),
            "model": model,
            "model_version": version,
            "site": site,
            "statistic": str(finding.statistic),
            "window_start": start,
            "window_end": start + policy.window_us,
            "revision": verdict.revision,
            "rows": finding.rows,
            "value": finding.value,
            "threshold": finding.threshold,
            "exceeds": finding.exceeds,
            "alarming": alarming,
        }


def _cohort(key: PaneKey) -> Cohort:
    return key[:3]


def _forget(watched: Watched, before_us: int, policy: Policy) -> None:
    for key in [key for key in watched.panes if key[3] + policy.window_us <= before_us]:
        del watched.panes[key]
        watched.verdicts.pop(key, None)
