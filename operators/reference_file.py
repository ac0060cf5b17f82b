"""`reference.parquet`: the bytes of a reference, and back. One row, a list for each array.

The second moments are symmetric, so their upper triangle is written. A reader
checks page checksums, the row count and that the numbers can be.
"""

import struct
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.reference import MAX_DIMS, Reference, check
from schemas.embedding import Codec
from schemas.errors import BundleError

SCHEMA: Final = 1
_VERSION_KEY: Final = b"gleaner.schema"
_MAX_BYTES: Final = 64 << 20
_COLUMNS: Final = pa.schema(
    [
        ("model", pa.string()),
        ("version", pa.uint32()),
        ("labels", pa.list_(pa.string())),
        ("rows", pa.int64()),
        ("class_counts", pa.list_(pa.int64())),
        ("confidence_edges", pa.list_(pa.float64())),
        ("confidence_counts", pa.list_(pa.int64())),
        ("embedding_codec", pa.string()),
        ("embedding_unit", pa.float64()),
        ("embedding_sum", pa.list_(pa.int64())),
        ("embedding_outer", pa.list_(pa.int64())),
    ],
    metadata={_VERSION_KEY: str(SCHEMA).encode()},
)


def to_parquet_bytes(reference: Reference) -> bytes:
    """The file of a reference; the same bytes for the same reference."""
    row = {name: getattr(reference, name) for name in _COLUMNS.names}
    row["labels"] = list(reference.labels)
    row["embedding_outer"] = reference.embedding_outer[np.triu_indices(reference.dims)]
    table = pa.table([pa.array([row[field.name]], field.type) for field in _COLUMNS], schema=_COLUMNS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def from_parquet_bytes(data: bytes) -> Reference:
    """The reference in the bytes of a `reference.parquet`.

    Raises:
        BundleError: the file is damaged, newer than this program, or says something impossible.
    """
    try:
        row = _row(data)
        return check(_reference(row))
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        raise BundleError(f"reference.parquet is damaged, build the bundle again: {error}") from error


def _row(data: bytes) -> dict[str, Any]:
    """The one row, as Arrow scalars."""
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    found = file.schema_arrow
    version = (found.metadata or {}).get(_VERSION_KEY)
    if version != str(SCHEMA).encode():
        raise ValueError(f"schema {version!r}, here schema {SCHEMA} is read")
    said = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if len(data) > _MAX_BYTES or said > _MAX_BYTES or file.metadata.num_rows != 1 or found.names != _COLUMNS.names:
        raise ValueError("not one row with the columns of a reference")
    batch = file.read().cast(_COLUMNS)
    batch.validate(full=True)
    return {name: batch.column(name)[0] for name in _COLUMNS.names}


def _reference(row: dict[str, Any]) -> Reference:
    total = _array(row["embedding_sum"], np.int64)
    return Reference(
        model=_plain(row["model"], str),
        version=_plain(row["version"], int),
        labels=tuple(_plain(row["labels"], list)),
        rows=_plain(row["rows"], int),
        class_counts=_array(row["class_counts"], np.int64),
        confidence_edges=_array(row["confidence_edges"], np.float64),
        confidence_counts=_array(row["confidence_counts"], np.int64),
        embedding_codec=Codec(_plain(row["embedding_codec"], str)),
        embedding_unit=_plain(row["embedding_unit"], float),
        embedding_sum=total,
        embedding_outer=_symmetric(_array(row["embedding_outer"], np.int64), len(total)),
    )


def _plain(scalar: Any, kind: type) -> Any:
    value = scalar.as_py()
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} where {kind.__name__} was expected")
    return value


def _array(scalar: Any, dtype: Any) -> NDArray[Any]:
    if not scalar.is_valid or scalar.values.null_count:
        raise ValueError("a null where numbers were expected")
    return np.array(scalar.values.to_numpy(), dtype)


def _symmetric(upper: NDArray[np.int64], dims: int) -> NDArray[np.int64]:
    """(dims, dims) of the upper triangle, row by row."""
    if dims > MAX_DIMS or len(upper) != dims * (dims + 1) // 2:
        raise ValueError(f"{len(upper)} second moments of {dims} dimensions")
    full = np.zeros((dims, dims), np.int64)
    full[np.triu_indices(dims)] = upper
    return full + np.triu(full, 1).T
