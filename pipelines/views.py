"""Views: the lake as SQL sees it, tables and the questions everybody asks."""

from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.bucket_reader import open_bucket
from pipelines.place import Bucket, Place
from pipelines.store import Store, reading_store
from schemas.errors import LakeError, Unavailable
from schemas.tables import TABLES, Table

_ORDER: Final = (
    "fates",
    "predictions",
    "model_versions",
    "current_windows",
    "current_drift",
    "current_alarms",
    "open_alarms",
    "labels",
    "expected_accuracy",
    "current_selections",
    "labelling",
)
_HIVE_TYPES: Final = {"model": "VARCHAR", "date": "DATE"}


def connect(lake: Place) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in which every table of the lake is a view.

    A table that has no file yet is an empty one with the right columns.

    Raises:
        LakeError: there is no such lake, or a file in it is none of Parquet.
        Unavailable: its store does not answer, or lets nobody in.
    """
    if isinstance(lake, Path) and not lake.is_dir():
        raise LakeError(f"{lake}: no lake here; say --lake, or start `gleaner run` first")
    store = reading_store(lake)
    connection = duckdb.connect(":memory:")
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")  # it would go to stdout, into the answer
    if isinstance(lake, Bucket):
        open_bucket(connection, lake)
    try:
        for table in TABLES.values():
            connection.execute(f"create view {table.name} as {_source(lake, store, table)}")
    except duckdb.Error as error:
        kind = Unavailable if isinstance(error, duckdb.HTTPException | duckdb.IOException) else LakeError
        raise kind(f"{lake}: {str(error).splitlines()[0]}") from error
    for name in _ORDER:
        connection.execute((resources.files("pipelines") / "sql" / f"{name}.sql").read_text())
    return connection


def columns_of(result: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of an answer's columns; none where a statement has no answer."""
    return [column[0] for column in result.description or ()]


def rows_of(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """An answer's rows, by the names of its columns."""
    names = columns_of(result)
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def view_names() -> tuple[str, ...]:
    """The tables and views that `connect` gives."""
    return (*TABLES, *_ORDER)


def next_numbers(connection: duckdb.DuckDBPyConnection, lake: Place) -> dict[int, int]:
    """Log partition → the first staging number that no file of the lake has.

    Args:
        connection: to this lake, from `connect`.
        lake: where it is.
    """
    name = r"part-(\d+)-(\d+)\.parquet$"
    query = f"""
        select regexp_extract(file, '{name}', 1)::integer, max(regexp_extract(file, '{name}', 2)::bigint) + 1
        from glob(?) where regexp_matches(file, '{name}') group by 1"""
    numbers: dict[int, int] = {}
    for table in TABLES.values():
        for partition, number in connection.execute(query, [_glob(lake, table)]).fetchall():
            numbers[partition] = max(number, numbers.get(partition, 0))
    return numbers


def _glob(lake: Place, table: Table) -> str:
    literal = "".join(f"[{c}]" if c in "*?[" else c for c in str(lake))
    return f"{literal}/{table.name}/**/*.parquet"


def _source(lake: Place, store: Store, table: Table) -> str:
    """The query behind a table: its files, and none of the right shape for the columns that older ones don't have."""
    columns = ", ".join(f'cast(null as {_sql_type(f.type)}) as "{f.name}"' for f in _columns(table))
    empty = f"select {columns} where false"
    if not store.holds(f"{table.name}/", ".parquet"):
        return empty
    glob = _glob(lake, table).replace("'", "''")
    names = ", ".join(f'"{f.name}"' for f in _columns(table))  # DuckDB has its own order, and other keys in the path
    types = ", ".join(f"'{name}': {_HIVE_TYPES[name]}" for name in table.by)
    options = f"hive_partitioning = true, hive_types = {{{types}}}, union_by_name = true"
    return f"select {names} from ({empty} union all by name select * from read_parquet('{glob}', {options}))"


def _columns(table: Table) -> list[pa.Field]:
    return [*table.file_schema, *(pa.field(name, table.schema.field(name).type) for name in table.by)]


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({_sql_type(kind.key_type)}, {_sql_type(kind.item_type)})"
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return "VARCHAR"
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "BLOB"
    return _SQL_TYPES[kind]


_SQL_TYPES: Final = {
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    pa.date32(): "DATE",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
}
