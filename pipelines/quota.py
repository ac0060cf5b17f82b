"""The quota of the log: what is published goes first, then nothing more is taken.

At the quota, records that the lake holds are forgotten although `log.keep` would keep
them, the oldest first. Where that is not enough, the log is full: ingest hangs up, and
takes up again once there is room for a tenth of the quota.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from pipelines import metrics
from pipelines.log import LogWriter

_ROOM: Final = 0.9
_CHUNK_RECORDS: Final = (32, 16_384)
_LONGEST_S: Final = 0.2
_NEVER_US: Final = 2**62
log = structlog.get_logger()


@dataclass(slots=True)
class Quota:
    """Keeps the partitions of a writer below their part of the quota.

    Attributes:
        writer: of these partitions.
        most_bytes: for all partitions of the log, pages in use and write-ahead logs.
        full: nothing more must be taken.
        shrinking: records that should be kept longer had to go, and still have to.
    """

    writer: LogWriter
    most_bytes: int
    full: bool = False
    shrinking: bool = False
    _measured: int = field(default=-1)

    @property
    def own_bytes(self) -> int:
        """The part of the quota that falls to these partitions."""
        return self.most_bytes * len(self.writer.owned) // self.writer.partitions

    def is_due(self) -> bool:
        """Whether so much has been written since the last look that one should look again."""
        return self._measured < 0 or self.writer.appended_bytes - self._measured > self.own_bytes // 100

    def mind(self, published: Mapping[int, int]) -> None:
        """Look how much is used, and do what follows from it; takes a fraction of a second at most.

        Args:
            published: partition → offset up to which all is in the lake.

        Raises:
            Unavailable: the log's disk fails.
        """
        self._measured = self.writer.appended_bytes
        used = self.writer.used_bytes()
        if used >= (self._low_bytes if self.full else self.own_bytes):
            used = self._make_room(published)
        self._tell(used)
        metrics.LOG_BYTES.set(used)

    @property
    def _low_bytes(self) -> int:
        return int(self.own_bytes * _ROOM)

    def _make_room(self, published: Mapping[int, int]) -> int:
        """Forget what is published until there is some room; what is used then."""
        self.writer.settle()
        most, largest = _CHUNK_RECORDS
        end = time.monotonic() + _LONGEST_S
        while (used := self.writer.used_bytes()) > self._low_bytes and time.monotonic() < end:
            if not self._forget_oldest(published, most):
                break
            self.writer.settle()
            most = min(2 * most, largest)
        return used

    def _forget_oldest(self, published: Mapping[int, int], most: int) -> bool:
        """Forget up to `most` records of the partition whose oldest published one came first; whether there was any."""
        heads = []
        for partition in self.writer.owned:
            oldest = self.writer.oldest(partition)
            if oldest is not None and oldest[0] <= published.get(partition, 0):
                heads.append((oldest[1], partition))
        if not heads:
            return False
        _, partition = min(heads)
        self.writer.trim(partition, published[partition], _NEVER_US, most)
        if not self.shrinking:
            self.shrinking = True
            log.warning(
                "the log has reached its quota: what is in the lake is forgotten before log.keep",
                quota_bytes=self.most_bytes,
                hint="raise log.max_bytes for a longer replay window",
            )
        return True

    def _tell(self, used: int) -> None:
        full = used >= (self._low_bytes if self.full else self.own_bytes)
        if full != self.full:
            self.full = full
            metrics.LOG_FULL.set(full)
            if full:
                log.error(
                    "the log is full of what is not in the lake yet: nothing is taken from the broker",
                    used_bytes=used,
                    quota_bytes=self.own_bytes,
                    hint="is `gleaner run` running, and does its store take rows?",
                )
            else:
                log.info("the log has room again", used_bytes=used, quota_bytes=self.own_bytes)
        if used < self._low_bytes // 2:
            self.shrinking = False
