"""The ledger of one device, written without any help of what is tested.

A line goes down before a record is handed over and another one after it. A process
that is killed in between leaves a record that may appear, once, and need not.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.samples import digest_of

REFUSED, UNKNOWN, ACCEPTED = 0, 1, 2


class Ledger:
    """Appends to the ledger of one device; each line is in the file when its method returns."""

    def __init__(self, folder: Path, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{device}.jsonl"
        self.next_n = 1 + max((line["n"] for line in _lines(path) if line["do"] == "intend"), default=-1)
        self._device = device
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def intend(self, seed: int, count: int) -> range:
        """Note the next `count` records, on disk, before any of them is handed over."""
        numbers = range(self.next_n, self.next_n + count)
        self.note(*({"do": "intend", "n": n, "digest": digest_of(seed, self._device, n).hex()} for n in numbers))
        os.fsync(self._file)
        self.next_n += count
        return numbers

    def note(self, *lines: dict[str, Any]) -> None:
        """Append lines by one write, which a kill leaves whole or not there."""
        os.write(self._file, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class Entry:
    """What the ledger says of one record.

    Attributes:
        place: line of its outcome, or of its intent; orders a device's entries and events.
        excused: it may be gone: its outbox was wiped, or replaced by an older copy, with it inside.
        by_digest: its number may be another's too: the outbox was replaced by an older copy at some time.
    """

    device: str
    n: int
    digest: bytes
    place: int
    outcome: int = UNKNOWN
    stream: str | None = None
    seq: int | None = None
    time: int | None = None
    excused: bool = False
    by_digest: bool = False


@dataclass(slots=True)
class Told:
    """All ledgers: records, and the devices that have a reason to declare gaps."""

    entries: list[Entry] = field(default_factory=list)
    may_shed: set[str] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)

    @property
    def cut_streams(self) -> frozenset[tuple[str, str]]:
        """(device, stream) of outboxes that were taken away with records inside."""
        return frozenset((entry.device, entry.stream) for entry in self.entries if entry.excused and entry.stream)

    @property
    def forked(self) -> frozenset[str]:
        """Devices of which a number may stand for two records."""
        return frozenset(entry.device for entry in self.entries if entry.by_digest)


def read(folder: Path, seed: int) -> Told:
    """What all ledgers in a folder say; a digest that does not follow from the seed is named as damage."""
    told = Told()
    for path in sorted(folder.glob("*.jsonl")):
        entries = _entries(path, told)
        told.damaged += [f"{e.device}/{e.n}" for e in entries if e.digest != digest_of(seed, e.device, e.n)]
        told.entries += entries
    return told


def _entries(path: Path, told: Told) -> list[Entry]:
    device, entries = path.stem, dict[int, Entry]()
    copied_at: dict[str, int] = {}
    for place, line in enumerate(_lines(path)):
        match line["do"]:
            case "intend":
                entries[line["n"]] = Entry(device, line["n"], bytes.fromhex(line["digest"]), place)
            case "ok":
                entry = entries[line["n"]]
                entry.outcome, entry.place = ACCEPTED, place
                entry.stream, entry.seq, entry.time = line["stream"], line["seq"], line["time"]
            case "refused":
                entries[line["n"]].outcome = REFUSED
            case "may_shed":
                told.may_shed.add(device)
            case "wiped":
                _excuse(entries.values(), 0)
            case "copied":
                copied_at[line["as"]] = place
            case "restored":
                _excuse(entries.values(), copied_at[line["as"]])
                for entry in entries.values():
                    entry.by_digest = True
    forked = any(entry.by_digest for entry in entries.values())
    for entry in entries.values():
        entry.by_digest = forked
    return list(entries.values())


def _excuse(entries: Iterable[Entry], since: int) -> None:
    for entry in entries:
        entry.excused |= entry.place >= since


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
