"""Notices: what people are told of alarms that changed, one for each cause and state, however many alarms share it."""

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

Notice = dict[str, Any]

SCHEMA: Final = 1
MOST_LISTED: Final = 50
"""Alarms that a notice lists; the others it counts."""
MOST_BYTES: Final = 96 << 10
"""What the listed alarms may take as JSON, so that any broker takes the notice."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORDER: Final = ("model", "model_version", "level", "cohort", "alarm_id", "revision")


def notices(rows: Iterable[Mapping[str, Any]]) -> list[Notice]:
    """What to tell of the changes of one round.

    A storm of alarms with one cause is one notice. The same rows give the same notices, in whatever
    order they come; a notice that is told again has the `id` it had.

    Args:
        rows: of the table `alarms`, times in microseconds since 1970; each change once.

    Returns:
        Plain values that are JSON, in the order of cause and state. `count` says how many alarms there
        are, `alarms` lists the first of them: at most `MOST_LISTED`, in at most `MOST_BYTES`.
    """
    ordered = sorted(rows, key=lambda row: (_cause(row), str(row["state"]), *(row[name] for name in _ORDER)))
    return [
        _notice(cause, state, list(alike))
        for (cause, state), alike in groupby(ordered, key=lambda row: (_cause(row), str(row["state"])))
    ]


def encode(notice: Notice) -> bytes:
    """The notice as it travels: JSON in ASCII, without spaces."""
    return json.dumps(notice, separators=(",", ":"), allow_nan=False).encode()


def _notice(cause: str, state: str, rows: Sequence[Mapping[str, Any]]) -> Notice:
    return {
        "schema": SCHEMA,
        "id": _id(rows),
        "cause": cause,
        "state": state,
        "changed": _iso(max(row["changed"] for row in rows)),
        "count": len(rows),
        "alarms": _listed(rows),
    }


def _cause(row: Mapping[str, Any]) -> str:
    """What the alarm shares with others; an alarm of no known cause shares nothing."""
    return str(row["cause"] or row["alarm_id"])


def _id(rows: Sequence[Mapping[str, Any]]) -> str:
    """128 bits of the SHA-256 of which alarms are told, each with its revision, as hex digits."""
    told = json.dumps(sorted([str(row["alarm_id"]), int(row["revision"])] for row in rows))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _listed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As many of the first alarms as there is room for; what moved is left out where it alone is too long."""
    listed: list[dict[str, Any]] = []
    room = MOST_BYTES
    for row in rows[:MOST_LISTED]:
        alarm = _alarm(row)
        if len(encode(alarm)) > MOST_BYTES:
            alarm["moved"] = None
        room -= len(encode(alarm)) + 1
        if room < 0:
            break
        listed.append(alarm)
    return listed


def _alarm(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "alarm_id": str(row["alarm_id"]),
        "revision": int(row["revision"]),
        "model": str(row["model"]),
        "model_version": int(row["model_version"]),
        "level": str(row["level"]),
        "cohort": str(row["cohort"]),
        "statistic": row["statistic"],
        "since": _iso(row["since"]),
        "raised_at": _iso(row["raised_at"]),
        "cleared_at": _iso(row["cleared_at"]),
        "events": None if row["events"] is None else int(row["events"]),
        "e_value": _number(row["e_value"]),
        "needed": _number(row["needed"]),
        "moved": _parsed(row["moved"]),
    }


def _iso(us: int | None) -> str | None:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    if us is None:
        return None
    return (_EPOCH + timedelta(microseconds=int(us))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _number(value: float | None) -> float | None:
    """A number that JSON has: the largest there is for infinity, none for what is no number."""
    if value is None or math.isnan(value):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, float(value)))


def _parsed(text: str | None) -> Any:
    """The JSON in a column, by the same rule for its numbers."""
    if text is None:
        return None
    return json.loads(text, parse_float=lambda digits: _number(float(digits)), parse_constant=lambda _: None)
