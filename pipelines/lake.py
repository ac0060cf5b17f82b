"""The lake: rows become Parquet files that are staged, committed and then published.

An epoch's rows are written to local disk and fsynced under `staging/partition/seq`.
Once the epoch is committed they are given their final names in the store, which derive
from (table, partition, seq): a file in the lake is always committed, written once, and a
plain glob reads the truth. A crash at any point leaves files that are either deleted
(not committed) or published again under the same name (committed).
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipelines.durable import sync
from pipelines.marker import Marker, read_marker, write_marker
from pipelines.parquet import by_keys, write_file
from pipelines.store import Store
from schemas.errors import LakeError
from schemas.tables import TABLES

_MARK_EVERY: Final = 16  # staged folders
_MARK_S: Final = 60.0


Tables = dict[str, list[pa.RecordBatch]]
"""Rows by table."""


class Lake:
    """The store of the tables, and the staging folder before it.

    Attributes:
        store: where published files are.
    """

    def __init__(self, store: Store, staging: Path) -> None:
        """Open or create the staging folder.

        Raises:
            LakeError: it can't be written.
        """
        self.store, self._staging = store, staging
        try:
            staging.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(f"{staging}: can't be created: {error.strerror}") from error
        if not os.access(staging, os.W_OK | os.X_OK):
            raise LakeError(f"{staging}: not writable; change its owner or choose another data_dir")
        self._sizes = {path: _size(path) for path in staging.glob("*/*")}
        self._markers: dict[int, Marker] = {}
        self._marked_s: dict[int, float] = {}

    @property
    def staged_bytes(self) -> int:
        """What waits on local disk."""
        return sum(tuple(self._sizes.values()))

    def marker(self, partition: int) -> Marker:
        """How far a partition is in the lake: asked of the store once, since nobody else writes it."""
        if partition not in self._markers:
            self._markers[partition] = read_marker(self.store, partition)
        return self._markers[partition]

    def go_beyond(self, partition: int, seq: int) -> None:
        """Give no number below `seq` again: a publishing that was cut off before its marker has used it."""
        marker = self.marker(partition)
        if seq > marker.seq:
            self._mark(partition, replace(marker, seq=seq), ())

    def staged(self, partition: int) -> list[int]:
        """The staging numbers that wait, in order."""
        return [int(folder.name) for folder in self._folders(partition)]

    def stage(self, partition: int, seq: int, tables: Tables) -> bool:
        """Write rows to local disk, durably; whether there were any.

        Raises:
            OSError: local disk does not take them; what was written of them is deleted.
        """
        folder = self._seq_dir(partition, seq)
        written = False
        try:
            for name, batches in tables.items():
                table = pa.Table.from_batches(batches, schema=TABLES[name].schema)
                for keys, rows in by_keys(TABLES[name], table):
                    path = folder / name / keys / f"part-{partition:03d}-{seq:012d}.parquet"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_file(path, TABLES[name], rows)
                    written = True
            if written:
                _sync_tree(folder)
                self._sizes[folder] = _size(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return written

    def publish(self, partition: int, upto: Marker) -> Iterator[str]:
        """Give what is staged below `upto.seq` its final names, then say so in the marker.

        A marker is written before what it covers leaves local disk, so at any moment each
        committed row is in one of the two. Gives the table of each file.

        Raises:
            Unavailable: the store does not take it now; what went is told or will be found.
            Fatal: a name is taken by other rows.
        """
        before = self.marker(partition)
        if upto.log == before.log:  # a log that is read a second time tells what was told before
            upto = replace(upto, offset=max(upto.offset, before.offset))
        done: list[Path] = []
        for folder in self._folders(partition):
            if int(folder.name) >= upto.seq:
                break
            for path in sorted(folder.rglob("*.parquet")):
                relative = path.relative_to(folder)
                self.store.put_new(relative.as_posix(), path)
                yield relative.parts[0]
            done.append(folder)
            if len(done) == _MARK_EVERY:
                self._mark(partition, Marker(log=upto.log, seq=int(folder.name) + 1, offset=before.offset), done)
                done = []
        if done or before.log != upto.log or self._is_due(partition, before, upto):
            self._mark(partition, upto, done)

    def roll_back(self, partition: int, from_seq: int) -> None:
        """Delete what was staged from `from_seq` on: its epoch was never committed."""
        self._forget(folder for folder in self._folders(partition) if int(folder.name) >= from_seq)

    def forget_staged(self) -> None:
        """Delete all that is staged: the log still has it."""
        self._forget(sorted(self._staging.glob("*/*")))

    def holds_rows(self) -> bool:
        """Whether any table has a file."""
        return any(self.store.holds(f"{name}/", ".parquet") for name in TABLES)

    def _is_due(self, partition: int, before: Marker, upto: Marker) -> bool:
        """Whether to tell of log that was read and led to no row: now and then, since it costs a request."""
        return before != upto and time.monotonic() - self._marked_s.get(partition, 0.0) > _MARK_S

    def _mark(self, partition: int, marker: Marker, done: Iterable[Path]) -> None:
        write_marker(self.store, partition, marker)
        self._markers[partition] = marker
        self._marked_s[partition] = time.monotonic()
        self._forget(done)

    def _forget(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder)
            self._sizes.pop(folder, None)

    def _seq_dir(self, partition: int, seq: int) -> Path:
        return self._staging / f"{partition:03d}" / f"{seq:012d}"

    def _folders(self, partition: int) -> list[Path]:
        folder = self._staging / f"{partition:03d}"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _sync_tree(folder: Path) -> None:
    """Make the names below `folder`, its own and that of the folder it lies in durable."""
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        sync(path)
    sync(folder.parent)
    sync(folder.parent.parent)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def tables_of(batches: Sequence[tuple[str, pa.RecordBatch]]) -> Tables:
    """The batches that have rows, by table."""
    tables: Tables = {}
    for name, batch in batches:
        if batch.num_rows:
            tables.setdefault(name, []).append(batch)
    return tables
