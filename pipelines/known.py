"""Known: the keys of the rows that the lake holds already, so that none is written twice.

While a log is read again, most of what it leads to is in the lake. The keys of those
rows lie in a database file beside the data, made once when healing begins.
"""

import threading
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.seeds import OLDER
from schemas.tables import TABLES, Table

_UNKNOWN: Final = "select place from batch b where not exists (from {table} k where {same}) order by place"


class Known:
    """The keys of rows in the lake, by table; several threads may ask."""

    def __init__(self, path: Path) -> None:
        """Open what `gather` made."""
        self._mutex = threading.Lock()
        self._keys = duckdb.connect(str(path))

    def without(self, name: str, batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """The rows of a table that the lake does not hold."""
        table = TABLES[name]
        rows = pa.Table.from_batches(batches, schema=table.schema)
        keys = pa.table({column: _plain(rows[column]) for column in table.key})
        batch = keys.append_column("place", pa.array(range(rows.num_rows), pa.int64()))
        with self._mutex:
            self._keys.register("batch", batch)
            found = self._keys.execute(_UNKNOWN.format(table=name, same=_same(table, batch))).fetchnumpy()["place"]
            self._keys.unregister("batch")
        if len(found) == rows.num_rows:
            return batches
        kept: list[pa.RecordBatch] = rows.take(pa.array(found, pa.int64())).combine_chunks().to_batches()
        return kept

    def close(self) -> None:
        """Close the file."""
        self._keys.close()


def gather(lake: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the keys of all rows that reading the log again may lead to.

    Args:
        lake: a connection with `firsts` noted (`pipelines.seeds`).
        path: of the database file to make.
    """
    path.unlink(missing_ok=True)
    lake.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as known")
    for table in TABLES.values():
        rows = f"not {OLDER}" if "log_offset" in table.schema.names else "true"
        columns = ", ".join(table.key)
        lake.execute(f"create table known.{table.name} as select {columns} from {table.name} t where {rows}")
    lake.execute("detach known")


def _same(table: Table, batch: pa.Table) -> str:
    """The condition under which two rows are one; offsets are bounded, so that little of a large lake is looked at."""
    same = [f"k.{column} is not distinct from b.{column}" for column in table.key]
    if "log_offset" in table.key:
        offsets = batch["log_offset"].to_numpy()
        same.append(f"k.log_offset between {offsets.min()} and {offsets.max()}")
    return " and ".join(same)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
