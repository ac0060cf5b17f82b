"""Stop: what a signal handler sets to end a process.

Not an `Event`: a handler can be interrupted by the next signal while it is inside
`Event.set`, and waits for ever then, for a lock that its own thread holds. Two signals
at once are nothing rare: Linux tells a child of its parent's death once for each
thread of the parent.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Stopped(BaseException):
    """What may be broken off is broken off, since a stop was asked for. Not for `except Exception`."""


class Stop:
    """A flag that is set once, from a thread or a signal handler, as often as anybody likes."""

    def __init__(self) -> None:
        """Not set."""
        self._told = False
        self._fragile = False
        self._gate = threading.Lock()  # held until it is set: whoever waits, waits for it
        self._gate.acquire()

    def set(self) -> None:
        """Set it; nothing in here waits."""
        self._told = True
        with suppress(RuntimeError):  # it is open already
            self._gate.release()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._told

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set; whether it is.

        Args:
            seconds: the longest wait, at least 0; without it, there is no end.
        """
        if self._told or not self._gate.acquire(timeout=-1 if seconds is None else max(0.0, min(seconds, 1e6))):
            return self._told
        with suppress(RuntimeError):
            self._gate.release()
        return self._told

    def handle(self, *_: object) -> None:
        """As a signal handler: set it, and break off what may be.

        Raises:
            Stopped: the signal came inside `fragile`.
        """
        self.set()
        if self._fragile:
            self._fragile = False
            raise Stopped

    @contextmanager
    def fragile(self) -> Iterator[None]:
        """What a signal may break off with `Stopped`; for calls that block, with nothing at stake.

        Raises:
            Stopped: it was set before, or is now.
        """
        self._fragile = True
        try:
            if self._told:
                raise Stopped
            yield
        finally:
            self._fragile = False


def pause(stop: Stop, seconds: float, step_s: float) -> Iterator[None]:
    """Wait for so long, or until the stop, and come back every `step_s` seconds."""
    end = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < end:
        yield
        stop.wait(min(step_s, max(0.0, end - time.monotonic())))
