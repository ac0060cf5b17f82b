"""A link that loses, repeats and swaps messages, and says that all is well."""

import random

from edge_publisher.uplink import Uplink
from schemas.topics import Up


class BadLink:
    """Stands before an uplink and spoils what is published.

    Args:
        uplink: the real one.
        drop, duplicate, reorder: probabilities, each in [0, 1], for each message.
        rng: decides.

    Attributes:
        dropped, duplicated, reordered: how often it did.
    """

    def __init__(self, uplink: Uplink, *, drop: float, duplicate: float, reorder: float, rng: random.Random) -> None:
        self.dropped = 0
        self.duplicated = 0
        self.reordered = 0
        self._uplink = uplink
        self._drop, self._duplicate, self._reorder = drop, duplicate, reorder
        self._rng = rng
        self._held: tuple[Up, bytes] | None = None

    @property
    def connected(self) -> bool:
        """As the real one."""
        return self._uplink.connected

    @property
    def max_payload_bytes(self) -> int:
        """As the real one."""
        return self._uplink.max_payload_bytes

    def publish(self, kind: Up, payload: bytes) -> bool:
        """Send it, or not, or twice, or after the next one."""
        if self._rng.random() < self._drop:
            self.dropped += 1
            return True
        if self._held is None and self._rng.random() < self._reorder:
            self.reordered += 1
            self._held = (kind, payload)
            return True
        if not self._uplink.publish(kind, payload):
            return False
        if self._rng.random() < self._duplicate:
            self.duplicated += 1
            self._uplink.publish(kind, payload)
        held, self._held = self._held, None
        if held is not None and not self._uplink.publish(*held):
            self._held = held
        return True
