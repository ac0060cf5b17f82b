"""What the log holds, read without the dataflow: what arrived, how often, and what nobody can read."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas import wire
from schemas.errors import Rejected
from schemas.topics import Up, parse_up

_AWAITED: Final = "topic <> '$tick' and topic not glob '*/up/status' and topic not glob '*/up/hello'"


@dataclass(slots=True)
class Received:
    """The messages with inferences in a log.

    Attributes:
        spans: (device, stream, first, last) of each readable message.
        unreadable: (partition, offset) of the others.
    """

    spans: list[tuple[str, str, int, int]] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)

    def duplicates(self) -> int:
        """Records that came again after they had come once."""
        came = sum(last - first + 1 for _, _, first, last in self.spans)
        return came - sum(map(len, self.numbers().values()))

    def numbers(self) -> dict[tuple[str, str], set[int]]:
        """(device, stream) → the records that came."""
        distinct: dict[tuple[str, str], set[int]] = {}
        for device, stream, first, last in self.spans:
            distinct.setdefault((device, stream), set()).update(range(first, last + 1))
        return distinct


def read(log: Path) -> Received:
    """What the log in a folder holds."""
    received = Received()
    for path in sorted(log.glob("[0-9][0-9][0-9].sqlite")):
        for offset, topic, payload in _records(path):
            _take(received, int(path.stem), offset, topic, payload)
    return received


def end_of(path: Path) -> int:
    """The offset of the last message in one partition that somebody waits for; 0 where there is none."""
    with _open(path) as file:
        found = file.execute(f"select max(offset) from records where {_AWAITED}").fetchone()
    file.close()
    return found[0] or 0


def _take(received: Received, partition: int, offset: int, topic: str, payload: bytes) -> None:
    try:
        origin = parse_up(topic)
        if origin.kind is not Up.INFERENCES:
            return
        headers = wire.decode([payload]).headers
    except Rejected:
        headers = ()
    if not headers:
        received.unreadable.append((partition, offset))
        return
    header = headers[0]
    last = header.first_seq + header.count - 1
    received.spans.append((origin.device, header.stream.hex(), header.first_seq, last))


def _records(path: Path) -> Iterator[tuple[int, str, bytes]]:
    with _open(path) as file:
        yield from file.execute("select offset, topic, payload from records where topic <> '$tick'")
    file.close()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
