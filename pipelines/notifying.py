"""The sink of notices: told once their epoch is committed, kept until everybody has been told.

A notice is in the state of its partition from the epoch that made it until every target
has taken or refused it. So a crash at any moment loses none; it may have one told twice,
with the same `id`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.notices import Notice, encode
from pipelines import metrics
from pipelines.healing import Healing
from pipelines.notifier import Notifier
from pipelines.sources import Stopper

State = tuple[tuple[str, bytes, tuple[str, ...]], ...]
"""Of each notice that somebody is still to be told: its id, it itself, and the names of these targets."""
MOST_WAITING: Final = 1000
MOST_WAITING_BYTES: Final = 16 << 20
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Untold:
    """A notice that somebody is still to be told.

    Attributes:
        id: of the notice.
        body: as it travels.
        targets: names of those who are to be told.
    """

    id: str
    body: bytes
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoticeSink(FixedPartitionedSink[tuple[Notice, ...], State]):
    """Tells people of alarms, once what raised them is committed.

    Attributes:
        notifier: does it, in the background.
        partitions: as many as the log has.
        healing: while the log is read again nobody is told: they were, when it was read first.
        stopper: knows whether the end is clean.
    """

    notifier: Notifier
    partitions: int
    healing: Healing
    stopper: Stopper

    def list_parts(self) -> list[str]:
        """One for each log partition."""
        return [f"{number:03d}" for number in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Keys are log partitions, as digits."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> "NoticePart":  # noqa: ARG002 - Bytewax's
        """Whoever was not told before is told after the first item."""
        return NoticePart(self, [_Untold(*each) for each in resume_state or ()])


class NoticePart(StatefulSinkPartition[tuple[Notice, ...], State]):
    """One partition of the notices; its state is bounded by `MOST_WAITING` and `MOST_WAITING_BYTES`."""

    def __init__(self, sink: NoticeSink, resumed: Sequence[_Untold]) -> None:
        """Go on with what an earlier life has committed."""
        self._sink = sink
        self._waiting = {each.id: each for each in resumed}
        self._new: list[str] = []
        self._committing = list(self._waiting)

    def write_batch(self, items: list[tuple[Notice, ...]]) -> None:
        """Have told what the last epoch made; keep what this one does."""
        self._settle()
        targets = self._sink.notifier.targets
        for notice in (notice for item in items for notice in item if targets):
            self._waiting[notice["id"]] = _Untold(notice["id"], encode(notice), targets)
            self._new.append(notice["id"])

    def snapshot(self) -> State:
        """What somebody is still to be told."""
        self._committing, self._new = self._committing + self._new, []
        self._leave_out_told()
        self._leave_out_oldest()
        return tuple((each.id, each.body, each.targets) for each in self._waiting.values())

    def close(self) -> None:
        """Have told what is committed, if the end is clean; else the next start does."""
        if self._sink.stopper.clean.is_set():
            self._settle()

    def _settle(self) -> None:
        """Have told what was made before the last snapshot: its epoch is committed."""
        if not (self._committing and self._sink.notifier.targets):  # a run that tells nobody leaves it to the next
            return
        committed = [self._waiting[each] for each in self._committing if each in self._waiting]
        self._committing = []
        if self._sink.healing.active:
            log.info("healing: nobody is told of alarms in what is read again", notices=len(committed))
            for each in committed:
                del self._waiting[each.id]
            return
        for each in committed:
            self._sink.notifier.tell(each.id, each.body, each.targets)

    def _leave_out_told(self) -> None:
        ahead = set(self._committing)
        for each in tuple(self._waiting.values()):
            left = each.targets if each.id in ahead else self._sink.notifier.untold(each.id)
            if left:
                self._waiting[each.id] = replace(each, targets=left)
            else:
                del self._waiting[each.id]

    def _leave_out_oldest(self) -> None:
        """Keep to the bounds of the state."""
        size = sum(len(each.body) for each in self._waiting.values())
        dropped: list[_Untold] = []
        while len(self._waiting) > MOST_WAITING or size > MOST_WAITING_BYTES:
            oldest = self._waiting.pop(next(iter(self._waiting)))
            size -= len(oldest.body)
            dropped.append(oldest)
        for each in dropped:
            self._sink.notifier.forget(each.id)
            for name in each.targets:
                metrics.NOTICES.labels(name, "dropped").inc()
        if dropped:
            log.error(
                "too many notices wait: the oldest are told to nobody any more; the table alarms has what they said",
                dropped=len(dropped),
                targets=sorted({name for each in dropped for name in each.targets}),
            )
