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
from tests.operators.references import draw_rows, reference_of, same, small_reference, truth_of


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), dims=st.integers(0, 20), labelled=st.booleans())
def test_what_was_written_is_read(seed: int, n: int, dims: int, labelled: bool) -> None:
    rows = draw_rows(n, seed, dims)
    reference = reference_of(rows, truth=truth_of(rows) if labelled else None)
    data = to_parquet_bytes(reference)
    assert same(from_parquet_bytes(data), reference)
    assert to_parquet_bytes(from_parquet_bytes(data)) == data


@pytest.fixture(scope="module")
def written() -> bytes:
    return to_parquet_bytes(small_reference())


@settings(deadline=None, max_examples=60)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(written: bytes, keep: float) -> None:
    with pytest.raises(BundleError, match=r"reference\.parquet is damaged"):
        from_parquet_bytes(written[: int(len(written) * keep)])


@settings(deadline=None, max_examples=200)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(written: bytes, at: float, flip: int) -> None:
    """Pages have checksums; a footer has none, but says little that is not checked otherwise."""
    place = int(len(written) * at)
    damaged = written[:place] + bytes([written[place] ^ flip]) + written[place + 1 :]
    try:
        found = from_parquet_bytes(damaged)
    except BundleError:
        return
    assert same(found, small_reference())


def test_the_error_names_the_file(written: bytes) -> None:
    with pytest.raises(BundleError, match=r"north\.parquet is damaged"):
        from_parquet_bytes(written[:-9], "north.parquet")
    impossible = to_parquet_bytes(replace(small_reference(), source="guessed"))
    with pytest.raises(BundleError, match=r"north\.parquet: reference of drawn 1: source"):
        from_parquet_bytes(impossible, "north.parquet")


def test_a_file_of_an_older_gleaner_says_so(written: bytes) -> None:
    table = pq.read_table(pa.BufferReader(written)).replace_schema_metadata({b"gleaner.schema": b"1"})
    with pytest.raises(BundleError, match="built by an older gleaner: build the bundle again"):
        from_parquet_bytes(_file(table))


@pytest.mark.parametrize("metadata", [{b"gleaner.schema": b"3"}, {b"other": b"2"}, None])
def test_a_newer_schema_or_none_is_refused(written: bytes, metadata: dict[bytes, bytes] | None) -> None:
    table = pq.read_table(pa.BufferReader(written)).replace_schema_metadata(metadata)
    with pytest.raises(BundleError, match="here schema 2 is read"):
        from_parquet_bytes(_file(table))


def test_another_number_of_rows_is_refused(written: bytes) -> None:
    table = pq.read_table(pa.BufferReader(written))
    for other in (table.slice(0, 0), pa.concat_tables([table, table])):
        with pytest.raises(BundleError, match="one row"):
            from_parquet_bytes(_file(other))


COLUMNS = pq.read_schema(pa.BufferReader(to_parquet_bytes(small_reference()))).names


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_in_any_column_is_refused(written: bytes, column: str) -> None:
    kind = pq.read_schema(pa.BufferReader(written)).field(column).type
    with pytest.raises(BundleError):
        from_parquet_bytes(_with(written, column, pa.nulls(1, kind)))


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("model", "version", "labels")])
@pytest.mark.parametrize("value", [[], [1], [2**62] * 7, [-(2**63)]], ids=str)
def test_another_list_in_any_column_is_refused(written: bytes, column: str, value: list[int]) -> None:
    kind = pq.read_schema(pa.BufferReader(written)).field(column).type
    if not pa.types.is_list(kind):
        wrong = pa.array(["never"] if pa.types.is_string(kind) else [-1.0], kind)
    else:
        wrong = pa.array([np.array(value, kind.value_type.to_pandas_dtype())], kind)
    with pytest.raises(BundleError):
        from_parquet_bytes(_with(written, column, wrong))


def test_a_null_among_the_labels_is_refused(written: bytes) -> None:
    with pytest.raises(BundleError, match="there must be labels"):
        from_parquet_bytes(_with(written, "labels", pa.array([[*"abcd", None]])))


def _with(written: bytes, column: str, values: pa.Array) -> bytes:
    table = pq.read_table(pa.BufferReader(written))
    return _file(table.set_column(table.column_names.index(column), column, values))


def _file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
