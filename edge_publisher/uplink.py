"""The seam between what a device wants to send and the network that carries it."""

from typing import Protocol

from schemas.topics import Down, Up


class TooLarge(ValueError):
    """The broker would not take a message of this size; publishing it would break the connection for ever."""


class Uplink(Protocol):
    """Publishes at least once, as long as it is connected; promises no durability."""

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """The largest payload that the broker takes."""
        ...

    def publish(self, kind: Up, payload: bytes) -> bool:
        """Send; False, and nothing happened, where it is not connected or too much is under way.

        Raises:
            TooLarge: the payload is above `max_payload_bytes`.
        """
        ...


class Downlink(Protocol):
    """Who hears what the network brings. Called by the thread that polls the link, one call at a time."""

    def on_connected(self, session_present: bool) -> None:
        """A connection stands; without a session, the broker forgot what it held for this device."""
        ...

    def on_message(self, kind: Down, payload: bytes) -> None:
        """A message came."""
        ...
