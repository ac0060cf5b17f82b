"""Requesting: the state and the item types of the `requests` step.

Replies and ticks wait until every selection of an earlier time is known. In a live
service they hardly do, since a sample is asked for only after its selection is
committed; but a log that is read again tells the reply before all partitions have
told the round that selects it. So what a request comes to depends on log time alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from operators import requests
from operators.dedup import Unique, reject_row
from operators.requests import Heard, Open, Patience, Request
from operators.select import Decided
from operators.tabulate import tabulate
from pipelines import metrics
from pipelines.sinks import Delivery
from schemas.messages import read_sample
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
        decided_us: end of the last round of selection; -1 before the first.
        heard: what waits for later rounds; as much as this partition is ahead of the slowest.
    """

    open: Open = field(default_factory=dict)
    ended: dict[bytes, None] = field(default_factory=dict)
    decided_us: int = -1
    heard: list[Heard] = field(default_factory=list)

    @classmethod
    def of(cls, state: tuple[Any, ...] | None) -> "Requesting":
        """From a snapshot, or empty."""
        if state is None:
            return cls()
        opened, ended, decided_us, heard = state
        return cls(dict(opened), dict.fromkeys(ended), decided_us, list(heard))

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values."""
        return (dict(self.open), tuple(self.ended), self.decided_us, tuple(self.heard))


@dataclass(slots=True)
class _Written:
    """What one item leads to, while it is worked out."""

    send: list[Request] = field(default_factory=list)
    selections: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def asked(self) -> Asked:
        """The item that goes on; every call gives one, so that sinks hear of every epoch."""
        for row in self.selections:
            metrics.SELECTIONS.labels(row["status"]).inc()
        tables = ((SELECTIONS, self.selections), (SAMPLES, self.samples), (REJECTS, self.rejects))
        rows = tuple((table.name, tabulate(table, rows)) for table, rows in tables if rows)
        return Asked(tuple(self.send), Delivery(rows=rows))


def request(patience: Patience, round_us: int, state: Requesting, item: Unique | Decided) -> Iterator[Asked]:
    """What new selections, replies of devices or the passing of time lead to.

    Args:
        patience: with devices.
        round_us: length of a round of selection.
        state: of the partition; changed in place.
        item: what the log held, or a decided round.
    """
    written = _Written()
    if isinstance(item, Unique):
        state.heard += _heard(item)
    else:
        state.decided_us = max(state.decided_us, item.time_us)
        written.send, written.selections = requests.ask(state.open, item.selections, patience)
    ready = 0
    while ready < len(state.heard) and state.heard[ready].time_us < state.decided_us + round_us:
        _take(patience, state, state.heard[ready], written)
        ready += 1
    del state.heard[:ready]
    yield written.asked()


def _heard(unique: Unique) -> Iterator[Heard]:
    for receipt in unique.replies:
        yield Heard(receipt.received_us, unique.partition, receipt)
    if unique.tick_us is not None:
        yield Heard(unique.tick_us, unique.partition)


def _take(patience: Patience, state: Requesting, heard: Heard, written: _Written) -> None:
    """Let one reply or tick have its effect."""
    if heard.receipt is None:
        send, ended = requests.tick(state.open, heard.time_us, patience)
        written.send += send
    else:
        reply = read_sample(heard.receipt.payload, len(heard.receipt.payload))
        answer = requests.answer(state.open, heard.partition, heard.receipt, reply, state.ended)
        ended = list(answer.selections)
        written.samples += answer.samples
        written.rejects += [reject_row(heard.partition, answer.refusal)] if answer.refusal else []
    written.selections += ended
    state.ended |= dict.fromkeys(bytes.fromhex(row["request_id"]) for row in ended)
    for old in list(state.ended)[:-MAX_ENDED]:
        del state.ended[old]
