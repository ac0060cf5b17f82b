"""Fleet: which cohorts are in alarm, over everything that is watched, and what becomes of each alarm.

Alarms follow from the evidence of all windows. When late rows change that, the record follows: an alarm is
raised, confirmed once no row can be missing, retracted where late rows took its evidence away, and cleared
when the world is as before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from operators.alarms import SILENCE, Alarm, State, alarm_row, cause_of, id_of
from operators.cohorts import Cohort
from operators.describe import Finding
from operators.rounds import Part, Rounds
from operators.silence import Change, Turn
from operators.spans import Span, spans
from operators.watch import Judged, Policy
from operators.watermarks import Home

_STATES: Final = {Turn.RAISED: State.RAISED, Turn.CLEARED: State.CLEARED, Turn.RETRACTED: State.RETRACTED}
_BEGAN: Final = 4
_NOTHING: Final = Finding(statistic="", group="", since=0, events=0, moved="[]")


@dataclass(slots=True)
class Fleet:
    """The state: one for everything that is watched.

    Attributes:
        rounds: what buckets said of rounds that not all of them have told yet.
        evidence: cohort → start of a window → ln M after it; within the horizon, of cohorts that were near an alarm.
        findings: (cohort, start of a window) → what moved, of windows with enough evidence for an alarm.
        began: cohort → start of its first window; at most `_BEGAN` times `Policy.max_cohorts`, the newest.
        alarms: those that can still change, in the order in which they were raised.
        watermarks: see `watch.Told`.
    """

    rounds: Rounds[Judged]
    evidence: dict[Cohort, dict[int, float]] = field(default_factory=dict)
    findings: dict[tuple[Cohort, int], Finding] = field(default_factory=dict)
    began: dict[Cohort, int] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()
    watermarks: dict[Cohort, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turns:
    """What becomes of alarms in a round.

    Attributes:
        rows: of `alarms`, for each that is new or of which anything is.
        told: those of them whose state is another.
    """

    rows: list[dict[str, Any]]
    told: list[dict[str, Any]]


def decide(fleet: Fleet, part: Part[Judged], policy: Policy) -> Iterator[Turns]:
    """What becomes of alarms in each round that this part makes whole.

    Args:
        fleet: the state; updated in place.
        part: what one bucket of cohorts says.
        policy: how often a healthy fleet may alarm.
    """
    for whole in fleet.rounds.add(part):
        now = whole[0].round * policy.round_us
        edge = now - policy.horizon_us - policy.window_us
        for each in whole:
            _take(fleet, each.content, policy)
        before = {alarm.alarm_id: alarm for alarm in fleet.alarms}
        silences = [change for each in whole for change in each.content.silences]
        after = [*_of_drift(fleet, now, edge, policy), *_of_silence(fleet, silences, policy)]
        after = _with_causes(sorted(after, key=_order), policy)
        rows = {alarm: alarm_row(alarm, now) for alarm in after if before.get(alarm.alarm_id) != alarm}
        _forget(fleet, after, edge)
        told = [row for alarm, row in rows.items() if _has_turned(before.get(alarm.alarm_id), alarm)]
        yield Turns(list(rows.values()), told)


def _take(fleet: Fleet, judged: Judged, policy: Policy) -> None:
    """Add what a bucket says; evidence of a cohort replaces all that was said of the same windows and later ones."""
    fleet.watermarks |= judged.watermarks
    for cohort, told in judged.evidence.items():
        first = min(told)
        fleet.began[cohort] = min(fleet.began.get(cohort, first), first)
        kept = {start: value for start, value in fleet.evidence.get(cohort, {}).items() if start < first} | dict(told)
        near = [start for start, value in kept.items() if value > policy.clear_nats]
        fleet.evidence.pop(cohort, None)
        if near:
            fleet.evidence[cohort] = {start: value for start, value in kept.items() if start >= min(near)}
        elif any(alarm.cohort == cohort and alarm.is_open for alarm in fleet.alarms):
            fleet.evidence[cohort] = kept
        for key in [key for key in fleet.findings if key[0] == cohort and key[1] >= first]:
            del fleet.findings[key]
    fleet.findings |= judged.findings
    if len(fleet.began) > _BEGAN * policy.max_cohorts:
        newest = sorted(fleet.began.items(), key=lambda each: (each[1], each[0]))[-_BEGAN * policy.max_cohorts :]
        fleet.began = dict(newest)


def _of_drift(fleet: Fleet, now: int, edge: int, policy: Policy) -> Iterator[Alarm]:
    """The alarms of all cohorts, as the evidence now is; retracted ones among them."""
    recorded = [alarm for alarm in fleet.alarms if alarm.statistic != SILENCE]
    lasting = {alarm.cohort: _span(alarm) for alarm in recorded if alarm.raised <= edge and alarm.is_open}
    began = sorted(fleet.began.values())
    found = spans(fleet.evidence, began, policy.interval_windows, policy.clear_nats, lasting)
    for cohort in sorted({*found, *(alarm.cohort for alarm in recorded)}, key=str):
        free = [alarm for alarm in recorded if alarm.cohort == cohort]
        for span in found.get(cohort, []):
            known = next((alarm for alarm in free if _overlap(alarm, span, policy)), None)
            if known is not None:
                free.remove(known)
            yield _follow(fleet, cohort, span, known, now, edge, policy)
        yield from (_retracted(alarm, edge) for alarm in free)


def _follow(
    fleet: Fleet, cohort: Cohort, span: Span, known: Alarm | None, now: int, edge: int, policy: Policy
) -> Alarm:
    """The alarm of a span: a new one, or the one that was known, as it now is."""
    raised_at = span.raised + policy.window_us
    complete = fleet.watermarks.get(cohort, -1) >= raised_at or now >= raised_at + policy.horizon_us
    state = State.CLEARED if span.cleared is not None else State.CONFIRMED if complete else State.RAISED
    if known is None and state == State.CONFIRMED:
        state = State.RAISED  # that is the first word in any case
    elif known is not None and known.state == State.CONFIRMED and state == State.RAISED:
        state = State.CONFIRMED
    cleared_at = None if span.cleared is None else span.cleared + policy.window_us
    if known is not None and span.raised <= edge:
        after = replace(known, state=state, cleared_at=cleared_at)
    else:
        finding = _finding(fleet, cohort, span.raised)
        alarm_id = known.alarm_id if known else id_of(cohort, finding.statistic, span.raised)
        after = Alarm(
            alarm_id=alarm_id,
            revision=known.revision if known else 0,
            state=state,
            cohort=cohort,
            statistic=finding.statistic,
            group=finding.group,
            since=finding.since,
            raised=span.raised,
            raised_at=raised_at,
            cleared_at=cleared_at,
            events=finding.events,
            log_e=span.log_e,
            log_needed=span.log_needed,
            cause=known.cause if known else "",
            moved=finding.moved,
        )
    return _revised(known, after)


def _of_silence(fleet: Fleet, changes: Sequence[Change], policy: Policy) -> Iterator[Alarm]:
    """The alarms of devices that sent nothing, after these changes."""
    alarms = {alarm.alarm_id: alarm for alarm in fleet.alarms if alarm.statistic == SILENCE}
    for change in changes:
        if change.home is not None:
            alarm = _silent(change, change.home, alarms, policy)
            alarms[alarm.alarm_id] = alarm
    yield from alarms.values()


def _silent(change: Change, home: Home, known: Mapping[str, Alarm], policy: Policy) -> Alarm:
    """The alarm of a silent device; it keeps the model that was its own when it fell silent."""
    silence = change.silence
    _, model, version = home
    alarm_id = id_of(("", 0, SILENCE, silence.device), SILENCE, silence.since_us)
    before = known.get(alarm_id)
    alarm = Alarm(
        alarm_id=alarm_id,
        revision=before.revision if before else 0,
        state=_STATES[change.turn],
        cohort=before.cohort if before else (model, version, "device", silence.device),
        statistic=SILENCE,
        group=SILENCE,
        since=silence.since_us,
        raised=silence.since_us,
        raised_at=silence.since_us + policy.silence_us,
        cleared_at=silence.until_us,
        events=0,
        log_e=0.0,
        log_needed=0.0,
        cause=before.cause if before else "",
        moved="[]",
    )
    return _revised(before, alarm)


def _retracted(alarm: Alarm, edge: int) -> Alarm:
    """An alarm that the evidence no longer bears out; one from before the horizon stays as it is."""
    if alarm.state == State.RETRACTED or alarm.raised <= edge:
        return alarm
    return _revised(alarm, replace(alarm, state=State.RETRACTED))


def _revised(known: Alarm | None, alarm: Alarm) -> Alarm:
    """The alarm with the next revision, if anything about it is new."""
    if known is None or known == alarm:
        return alarm
    return replace(alarm, revision=known.revision + 1)


def _finding(fleet: Fleet, cohort: Cohort, raised: int) -> Finding:
    """What moved, as of the cohort's last window up to the one that raised its alarm; that may be another's."""
    known = [start for of, start in fleet.findings if of == cohort and start <= raised]
    return fleet.findings[cohort, max(known)] if known else _NOTHING


def _has_turned(before: Alarm | None, alarm: Alarm) -> bool:
    return before is None or before.state != alarm.state


def _with_causes(alarms: list[Alarm], policy: Policy) -> list[Alarm]:
    """The alarms, those that are new with their cause."""
    done: list[Alarm] = []
    known = [alarm for alarm in alarms if alarm.cause and alarm.is_open]
    for alarm in alarms:
        if not alarm.cause:
            alarm = replace(alarm, cause=cause_of(alarm, known, policy.window_us))
            known.append(alarm)
        done.append(alarm)
    return done


def _forget(fleet: Fleet, alarms: list[Alarm], edge: int) -> None:
    """Keep what can still change."""
    fleet.alarms = tuple(
        alarm
        for alarm in alarms
        if alarm.is_open or (alarm.raised if alarm.cleared_at is None else alarm.cleared_at) > edge
    )
    lasting = {alarm.cohort for alarm in fleet.alarms if alarm.is_open}
    for cohort, told in list(fleet.evidence.items()):
        kept = {start: value for start, value in told.items() if start > edge}
        if kept or cohort in lasting:
            fleet.evidence[cohort] = kept
        else:
            del fleet.evidence[cohort]
    for key in [key for key in fleet.findings if key[1] <= edge]:
        del fleet.findings[key]


def _overlap(alarm: Alarm, span: Span, policy: Policy) -> bool:
    """Whether a recorded alarm and a span share a window, or touch."""
    end = None if alarm.cleared_at is None else alarm.cleared_at - policy.window_us
    return (end is None or span.raised <= end) and (span.cleared is None or alarm.raised <= span.cleared)


def _span(alarm: Alarm) -> Span:
    return Span(alarm.raised, None, alarm.log_e, alarm.log_needed)


def _order(alarm: Alarm) -> tuple[int, int, str, str]:
    """By time, then from large cohorts to small ones."""
    return (alarm.since, len(alarm.cohort[2].split("/")), str(alarm.cohort), alarm.alarm_id)
