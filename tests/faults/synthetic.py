"""A small world made by hand, sound as it is, for the tests of the check itself."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operators.tabulate import day_of
from pipelines.log import LogWriter, Message
from schemas.topics import Up, up_topic
from tests.factories import NOON, STREAM, header, payload
from tests.faults.check import Verdict, check
from tests.faults.ledger import Ledger
from tests.faults.samples import digest_of, raw_sample
from tests.pipelines import lakes

SEED, DEVICE, RECORDS = 3, "cam-a1", 6
GONE = 4
"""The number that was given up; the others are inferences."""
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Synthetic:
    """Everything that the check looks at; change it before it is judged."""

    outcomes: Rows = field(default_factory=list)
    events: Rows = field(default_factory=lambda: [{"do": "may_shed"}])
    tables: dict[str, Rows] = field(default_factory=dict)
    acks: Rows = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def judge(self, folder: Path) -> Verdict:
        """What the check says of it."""
        book = Ledger(folder / "ledger", DEVICE)
        book.intend(SEED, RECORDS)
        book.note(*self.outcomes, *self.events)
        book.close()
        (folder / "acks").mkdir()
        (folder / "acks" / f"{DEVICE}.jsonl").write_text("".join(json.dumps(ack) + "\n" for ack in self.acks))
        with LogWriter(folder / "log", 1) as log:
            log.append(self.messages, NOON)
        return check(folder / "ledger", folder / "acks", folder / "log", lakes.lake(folder, self.tables), SEED)


def sound() -> Synthetic:
    """Six accepted records of one device: five inferences, of which one was asked for, and a declared gap."""
    made = Synthetic()
    made.outcomes = [outcome(n) for n in range(RECORDS)]
    asked = {"request_id": "ab", "device": DEVICE, "seq": 0, "sample_digest": digest_of(SEED, DEVICE, 0)}
    made.tables = {
        "inferences": [row(n) for n in range(RECORDS) if n != GONE],
        "gaps": [gap(GONE, GONE)],
        "rejects": [reject(9)],
        "selections": [
            lakes.selection("ab", "requested", NOON) | asked,
            lakes.selection("ab", "delivered", NOON + 1) | asked,
        ],
        "samples": [lakes.sample(0) | asked | {"sample": raw_sample(SEED, DEVICE, 0)}],
    }
    made.acks = [ack(RECORDS - 1)]
    made.messages = [Message(up_topic(DEVICE, Up.INFERENCES), payload(header(count=GONE)))]
    return made


def outcome(n: int, **changes: Any) -> dict[str, Any]:
    """The line of the ledger that a record was accepted, under its own number."""
    return {"do": "ok", "n": n, "stream": STREAM.hex(), "seq": n, "time": NOON + n} | changes


def row(n: int, **changes: Any) -> dict[str, Any]:
    """The row of `inferences` that a record becomes."""
    told = {"device": DEVICE, "sample_digest": digest_of(SEED, DEVICE, n), "device_time": NOON + n}
    return lakes.inference(n) | told | {"sample_bytes": len(raw_sample(SEED, DEVICE, n))} | changes


def gap(first: int, last: int, **changes: Any) -> dict[str, Any]:
    """A row of `gaps`."""
    about = {"device": DEVICE, "stream": STREAM.hex(), "reason": "outbox_full", "device_time": NOON}
    return {"first_seq": first, "last_seq": last} | about | _origin(100 + first) | changes


def reject(offset: int, **changes: Any) -> dict[str, Any]:
    """A row of `rejects` of a message that nobody could read."""
    about = {"device": "garbage-1", "topic": "t", "reason": "malformed", "detail": "", "payload": b"x"}
    none = {"stream": None, "first_seq": None, "last_seq": None}
    return about | none | _origin(offset) | changes


def ack(through: int, **changes: Any) -> dict[str, Any]:
    """An acknowledgement as a device wrote it down."""
    return {"stream": STREAM.hex(), "through": through, "ahead": through, "holes": []} | changes


def _origin(offset: int) -> dict[str, Any]:
    return {"date": day_of(NOON), "received": NOON, "log_partition": 0, "log_offset": offset}
