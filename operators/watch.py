"""Watch: the drift of every window, from the panes that all partitions counted.

A window is judged once it is closed: its end, and the grace after it, lie in the past of every
partition's log time. Rows that come later still change it: it is judged again, and every window
after it, and told with a higher revision. Keyed by cohort bucket; one round at a time.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from operators.cohorts import Cohort, Level
from operators.describe import Finding, describe, drift_rows, window_row
from operators.judge import Basis
from operators.panes import layout_of
from operators.reference import Reference
from operators.rounds import Part, Rounds
from operators.scale import Scale, universal
from operators.series import Folded, Series, fold, settle
from operators.silence import Change
from operators.windows import ModelKey, Panes

CLASS: Final = "class"
_UNIVERSAL: Final = universal()
_NEVER: Final = np.iinfo(np.int64).max


class References(Protocol):
    """What the known models were accepted on."""

    @property
    def scales(self) -> Mapping[ModelKey, Scale]:
        """What is watched of each."""
        ...

    def of(self, model: str, version: int, level: str, cohort: str) -> Reference | None:
        """What a cohort is compared with, if the server has a reference of its model."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is watched, and how often a healthy fleet may alarm.

    Attributes:
        levels: what makes a cohort.
        window_us: length of a window in event time.
        grace_us: how long after its end a window is judged first, in log time.
        round_us: how often windows are judged, in log time.
        horizon_us: how long a window can still change (its rows are in the lake in any case).
        interval_windows: windows between two false alarms of the whole fleet, on average, at least.
        max_cohorts: that are watched at a time.
        first_events: events of a cohort's first windows that stand in for what has no reference.
        silence_us: for how long a device may send nothing.
        opinions: names of second opinions.
    """

    levels: tuple[Level, ...]
    window_us: int
    grace_us: int
    round_us: int
    horizon_us: int
    interval_windows: float
    max_cohorts: int
    first_events: int
    silence_us: int
    opinions: tuple[str, ...] = ()

    @property
    def interval_events(self) -> float:
        """Events between two false alarms, by a usual number of events in a window."""
        return self.interval_windows * _USUAL_EVENTS

    @property
    def alarm_nats(self) -> float:
        """Ln M below which no cohort is ever in alarm."""
        return float(np.log(self.interval_windows))

    @property
    def clear_nats(self) -> float:
        """Ln M at which an alarm ends: half way back."""
        return self.alarm_nats / 2

    @property
    def cap_nats(self) -> float:
        """Ln M beyond which evidence is not counted up, so that an alarm can end; well above any limit."""
        return self.alarm_nats + float(np.log(self.max_cohorts)) + _HEADROOM


_HEADROOM: Final = 12.0
_USUAL_EVENTS: Final = 300  # ten times as many raise what a reference is allowed to be wrong by a tenth or two


@dataclass(frozen=True, slots=True)
class Told:
    """What one partition has to say of a round.

    Attributes:
        panes: of what it counted.
        watermarks: cohort → event time up to which none of its devices here has more to tell.
        silences: devices that fell silent, or are no longer.
    """

    panes: Panes = field(default_factory=dict)
    watermarks: Mapping[Cohort, int] = field(default_factory=dict)
    silences: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What a bucket of cohorts says of a round, for the fleet.

    Attributes:
        evidence: cohort → start of a window → ln M after it, of all windows from the first on that is new or changed.
        findings: (cohort, start of a window) → what moved, where ln M is large enough for an alarm.
        watermarks: as `Told`, over all partitions.
        silences: as `Told`.
    """

    evidence: Mapping[Cohort, Mapping[int, float]] = field(default_factory=dict)
    findings: Mapping[tuple[Cohort, int], Finding] = field(default_factory=dict)
    watermarks: Mapping[Cohort, int] = field(default_factory=dict)
    silences: tuple[Change, ...] = ()


