"""Requesting: the state and the item types of the `requests` step."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from operators import requests
from operators.dedup import Unique, reject_row
from operators.requests import Open, Patience, Request
from operators.select import Selection
from operators.tabulate import tabulate
from pipelines import metrics
from pipelines.sinks import Delivery
from schemas.tables import REJECTS, SAMPLES, SELECTIONS

MAX_ENDED: Final = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """What to send to devices, and what to write down."""

    send: tuple[Request, ...]
    delivery: Delivery


@dataclass(slots=True)
class Requesting:
    """The requests of one log partition.

    Attributes:
        open: not answered yet.
        ended: ids of the last ones that ended, oldest first.
    """

    open: Open = field(default_factory=dict)
    ended: dict[bytes, None] = field(default_factory=dict)

    @classmethod
    def of(cls, state: tuple[Any, ...] | None) -> "Requesting":
        """From a snapshot, or empty."""
        return cls(dict(state[0]), dict.fromkeys(state[1])) if state else cls()

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values."""
        return (dict(self.open), tuple(self.ended))


def request(patience: Patience, state: Requesting, item: Unique | tuple[Selection, ...]) -> Iterator[Asked]:
    """What new selections, replies of devices or the passing of time lead to."""
    before = set(state.open)
    if isinstance(item, Unique):
        asked = _hear(patience, state, item)
    else:
        send, rows = requests.ask(state.open, item, patience)
        asked = _asked(send, rows, [], [])
    state.ended |= dict.fromkeys(before - set(state.open))
    for old in list(state.ended)[:-MAX_ENDED]:
        del state.ended[old]
    yield asked


def _hear(patience: Patience, state: Requesting, unique: Unique) -> Asked:
    send: list[Request] = []
    rows: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    for receipt, reply in unique.samples:
        answer = requests.answer(state.open, unique.partition, receipt, reply, state.ended)
        rows += answer.selections
        samples += answer.samples
        if answer.refusal:
            rejects.append(reject_row(unique.partition, answer.refusal))
        state.ended |= dict.fromkeys(bytes.fromhex(row["request_id"]) for row in answer.selections)
    if unique.tick_us is not None:
        send, expired = requests.tick(state.open, unique.tick_us, patience)
        rows += expired
    return _asked(send, rows, samples, rejects)


def _asked(
    send: list[Request], rows: list[dict[str, Any]], samples: list[dict[str, Any]], rejects: list[dict[str, Any]]
) -> Asked:
    for row in rows:
        metrics.SELECTIONS.labels(row["status"]).inc()
    written = ((SELECTIONS, rows), (SAMPLES, samples), (REJECTS, rejects))
    return Asked(tuple(send), Delivery(rows=tuple((t.name, tabulate(t, r)) for t, r in written if r)))
