"""A courier: brings notices to one target, one after the other, each until it is taken or refused."""

import threading
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from pipelines import metrics
from pipelines.backoff import Backoff
from schemas.errors import Refused, Unavailable

_LEAVE_S: Final = 1.0
log = structlog.get_logger()


class Target(Protocol):
    """One way to reach people.

    Attributes:
        name: as metrics and snapshots call it.
    """

    name: str

    def tell(self, body: bytes, stopping: threading.Event) -> None:
        """Hand over a notice; come back once it is taken, or soon after `stopping` is set.

        Raises:
            Unavailable: it was not taken, try again.
            Refused: it never will be.
        """


class Courier:
    """Brings notices in the order they came, in a thread of its own."""

    def __init__(self, target: Target, on_change: Callable[[], None]) -> None:
        """Wait for the first notice.

        Args:
            target: whom to bring them to.
            on_change: called, by the courier's thread, when it is rid of one.
        """
        self._target, self._on_change = target, on_change
        self._due: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._backoff = Backoff()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name=f"notices-{target.name}", daemon=True)
        self._thread.start()

    def put(self, notice_id: str, body: bytes) -> None:
        """Bring this one too; returns at once."""
        with self._changed:
            self._due.setdefault(notice_id, body)
            self._changed.notify_all()

    def has(self, notice_id: str) -> bool:
        """Whether it is still to be brought."""
        with self._changed:
            return notice_id in self._due

    def ids(self) -> tuple[str, ...]:
        """What is still to be brought."""
        with self._changed:
            return tuple(self._due)

    def drop(self, notice_id: str) -> None:
        """Bring it no more; where it is under way it may arrive."""
        with self._changed:
            self._due.pop(notice_id, None)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until all is brought, but no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: not self._due, max(0.0, seconds))

    def close(self) -> None:
        """End; a target that does not answer is not waited for, and its thread ends with the process."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        while (first := self._first()) is not None:
            notice_id, body = first
            try:
                self._target.tell(body, self._stopping)
            except Refused as error:
                self._settle(notice_id, "refused")
                self._say("refused: a notice is given up", error)
            except Unavailable as error:
                self._pause(error)
            except Exception as error:  # noqa: BLE001 - the rim of this thread: what it owes must not be forgotten
                self._pause(error)
            else:
                self._settle(notice_id, "told")
                self._reached()

    def _first(self) -> tuple[str, bytes] | None:
        """What to bring next; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._due or self._stopping.is_set())
            return None if self._stopping.is_set() else next(iter(self._due.items()))

    def _settle(self, notice_id: str, outcome: str) -> None:
        metrics.NOTICES.labels(self._target.name, outcome).inc()
        self._backoff.reset()
        self.drop(notice_id)
        self._on_change()

    def _pause(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        self._say("can't be told now: notices wait", error)
        self._stopping.wait(self._backoff.next_s())

    def _say(self, what: str, error: Exception) -> None:
        """Say each new trouble once."""
        why = str(error) or repr(error)
        if self._said != why:
            self._said = why
            log.error(what, target=self._target.name, why=why)

    def _reached(self) -> None:
        if self._said:
            self._said = ""
            log.info("notices are taken again", target=self._target.name)
