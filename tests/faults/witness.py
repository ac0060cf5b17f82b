"""The witness: every message that the broker took from one link, by its digest.

An agent sends again what nobody acknowledges, which hides a log that forgets messages.
The device that sends garbage never repeats itself: what the broker took from it must be
in the log, as long as the broker itself was not killed.
"""

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from edge_publisher.link import Link


class WitnessedLink(Link):
    """A link that writes down what the broker has taken."""

    witness: Path

    def _on_publish(self, client: Any, data: Any, mid: int, code: Any, properties: Any) -> None:
        topic, payload = self._under_way.get(mid, ("", b""))
        super()._on_publish(client, data, mid, code, properties)
        if topic and code.value == 0:
            with self.witness.open("ab") as file:
                file.write(_digest(payload))
                os.fsync(file.fileno())


def unlogged(witness: Path, log: Path) -> list[str]:
    """What the broker took and the log does not hold."""
    taken = witness.read_bytes() if witness.exists() else b""
    held = {_digest(payload) for path in log.glob("[0-9][0-9][0-9].sqlite") for payload in _payloads(path)}
    messages = [taken[at : at + 32] for at in range(0, len(taken), 32)]
    return [message.hex()[:16] for message in messages if message not in held]


def _payloads(path: Path) -> list[bytes]:
    file = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return [payload for (payload,) in file.execute("select payload from records where topic <> '$tick'")]
    finally:
        file.close()


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()
