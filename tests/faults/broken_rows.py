"""Mutants of what is written: rows that are dropped or altered on their way to the lake."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.faults.wrapping import wrap

Batches = list[pa.RecordBatch]


def _rewrite(table: str, change: Callable[[pa.RecordBatch], pa.RecordBatch | None]) -> None:
    """Change, or drop, each batch of a table before it is staged."""
    from pipelines import sinks

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def tables_of(batches: Any) -> dict[str, Batches]:
            tables: dict[str, Batches] = original(batches)
            changed = [change(batch) for batch in tables.pop(table, [])]
            kept = [batch for batch in changed if batch is not None and batch.num_rows]
            return tables | ({table: kept} if kept else {})

        return tables_of

    wrap(sinks, "tables_of", make)


def drops_rows() -> None:
    seen = [0]

    def change(batch: pa.RecordBatch) -> pa.RecordBatch | None:
        seen[0] += 1
        return batch if seen[0] % 8 else batch.slice(1)

    _rewrite("inferences", change)


def alters_digests() -> None:
    _rewrite("inferences", lambda batch: _flip(batch, "sample_digest"))


def alters_samples() -> None:
    _rewrite("samples", lambda batch: _flip(batch, "sample"))


def _flip(batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
    """One bit of the first value of a column turned."""
    values = batch[column].to_pylist()
    values[0] = bytes([values[0][0] ^ 1]) + values[0][1:]
    place = batch.schema.get_field_index(column)
    return batch.set_column(place, batch.schema.field(place), pa.array(values, batch.schema.field(place).type))


def swallows(table: str) -> Callable[[], None]:
    return lambda: _rewrite(table, lambda _: None)


def ends_nothing() -> None:
    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pa.array([status == "requested" for status in batch["status"].to_pylist()]))

    _rewrite("selections", change)
