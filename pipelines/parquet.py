"""Parquet: how rows of a table become files: split by Hive keys, sorted, compressed, on disk for good."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.tables import Table

ROW_GROUP_ROWS: Final = 128 * 1024
_RANDOM: Final = frozenset({"embedding", "sample_digest", "sample", "payload", "scores.list.element", "entropy"})


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


def by_keys(table: Table, rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
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
