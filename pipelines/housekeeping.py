"""Housekeeping: what ingest does on a timer: ticks, forgetting what is published and old, minding the quota."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from pipelines import progress
from pipelines.log import LogWriter
from pipelines.quota import Quota
from pipelines.settings import Settings
from pipelines.stop import Stop, pause
from schemas.errors import Unavailable

_TRIM_EVERY_S: Final = 10.0
_MEASURE_EVERY_S: Final = 1.0
_TRIM_RECORDS: Final = 20_000
_GROUP_BYTES: Final = 16 << 20
_CLOCK_SLACK_US: Final = 60_000_000
log = structlog.get_logger()


@dataclass(slots=True)
class Housekeeping:
    """Turns that are taken between groups of messages, or while nobody sends any.

    Attributes:
        settings: of the server.
        writer: of the log.
    """

    settings: Settings
    writer: LogWriter
    _quota: Quota = field(init=False)
    _ticked_s: float = 0.0
    _trimmed_s: float = 0.0
    _measured_s: float = 0.0
    _clock_behind: bool = False

    def __post_init__(self) -> None:
        """Begin with the quota of the settings."""
        self._quota = Quota(self.writer, self.settings.log.max_bytes)

    @property
    def is_full(self) -> bool:
        """Whether the log has reached its quota, and nothing must be taken."""
        return self._quota.full

    @property
    def group_bytes(self) -> int:
        """How much may be written between two turns: so little that the quota is hardly passed."""
        return min(_GROUP_BYTES, self._quota.own_bytes // 64)

    def turn(self) -> None:
        """Do what is due.

        Raises:
            Unavailable: the log's disk is full, or fails.
        """
        now = time.monotonic()
        if now - self._ticked_s >= self.settings.log.tick.total_seconds():
            self._ticked_s = now
            self._mind_clock()
            self.writer.tick(now_us())
        if now - self._trimmed_s >= _TRIM_EVERY_S:
            behind = self._trim()
            self._trimmed_s = 0.0 if behind else now
        if now - self._measured_s >= _MEASURE_EVERY_S or self._quota.is_due():
            self._measured_s = now
            self._quota.mind(progress.read(self.settings.data_dir))

    def wait(self, stop: Stop, seconds: float) -> None:
        """Take turns for so long, or until the stop."""
        for _ in pause(stop, seconds, min(_MEASURE_EVERY_S, self.settings.log.tick.total_seconds())):
            with suppress(Unavailable):  # said once there is something to write
                self.turn()

    def _mind_clock(self) -> None:
        """Say, once, that the clock went back: nothing is decided until log time has been caught up."""
        ahead_us = self.writer.ahead_us(now_us())
        if (ahead_us > _CLOCK_SLACK_US) != self._clock_behind:
            self._clock_behind = not self._clock_behind
            told = log.error if self._clock_behind else log.info
            told("the clock is behind the log", log_time_ahead_s=ahead_us // 1_000_000, until_then="no window closes")

    def _trim(self) -> bool:
        """Forget some of what may be forgotten; whether there is more."""
        before = now_us() - int(self.settings.log.keep.total_seconds() * 1e6)
        published = progress.read(self.settings.data_dir)
        gone = [
            self.writer.trim(partition, published[partition], before, _TRIM_RECORDS)
            for partition in self.writer.owned
            if partition in published
        ]
        return max(gone, default=0) == _TRIM_RECORDS


def now_us() -> int:
    """The time in microseconds since 1970."""
    return time.time_ns() // 1000