@dataclass(slots=True)
class Watched:
    """The state of one bucket of cohorts.

    Attributes:
        rounds: what partitions said of rounds that not all of them have told yet.
        series: of each cohort; at most `Policy.max_cohorts`, over all buckets together.
        watermarks: partition → cohort → see `Told`.
    """

    rounds: Rounds[Told]
    series: dict[Cohort, Series] = field(default_factory=dict)
    watermarks: dict[int, Mapping[Cohort, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What a round leads to.

    Attributes:
        round: its number.
        windows, drift: rows of these tables.
        judged: for the fleet.
        refused: cohorts that there is no room to watch.
    """

    round: int
    windows: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    judged: Judged
    refused: int = 0


def watch(watched: Watched, part: Part[Told], references: References, policy: Policy, most: int) -> Iterator[Verdict]:
    """A verdict for each round that this part makes whole.

    Args:
        watched: the state; updated in place.
        part: what one partition counted.
        references: what cohorts are compared with.
        policy: what is watched.
        most: cohorts of this bucket; those beyond are not watched (their rows are in the lake).
    """
    for whole in watched.rounds.add(part):
        now = whole[0].round * policy.round_us
        silences: tuple[Change, ...] = ()
        changed: dict[Cohort, int] = {}
        refused: set[Cohort] = set()
        for each in whole:
            refused |= _take(watched, each, changed, now, policy, most)
            silences += each.content.silences
        verdict = _judge(watched, whole[0].round, changed, silences, references, policy)
        verdict.refused = len(refused)
        yield verdict


def _take(
    watched: Watched, part: Part[Told], changed: dict[Cohort, int], now: int, policy: Policy, most: int
) -> set[Cohort]:
    """Add panes; `changed` is told the earliest window of each cohort that they changed.

    New cohorts are taken in the order of their names, so that a replay takes the same; gives those that are not.
    """
    refused = set()
    watched.watermarks[part.partition] = part.content.watermarks
    oldest = now - policy.horizon_us - policy.window_us
    for key in sorted(part.content.panes):
        cohort, start = key[:4], key[4]
        series = watched.series.get(cohort)
        if series is None and len(watched.series) < most:
            series = watched.series[cohort] = Series()
        if series is None:
            refused.add(cohort)
        if series is None or start <= max(oldest, series.settled):
            continue
        series.add(start, part.content.panes[key])
        changed[cohort] = min(changed.get(cohort, start), start)
    return refused


def _judge(
    watched: Watched,
    number: int,
    changed: dict[Cohort, int],
    silences: tuple[Change, ...],
    references: References,
    policy: Policy,
) -> Verdict:
    """Rows for the closed windows that are new or changed, and what the fleet needs to know of them."""
    now = number * policy.round_us
    last = now - policy.window_us - policy.grace_us
    evidence: dict[Cohort, dict[int, float]] = {}
    findings: dict[tuple[Cohort, int], Finding] = {}
    windows: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    watermarks: dict[Cohort, int] = {}
    for cohort, series in sorted(watched.series.items()):
        basis = basis_of(cohort, references, policy)
        fresh = _fit(series, basis)
        closed = sorted(start for start in series.panes if start <= last)
        new = next((start for start in closed if start > series.settled and start not in series.said), _NEVER)
        due = min(new, fresh, changed.get(cohort, _NEVER))
        watermarks[cohort] = watermark = _watermark(watched, cohort, policy)
        if closed and due <= closed[-1]:
            folded = fold(series, basis, closed, due)
            told = _told(series, folded)
            evidence[cohort] = dict(zip(folded.starts, folded.total.tolist(), strict=True))
            for at in _may_raise(series, folded, closed, policy):
                findings[cohort, folded.starts[at]] = describe(series, basis, folded, at)
            windows += [window_row(cohort, series, basis, folded, at, now, watermark, policy.window_us) for at in told]
            drift += drift_rows(cohort, series, basis, folded, told, policy.window_us)
        settle(series, basis, closed, now - policy.horizon_us - policy.window_us)
    for cohort in [each for each, series in watched.series.items() if _is_gone(series, now, policy)]:
        del watched.series[cohort]
    return Verdict(number, windows, drift, Judged(evidence, findings, watermarks, silences))


def basis_of(cohort: Cohort, references: References, policy: Policy) -> Basis:
    """What a cohort is compared with."""
    model, version, level, name = cohort
    reference = references.of(model, version, level, name)
    scale = references.scales.get((model, version), _UNIVERSAL)
    stack = None
    if reference is not None:
        pane = reference.pane
        if CLASS in level.split("/"):
            slot = int(scale.class_slots(np.array([_class_of(level, name)]))[0])
            pane = reference.by_class[slot]
        stack = pane[layout_of(scale).stack]
    return Basis(scale, reference, stack, policy.first_events, policy.cap_nats, policy.interval_events, policy.opinions)


def _class_of(level: str, cohort: str) -> int:
    return int(cohort.split("/")[level.split("/").index(CLASS)])


def _fit(series: Series, basis: Basis) -> int:
    """Start anew where the model was built again under its version, with other bins; the first window then due."""
    width = layout_of(basis.scale).width
    if any(len(pane) != width for pane in series.panes.values()):
        panes = {start: pane for start, pane in series.panes.items() if len(pane) == width}
        series.panes, series.settled, series.states, series.first = panes, -1, (), None
        series.after, series.compared, series.said, series.packed, series.total = {}, b"", {}, {}, {}
        return -1
    return _NEVER


def _may_raise(series: Series, folded: Folded, closed: Sequence[int], policy: Policy) -> list[int]:
    """The places of windows that may raise an alarm: not those before which the cohort is in alarm in any case."""
    enough = policy.alarm_nats + np.log(policy.max_cohorts)
    found = []
    for at in np.flatnonzero(folded.total >= policy.alarm_nats).tolist():
        place = bisect_left(closed, folded.starts[at])
        if place == 0 or series.total.get(closed[place - 1], -np.inf) < enough:
            found.append(at)
    return found


def _is_gone(series: Series, now: int, policy: Policy) -> bool:
    """Whether a cohort had no rows for so long that its place is free."""
    return max(series.panes, default=0) < now - 2 * policy.horizon_us - policy.window_us


def _told(series: Series, folded: Folded) -> list[int]:
    """The places of windows of which something new is to be said; their revisions follow."""
    told = []
    for at, start in enumerate(folded.starts):
        mark = zlib.crc32(folded.evidence[at].tobytes() + folded.panes[at].tobytes())
        before = series.said.get(start)
        if before is None or before[1] != mark:
            series.said[start] = (before[0] + 1 if before else 0, mark)
            told.append(at)
    return told


def _watermark(watched: Watched, cohort: Cohort, policy: Policy) -> int:
    """Event time up to which no device of a cohort has more to tell; for ever where there is nobody to wait for."""
    level = next((level for level in policy.levels if level.name == cohort[2]), None)
    key = (*cohort[:3], level.of_any_class(cohort[3])) if level else cohort
    return min([told[key] for told in watched.watermarks.values() if key in told], default=_NEVER)
