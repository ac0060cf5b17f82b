"""`reference.parquet`: the bytes of a reference, and back. One row, a list for each array.

A reader checks page checksums, the row count and that the numbers can be.
"""

import struct
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.reference import Reference
from operators.reference_check import check
from operators.scale import Scale
from operators.space import Space
from schemas.embedding import Codec
from schemas.errors import BundleError

SCHEMA: Final = 2
_VERSION_KEY: Final = b"gleaner.schema"
_MAX_BYTES: Final = 64 << 20
_WHOLE: Final = pa.list_(pa.int64())
_REAL: Final = pa.list_(pa.float64())
_PLAIN: Final = {"model": str, "version": int, "source": str, "level": str, "cohort": str}
_OF_REFERENCE: Final = ("pane", "by_class", "labelled", "correct", "wave_products")
_OF_SCALE: Final = ("confidence_edges", "margin_edges", "entropy_edges")
_OF_SPACE: Final = (
    "center",
    "weights",
    "direction_edges",
    "centroids",
    "distance_edges",
    "norm_edges",
    "waves",
    "phases",
)
_COLUMNS: Final = pa.schema(
    [
        ("model", pa.string()),
        ("version", pa.uint32()),
        ("source", pa.string()),
        ("level", pa.string()),
        ("cohort", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("slots", _WHOLE),
        *((name, _REAL) for name in _OF_SCALE),
        ("codec", pa.string()),
        ("unit", pa.float64()),
        ("gain", pa.list_(pa.float32())),
        *((name, _WHOLE) for name in (*_OF_SPACE, *_OF_REFERENCE)),
    ],
    metadata={_VERSION_KEY: str(SCHEMA).encode()},
)


def to_parquet_bytes(reference: Reference) -> bytes:
    """The file of a reference; the same bytes for the same reference."""
    scale, space = reference.scale, reference.scale.space
    row: dict[str, Any] = {name: getattr(reference, name) for name in _PLAIN}
    row |= {"labels": list(scale.labels), "slots": scale.slots} | {name: getattr(scale, name) for name in _OF_SCALE}
    row |= {"codec": Codec.NONE.value, "unit": 1.0, "gain": []} | dict.fromkeys(_OF_SPACE, ())
    if space is not None:
        row |= {"codec": space.codec.value, "unit": space.unit, "gain": space.gain}
        row |= {name: getattr(space, name).ravel() for name in _OF_SPACE}
    row |= {name: getattr(reference, name).ravel() for name in _OF_REFERENCE}
    table = pa.table([pa.array([row[field.name]], field.type) for field in _COLUMNS], schema=_COLUMNS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def from_parquet_bytes(data: bytes, where: str = "reference.parquet") -> Reference:
    """The reference in the bytes of a `reference.parquet`.

    Args:
        data: of the file.
        where: its name, for errors.

    Raises:
        BundleError: the file is damaged, of another version of Gleaner, or says something impossible.
    """
    try:
        return check(_reference(_row(data, where)), where)
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
        raise BundleError(f"{where} is damaged; build the bundle, or bless, again: {error}") from error


def _row(data: bytes, where: str) -> dict[str, Any]:
    """The one row, as Arrow scalars."""
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    found = file.schema_arrow
    _check_version((found.metadata or {}).get(_VERSION_KEY, b""), where)
    said = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if len(data) > _MAX_BYTES or said > _MAX_BYTES or file.metadata.num_rows != 1 or found.names != _COLUMNS.names:
        raise ValueError("not one row with the columns of a reference")
    batch = file.read().cast(_COLUMNS)
    batch.validate(full=True)
    return {name: batch.column(name)[0] for name in _COLUMNS.names}


def _check_version(version: bytes, where: str) -> None:
    if version == b"1":
        raise BundleError(f"{where} was built by an older gleaner: build the bundle again")
    if version != str(SCHEMA).encode():
        raise ValueError(f"schema {version!r}, here schema {SCHEMA} is read")


def _reference(row: dict[str, Any]) -> Reference:
    scale = Scale(
        labels=tuple(_plain(row["labels"], list)),
        slots=_array(row["slots"], np.int64),
        space=_space(row),
        **{name: _array(row[name], np.float64) for name in _OF_SCALE},
    )
    arrays: dict[str, Any] = {name: _array(row[name], np.int64) for name in _OF_REFERENCE}
    width, waves = len(arrays["pane"]), int(np.sqrt(len(arrays["wave_products"])))
    arrays["by_class"] = arrays["by_class"].reshape(-1, width)
    arrays["wave_products"] = arrays["wave_products"].reshape(waves, waves)
    plain: dict[str, Any] = {name: _plain(row[name], kind) for name, kind in _PLAIN.items()}
    return Reference(scale=scale, **plain, **arrays)


def _space(row: dict[str, Any]) -> Space | None:
    codec = Codec(_plain(row["codec"], str))
    arrays = {name: _array(row[name], np.int64) for name in _OF_SPACE}
    gain = _array(row["gain"], np.float32)
    if codec is Codec.NONE:
        if any(len(values) for values in (gain, *arrays.values())):
            raise ValueError("a space without a codec")
        return None
    for name in ("weights", "direction_edges", "waves"):
        arrays[name] = arrays[name].reshape(len(gain), -1)
    arrays["centroids"] = arrays["centroids"].reshape(-1, len(gain))
    return Space(codec=codec, unit=_plain(row["unit"], float), gain=gain, **arrays)


def _plain(scalar: Any, kind: type) -> Any:
    value = scalar.as_py()
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} where {kind.__name__} was expected")
    return value


def _array(scalar: Any, dtype: Any) -> NDArray[Any]:
    if not scalar.is_valid or scalar.values.null_count:
        raise ValueError("a null where numbers were expected")
    return np.array(scalar.values.to_numpy(), dtype)
