"""Alarms: what is recorded of each, and which of them have one cause."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from operators.cohorts import Cohort
from operators.tabulate import day_of

SILENCE: Final = "silence"
_SAME_CAUSE_WINDOWS: Final = 2


class State(StrEnum):
    """What has become of an alarm."""

    RAISED = "raised"
    CONFIRMED = "confirmed"
    RETRACTED = "retracted"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm of one cohort; times in microseconds.

    Attributes:
        alarm_id: 16 hex digits; it stays, whatever late rows change of the rest.
        revision: of what is recorded, from 0.
        state: what has become of it.
        cohort: that is in alarm.
        statistic: that moved most.
        group: features that stand for one thing.
        since: estimate of when it began.
        raised: start of the window that raised it.
        raised_at: end of that window.
        cleared_at: end of the window that cleared it; None while it lasts.
        events: from `since` to `raised_at`.
        log_e: ln of the e-value when it was raised.
        log_needed: ln of the e-value that was needed then.
        cause: the first alarm of the same cause.
        moved: JSON.
    """

    alarm_id: str
    revision: int
    state: State
    cohort: Cohort
    statistic: str
    group: str
    since: int
    raised: int
    raised_at: int
    cleared_at: int | None
    events: int
    log_e: float
    log_needed: float
    cause: str
    moved: str

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.state in (State.RAISED, State.CONFIRMED)


def id_of(cohort: Cohort, statistic: str, raised: int) -> str:
    """A name for the alarm that a window raises: 16 hex digits."""
    text = "/".join(map(str, (*cohort, statistic, raised)))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def cause_of(alarm: Alarm, known: Iterable[Alarm], window_us: int) -> str:
    """The cause of a new alarm: that of the first other one in which the same thing moved at about the same time.

    Args:
        alarm: that has just been raised.
        known: others that last, in the order in which they were raised.
        window_us: length of a window; two of them are about the same time.
    """
    for other in known:
        same = other.cohort[:2] == alarm.cohort[:2] and other.group == alarm.group
        if same and abs(other.since - alarm.since) <= _SAME_CAUSE_WINDOWS * window_us:
            return other.cause
    return alarm.alarm_id


def alarm_row(alarm: Alarm, now_us: int) -> dict[str, Any]:
    """The row of `alarms` for a revision."""
    model, version, level, cohort = alarm.cohort
    return {
        "date": day_of(alarm.raised),
        "model": model,
        "model_version": version,
        "level": level,
        "cohort": cohort,
        "alarm_id": alarm.alarm_id,
        "revision": alarm.revision,
        "state": str(alarm.state),
        "changed": now_us,
        "statistic": alarm.statistic,
        "since": alarm.since,
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
        "events": alarm.events,
        "e_value": float(np.exp(alarm.log_e)),
        "needed": float(np.exp(alarm.log_needed)),
        "cause": alarm.cause,
        "moved": alarm.moved,
    }
