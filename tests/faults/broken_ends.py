"""Mutants of ingest, which forgets, and of devices, which free or declare wrongly."""

import os
from collections.abc import Callable
from typing import Any

from tests.faults.wrapping import wrap


def log_forgets_messages() -> None:
    from pipelines.log import LogWriter

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def append(self: Any, messages: Any, now_us: int) -> None:
            kept = [message for place, message in enumerate(messages) if (place + now_us) % 5]
            if kept:
                original(self, kept, now_us)

        return append

    wrap(LogWriter, "append", make)


def puback_before_log() -> None:
    """Messages are written when sixty more have come, and acknowledged at once."""
    from pipelines.log import LogWriter

    waiting: list[Any] = []

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def append(self: Any, messages: Any, now_us: int) -> None:
            waiting.extend(messages)
            due, waiting[:] = waiting[:-60], waiting[-60:]
            if due:
                original(self, due, now_us)

        return append

    wrap(LogWriter, "append", make)


def frees_when_sent() -> None:
    from edge_publisher.sender import Sender

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def publish(self: Any, rows: Any) -> Any:
            last = original(self, rows)
            if last is not None:
                self._outbox.ack(last)
            return last

        return publish

    wrap(Sender, "_publish", make)


def reuses_stream() -> None:
    from edge_publisher import outbox

    class Same:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def urandom(self, size: int) -> bytes:
            return bytes(size)

    outbox.os = Same()  # type: ignore[assignment]


def sheds_silently() -> None:
    from edge_publisher import gaps

    def lose(sql: Any, seqs: list[int], reason: str, device_time_us: int) -> None:
        sql.executemany("DELETE FROM records WHERE seq = ?", [(seq,) for seq in seqs])

    gaps.lose = lose
