"""`reference.parquet` gives back what was written, and damage is a clear error."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.reference_file import from_parquet_bytes, to_parquet_bytes
from schemas.errors import BundleError
from tests.operators.drawn import draw_rows, reference_of, same


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), dims=st.integers(0, 20))
def test_what_was_written_is_read(seed: int, n: int, dims: int) -> None:
    rows = draw_rows(n, seed, dims)
    if dims == 0:
        rows = replace(rows, embeddings=np.empty((0, 0), np.float32))
    reference = reference_of(rows)
    data = to_parquet_bytes(reference)
    assert same(from_parquet_bytes(data), reference)
    assert to_parquet_bytes(from_parquet_bytes(data)) == data


@pytest.fixture(scope="module")
def written() -> bytes:
    return to_parquet_bytes(reference_of(draw_rows(100)))


@settings(deadline=None, max_examples=60)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(written: bytes, keep: float) -> None:
    with pytest.raises(BundleError, match=r"reference\.parquet is damaged"):
        from_parquet_bytes(written[: int(len(written) * keep)])


def test_a_newer_schema_is_refused(written: bytes) -> None:
    table = pq.read_table(pa.BufferReader(written)).replace_schema_metadata({b"gleaner.schema": b"2"})
    with pytest.raises(BundleError, match="schema"):
        from_parquet_bytes(_file(table))


def test_another_number_of_rows_is_refused(written: bytes) -> None:
    table = pq.read_table(pa.BufferReader(written))
    for other in (table.slice(0, 0), pa.concat_tables([table, table])):
        with pytest.raises(BundleError, match="one row"):
            from_parquet_bytes(_file(other))


@pytest.mark.parametrize("column", pq.read_schema(pa.BufferReader(to_parquet_bytes(reference_of(draw_rows(9))))).names)
def test_a_null_in_any_column_is_refused(written: bytes, column: str) -> None:
    table = pq.read_table(pa.BufferReader(written))
    at, kind = table.column_names.index(column), table.schema.field(column).type
    with pytest.raises(BundleError):
        from_parquet_bytes(_file(table.set_column(at, column, pa.nulls(1, kind))))


def test_another_count_of_second_moments_is_refused(written: bytes) -> None:
    table = pq.read_table(pa.BufferReader(written))
    at = table.column_names.index("embedding_outer")
    with pytest.raises(BundleError, match="second moments"):
        from_parquet_bytes(_file(table.set_column(at, "embedding_outer", pa.array([[1, 2]], pa.list_(pa.int64())))))


def _file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
