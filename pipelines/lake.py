"""The lake: rows become Parquet files that are staged, committed and then published.

An epoch's rows are written to local disk and fsynced under `staging/partition/seq`.
Once the epoch is committed they are moved under their final names, which derive from
(table, partition, seq): a file in the lake is always committed, written once, and a
plain glob reads the truth. A crash at any point leaves files that are either deleted
(not committed) or published again under the same name (committed).
"""

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import Fatal, LakeError
from schemas.tables import TABLES, Table

ROW_GROUP_ROWS: Final = 128 * 1024
_RANDOM: Final = frozenset({"embedding", "sample_digest", "sample", "payload", "scores.list.element", "entropy"})


class Lake:
    """A folder of tables, and the staging folder before it."""

    def __init__(self, root: Path, staging: Path) -> None:
        """Open or create both.

        Raises:
            LakeError: one can't be written.
        """
        self.root, self._staging = root, staging
        for folder in (root, staging):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LakeError(f"{folder}: can't be created: {error.strerror}") from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise LakeError(f"{folder}: not writable; change its owner or choose another lake.path")

    def stage(self, partition: int, seq: int, tables: dict[str, list[pa.RecordBatch]]) -> bool:
        """Write rows to local disk, durably; whether there were any."""
        written = False
        for name, batches in tables.items():
            table = pa.Table.from_batches(batches, schema=TABLES[name].schema)
            for keys, rows in _by_keys(TABLES[name], table):
                path = self._seq_dir(partition, seq) / name / keys / f"part-{partition:03d}-{seq:012d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, TABLES[name], rows)
                written = True
        if written:
            _sync_tree(self._seq_dir(partition, seq))
        return written

    def publish(self, partition: int, before_seq: int) -> Iterator[str]:
        """Move everything staged below `before_seq` to its final name; give the table of each file."""
        for folder in self._staged(partition):
            if int(folder.name) < before_seq:
                for path in sorted(folder.rglob("*.parquet")):
                    relative = path.relative_to(folder)
                    _move(path, self.root / relative, self.root / "_incoming")
                    yield relative.parts[0]
                shutil.rmtree(folder)

    def roll_back(self, partition: int, from_seq: int) -> None:
        """Delete what was staged from `from_seq` on: its epoch was never committed."""
        for folder in self._staged(partition):
            if int(folder.name) >= from_seq:
                shutil.rmtree(folder)

    def is_empty(self) -> bool:
        """Whether no table has a file."""
        return not any(
            next((self.root / name).rglob("*.parquet"), None) for name in TABLES if (self.root / name).is_dir()
        )

    def _seq_dir(self, partition: int, seq: int) -> Path:
        return self._staging / f"{partition:03d}" / f"{seq:012d}"

    def _staged(self, partition: int) -> list[Path]:
        folder = self._staging / f"{partition:03d}"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def write_file(path: Path, table: Table, rows: pa.Table) -> None:
    """Write rows, sorted, to a new Parquet file and fsync it."""
    with path.open("wb") as file:
        schema = table.file_schema
        writer = pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[f.name for f in schema if pa.types.is_string(f.type)],
            write_statistics=[f.name for f in schema if f.name not in _RANDOM],
            store_schema=False,
        )
        with writer:
            writer.add_key_value_metadata(schema.metadata)  # without store_schema none of it is written
            writer.write_table(_sorted(rows, table).select(schema.names).cast(schema), ROW_GROUP_ROWS)
        file.flush()
        os.fsync(file.fileno())


def _sorted(rows: pa.Table, table: Table) -> pa.Table:
    """The rows in the table's order; Arrow sorts words by their text."""
    rows = rows.unify_dictionaries().combine_chunks()
    keys = [_rank(rows[name]) for name in reversed(table.sort)]
    order = np.lexsort(keys)
    return rows if (order[1:] > order[:-1]).all() else rows.take(pa.array(order))


def _rank(column: pa.ChunkedArray) -> Any:
    """Numbers that sort as the column does."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_string(array.type):
        array = array.dictionary_encode()
    if pa.types.is_dictionary(array.type):
        ranks = pc.rank(array.dictionary).to_numpy()
        codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return ranks[codes] if len(ranks) else codes
    return array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _by_keys(table: Table, rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    """The rows of each set of Hive keys, with its path."""
    if not rows.num_rows:
        return
    keys = rows.select(list(table.by)).unify_dictionaries()
    distinct = pa.table({n: _plain(keys[n]) for n in table.by}).group_by(list(table.by)).aggregate([]).to_pylist()
    for key in sorted(distinct, key=str):
        path = "/".join(f"{name}={key[name]}" for name in table.by)
        if len(distinct) == 1:
            yield path, rows
            return
        mask = pc.equal(_plain(keys[table.by[0]]), pa.scalar(key[table.by[0]]))
        for name in table.by[1:]:
            mask = pc.and_(mask, pc.equal(_plain(keys[name]), pa.scalar(key[name])))
        yield path, rows.filter(mask)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _move(source: Path, target: Path, incoming: Path) -> None:
    """Give a staged file its final name, durably; on another file system by a copy first.

    Raises:
        Fatal: the name is taken by other rows, which are not overwritten.
    """
    _make_folder(target.parent)
    if target.exists():
        if filecmp.cmp(source, target, shallow=False):
            return
        raise Fatal(
            f"{target}: holds other rows than those to publish under this name; two data folders write to one "
            "lake.path, or the recovery store is older than the lake"
        )
    try:
        source.replace(target)
    except OSError:
        incoming.mkdir(exist_ok=True)
        draft = incoming / target.name
        shutil.copyfile(source, draft)
        _sync(draft)
        draft.replace(target)
    _sync(target.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each name durable: a file is lost with the folder it lies in."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync_tree(folder: Path) -> None:
    """Make the names below `folder`, its own and that of the folder it lies in durable."""
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        _sync(path)
    _sync(folder.parent)
    _sync(folder.parent.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tables_of(batches: Sequence[tuple[str, pa.RecordBatch]]) -> dict[str, list[pa.RecordBatch]]:
    """The batches that have rows, by table."""
    tables: dict[str, list[pa.RecordBatch]] = {}
    for name, batch in batches:
        if batch.num_rows:
            tables.setdefault(name, []).append(batch)
    return tables
