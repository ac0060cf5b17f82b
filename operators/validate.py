"""Validate: which rows of readable messages make no sense.

A number that is not finite would poison every average after it, and a class or an
embedding that the model can't have produced is no evidence of anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.embedding import Codec
from schemas.errors import Reason
from schemas.wire import TIMES, Columns, Header

_ABOVE_ONE: Final = 1.0 + 1e-5  # float32 sums of probabilities round
_BELOW_ZERO: Final = -1e-5
_LARGEST_SCALE: Final = np.finfo(np.float32).max / 128  # beyond it a code times the scale is infinite
_REASONS: Final = tuple(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What the rows of one model version look like.

    Attributes:
        labels: number of classes.
        codec: of its embeddings.
        dims: values in one embedding as it travels.
    """

    labels: int
    codec: Codec
    dims: int


def code_of(reason: Reason) -> int:
    """The number by which a fault means `reason`; never 0."""
    return 1 + _REASONS.index(reason)


def reason_of(code: int) -> Reason:
    """The reason that a fault means."""
    return _REASONS[code - 1]


def faults_of(
    headers: Sequence[Header], columns: Columns, models: Mapping[tuple[str, int], ModelShape]
) -> NDArray[np.int8]:
    """For each row 0, or the code of the first reason why it can't be used; shape (n,) int8."""
    counts = np.array([header.count for header in headers], np.int64)
    faults = np.zeros(int(counts.sum()), np.int8)
    if not len(faults):
        return faults
    shapes = [models.get((header.model, header.model_version)) for header in headers]
    odd = [
        shape is not None and (shape.codec, shape.dims) != (header.codec, header.dims)
        for header, shape in zip(headers, shapes, strict=True)
    ]
    labels = [shape.labels if shape else 1 << 16 for shape in shapes]
    k = np.repeat([header.top_k for header in headers], counts)
    starts = np.cumsum(k) - k
    unknown = columns.class_ids >= np.repeat(np.repeat(labels, counts), k)
    with np.errstate(invalid="ignore"):  # comparing NaN is what this is for
        beyond = ~((columns.scores >= 0) & (columns.scores <= _ABOVE_ONE))
    for bad, reason in (
        (np.repeat(odd, counts), Reason.EMBEDDING_MISMATCH),
        (np.logical_or.reduceat(unknown, starts), Reason.UNKNOWN_CLASS),
        (np.logical_or.reduceat(beyond, starts) | (columns.entropy < _BELOW_ZERO), Reason.OUT_OF_RANGE),
        (_timeless(headers, counts, columns), Reason.OUT_OF_RANGE),
        (np.logical_or.reduceat(~np.isfinite(columns.scores), starts), Reason.NOT_FINITE),
        (~np.isfinite(columns.entropy) | _wild_embeddings(headers, counts, columns), Reason.NOT_FINITE),
    ):
        faults[bad] = code_of(reason)
    return faults


def _timeless(headers: Sequence[Header], counts: NDArray[np.int64], columns: Columns) -> NDArray[np.bool_]:
    """Which rows have a time that not every reader of the lake can hold."""
    time = np.repeat([header.device_time_us for header in headers], counts) + columns.device_time_delta_us
    outside: NDArray[np.bool_] = (time < TIMES[0]) | (time > TIMES[1])
    return outside


def _wild_embeddings(headers: Sequence[Header], counts: NDArray[np.int64], columns: Columns) -> NDArray[np.bool_]:
    """Which rows have an embedding with a value that is not finite."""
    wild = np.zeros(int(counts.sum()), bool)
    scaled = np.repeat([header.codec.scaled for header in headers], counts)
    wild[scaled] = ~((columns.embedding_scale >= 0) & (columns.embedding_scale <= _LARGEST_SCALE))  # NaN is neither
    if all(header.codec.scaled or header.codec is Codec.NONE for header in headers):
        return wild
    row, byte = 0, 0
    for header in headers:
        size = header.count * header.dims * header.codec.width
        if header.codec in (Codec.F32, Codec.F16):
            kind = "<f4" if header.codec is Codec.F32 else "<f2"
            values = np.frombuffer(columns.embedding, kind, header.count * header.dims, byte)
            wild[row : row + header.count] = ~np.isfinite(values.reshape(header.count, header.dims)).all(axis=1)
        row, byte = row + header.count, byte + size
    return wild
