"""Replay: the same flow over the log again, into another lake.

With the same settings it gives the same rows and alarms, with others what they would
have given. Devices hear nothing of it, the service's own state is not touched. The log
is read from its first record, so that windows and budgets are what they were, and rows
of the wanted stretch of time are written.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import Progress as Bar

from pipelines.commands import Silence
from pipelines.healing import Healing
from pipelines.lake import Lake, Tables
from pipelines.log import LogReader, partitions_of
from pipelines.place import Place
from pipelines.planning import load_bundles, plan_of
from pipelines.run import Job, flow
from pipelines.seeds import Seeds, firsts_of, note_firsts, seeds_of
from pipelines.settings import Settings
from pipelines.sources import Stopper
from pipelines.store import open_store
from pipelines.views import connect
from schemas.errors import InputError

_TIMES: Final = {"windows": "window_end", "drift": "window_end", "alarms": "changed", "selections": "changed"}
"""The column that says when a row came about; `received` in the other tables."""
_REFRESH_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of log time, in microseconds since 1970, both ends included.

    Attributes:
        begin_us: rows that came about before are not written.
        end_us: records that came later are not read; None for all there are at the start.
    """

    begin_us: int = 0
    end_us: int | None = None

    def rows(self, tables: Tables) -> Tables:
        """What of some rows belongs to it."""
        kept = {name: [self._since(name, batch) for batch in batches] for name, batches in tables.items()}
        return {name: some for name, batches in kept.items() if (some := [b for b in batches if b.num_rows])}

    def _since(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        times = batch[_TIMES.get(table, "received")].cast(pa.int64())
        return batch.filter(pc.greater_equal(times, self.begin_us)) if self.begin_us else batch


def replay(settings: Settings, log_folder: Path, source: Place, to: Place, stretch: Stretch, stopper: Stopper) -> None:
    """Read a log again, into another lake.

    Args:
        settings: what the flow decides by, and where the bundles are; of its `data_dir` nothing else is used.
        log_folder: the log.
        source: the lake that the service made of it, which knows what the log has forgotten.
        to: the new lake.
        stretch: what to read and write.
        stopper: ends it; it ends by itself with the stretch.

    Raises:
        InputError: the new lake holds rows already, or there is no log.
        Unavailable: a store does not answer.
    """
    partitions = partitions_of(log_folder)
    with TemporaryDirectory(prefix="gleaner-replay-") as folder:
        own = settings.model_copy(
            update={
                "data_dir": Path(folder),
                "log": settings.log.model_copy(update={"path": log_folder}),
                "models": settings.models.model_copy(
                    update={"path": settings.models_dir, "references": settings.references_dir}
                ),
            }
        )
        lake = Lake(open_store(to), own.staging_dir)
        if lake.holds_rows() or any(lake.marker(number).log for number in range(partitions)):
            raise InputError(f"{to}: holds rows already; choose an empty --lake")
        seeds = _seeds(log_folder, partitions, source)
        job = Job(
            settings=own,
            plan=plan_of(own, partitions, load_bundles(own.models_dir)),
            lake=lake,
            commands=Silence(),
            stopper=stopper,
            healing=Healing(Path(folder) / "healing", seeds),
            ends={number: _end(log_folder, number, stretch) for number in range(partitions)},
            keep=stretch.rows,
        )
        with _shown(job):
            flow(job)


def _seeds(log_folder: Path, partitions: int, source: Place) -> Seeds:
    """What the service's lake knows of records that the log has forgotten."""
    firsts = firsts_of(log_folder, partitions)
    if not any(first.offset > 1 for first in firsts):
        return {}
    with connect(source) as lake:
        note_firsts(lake, firsts)
        return seeds_of(lake, partitions)


def _end(log_folder: Path, partition: int, stretch: Stretch) -> int:
    reader = LogReader(log_folder, partition)
    try:
        last = reader.end()
        return last if stretch.end_us is None else min(last, reader.last_before(stretch.end_us + 1))
    finally:
        reader.close()


@contextmanager
def _shown(job: Job) -> Iterator[None]:
    """A bar on standard error while a person is looking: records read, of those to read."""
    total = sum(job.ends.values())
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task, done = bar.add_task("replay", total=total), threading.Event()

        def show() -> None:
            while not done.wait(_REFRESH_S):
                bar.update(task, completed=sum(job.commits.values()))

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
