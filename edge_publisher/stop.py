"""Stop: what a signal handler sets to end the agent.

Not an `Event`: a handler runs in the middle of whatever the main thread does, and waits
for ever where that is inside the same event.
"""

import threading
from contextlib import suppress


class Stop:
    """A flag that is set once, from a thread or a signal handler, as often as anybody likes."""

    def __init__(self) -> None:
        self._told = False
        self._gate = threading.Lock()  # held until it is set: whoever waits, waits for it
        self._gate.acquire()

    def set(self, *_: object) -> None:
        """Set it; also as a signal handler."""
        self._told = True
        with suppress(RuntimeError):  # it is open already
            self._gate.release()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._told

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; whether it is."""
        if not self._told and self._gate.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            with suppress(RuntimeError):
                self._gate.release()
        return self._told
