"""Healing: a recovery store that does not fit the lake is set aside, and the log is read again.

The store may be lost, a copy older than the lake, or newer than it because the lake
lost files; or the log itself is new. In each case the truth is in the lake and in the
log: dedup learns from the lake what is older than the log, the log is read from its
first record, and rows that the lake holds are left out. So nothing is doubled, and
nothing is missing that the log still has.
"""

import json
import shutil
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import structlog

from pipelines import durable
from pipelines.known import Known, gather
from pipelines.lake import Lake, Tables
from pipelines.log import LogReader, partitions_of
from pipelines.place import Place
from pipelines.progress import Progress
from pipelines.seeds import Seeds, count_streams, firsts_of, note_firsts, seeds_of
from pipelines.views import connect, next_numbers
from schemas.errors import GleanerError

_FROM_WINDOWS: Final = {"windows": "window_start", "drift": "window_start", "alarms": "since"}
_STATE: Final = "state.json"
_KEYS: Final = "known.duckdb"
log = structlog.get_logger()


class OutOfStep(GleanerError):
    """The recovery store does not fit the lake; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What a start after a crash must know.

    Attributes:
        ends: partition → offset of the last record when healing began.
        begin_us: time of the first record of a log that has forgotten its first ones, else 0.
        committed: whether anything of it was committed, so that it goes on and need not begin anew.
    """

    ends: dict[int, int]
    begin_us: int
    committed: bool = False


@dataclass(slots=True)
class Healing:
    """Whether the log is being read again, and what to leave out meanwhile.

    Attributes:
        folder: where it is kept over a restart.
        seeds: what dedup must know at the start; only in the life that began the healing.
    """

    folder: Path
    seeds: Seeds = field(default_factory=dict)
    _state: _State | None = None
    _known: Known | None = None
    _published: dict[int, int] = field(default_factory=dict)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def resume(cls, folder: Path) -> "Healing":
        """What an earlier life left, or nothing to heal."""
        made = cls(folder)
        if (folder / _STATE).exists():
            told = json.loads((folder / _STATE).read_text())
            made._state = _State(**{**told, "ends": {int(key): end for key, end in told["ends"].items()}})
        if made._state is not None and made._state.committed:
            made._known = Known(folder / _KEYS)
        return made

    @property
    def active(self) -> bool:
        """Whether rows may be in the lake already."""
        return self._state is not None

    @property
    def must_begin_anew(self) -> bool:
        """Whether an earlier life began to heal and committed nothing."""
        return self._state is not None and not self._state.committed

    def begin(self, ends: dict[int, int], begin_us: int, seeds: Seeds) -> None:
        """Take up healing; the keys of known rows are gathered."""
        self.seeds, self._published = seeds, {}
        self._state = _State(ends=ends, begin_us=begin_us)
        self._save()
        self._known = Known(self.folder / _KEYS)

    def leave_out(self, tables: Tables) -> Tables:
        """The rows that the lake does not hold."""
        state, known = self._state, self._known
        if state is None or known is None:
            return tables
        kept = {name: known.without(name, batches) for name, batches in tables.items()}
        for name in kept.keys() & _FROM_WINDOWS.keys():  # of windows before the log begins, the lake knows more
            kept[name] = [_since(batch, _FROM_WINDOWS[name], state.begin_us) for batch in kept[name]]
        return {name: [b for b in batches if b.num_rows] for name, batches in kept.items() if any(map(len, batches))}

    def published(self, partition: int, offset: int) -> None:
        """A partition is in the lake up to `offset`; the last one that reaches its end ends the healing."""
        with self._mutex:
            if self._state is None:
                return
            if not self._state.committed:
                self._state = _State(**{**asdict(self._state), "committed": True})
                self._save()
            self._published[partition] = offset
            if all(self._published.get(number, 0) >= end for number, end in self._state.ends.items()):
                self._finish()

    def close(self) -> None:
        """Close the file of known keys."""
        if self._known is not None:
            self._known.close()
            self._known = None

    def _finish(self) -> None:
        self._state = None
        shutil.rmtree(self.folder)
        log.info("healed: the log was read again, the lake holds all of it once")

    def _save(self) -> None:
        assert self._state is not None
        durable.write_text(self.folder / _STATE, json.dumps(asdict(self._state)))


def start_of(lake: Lake, healing: Healing, partition: int, resumed: int | None) -> int:
    """The staging number at which a partition goes on.

    Args:
        lake: with what is staged and published.
        healing: whether a new recovery store is being filled.
        partition: of the log.
        resumed: the number in the recovery store, None where it has none.

    Raises:
        OutOfStep: the store and the lake are of different times.
    """
    there = lake.marker(partition).seq
    if resumed is None and (healing.active or there == 0):
        return there
    if resumed is None or resumed < there:
        raise OutOfStep(f"partition {partition}: the lake holds {there} files' worth, the store knows {resumed or 0}")
    lost = set(range(there, resumed)) - set(lake.staged(partition))
    if lost:
        raise OutOfStep(f"partition {partition}: files {min(lost)} to {max(lost)} are neither staged nor in the lake")
    return resumed


def heal(why: str, healing: Healing, lake: Lake, place: Place, log_folder: Path, recovery: Path) -> None:
    """Set the recovery store aside and prepare to read the log again.

    Args:
        why: for the log of this process.
        healing: takes it up.
        lake: of the service; what is staged is deleted, since the log still has it.
        place: of the lake, to ask it by SQL.
        log_folder: of the log.
        recovery: folder of the recovery store.

    Raises:
        Unavailable: the store does not answer; nothing was changed, try again.
    """
    log.warning("healing: the log is read again from its first record", why=why)
    partitions = partitions_of(log_folder)
    Progress(recovery.parent).reset()  # first of all: from now on the log forgets nothing
    firsts = firsts_of(log_folder, partitions)
    healing.close()
    shutil.rmtree(healing.folder, ignore_errors=True)
    healing.folder.mkdir(parents=True)
    with connect(place) as connection:
        note_firsts(connection, firsts)
        gather(connection, healing.folder / _KEYS)
        seeds = seeds_of(connection, partitions)
        numbers = next_numbers(connection, place)
    has_older = bool(seeds) or any(first.offset > 1 for first in firsts)
    begin_us = max((first.received_us for first in firsts), default=0) if has_older else 0
    ends = {number: _end(log_folder, number) for number in range(partitions)}
    for number in range(partitions):
        lake.go_beyond(number, numbers.get(number, 0))
    healing.begin(ends, begin_us, seeds)
    _set_aside(recovery)
    lake.forget_staged()
    log.info("healing", records=sum(ends.values()), streams_known_of_older_ones=count_streams(seeds))


def _end(log_folder: Path, partition: int) -> int:
    reader = LogReader(log_folder, partition)
    try:
        return reader.end()
    finally:
        reader.close()


def _set_aside(recovery: Path) -> None:
    """Keep the store that did not fit, for whoever wants to know why; the one before it goes."""
    if recovery.exists():
        aside = recovery.with_name(f"{recovery.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        recovery.rename(aside)


def _since(batch: pa.RecordBatch, column: str, begin_us: int) -> pa.RecordBatch:
    starts = batch[column].cast(pa.int64()).to_numpy(zero_copy_only=False)
    return batch.filter(pa.array(starts >= begin_us))
