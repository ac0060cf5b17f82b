"""Embedding codecs: float vectors to the bytes that travel, and back.

========  ================  =================================================
codec     bytes a value     error of a value x in a vector v
========  ================  =================================================
none      0                 nothing is sent
f32       4                 0
f16       2                 |x| / 2048, or 2^-25 below 2^-14; refused beyond ±65504
i8        1 (+4 a vector)   max|v| / 254 (half a step of max|v| / 127), and float32 rounding
pca-i8    1 (+4 a vector)   that of i8, of the projected vector
========  ================  =================================================
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_DIMS: Final = 4096
_LEVELS: Final = 127


class Codec(StrEnum):
    """How an embedding travels. The position here is its number on the wire."""

    NONE = "none"
    F32 = "f32"
    F16 = "f16"
    I8 = "i8"
    PCA_I8 = "pca-i8"

    @property
    def width(self) -> int:
        """Bytes of one value."""
        return _WIDTH[self]

    @property
    def scaled(self) -> bool:
        """Whether each vector travels with a scale of its own."""
        return self in (Codec.I8, Codec.PCA_I8)


_WIDTH: Final = {Codec.NONE: 0, Codec.F32: 4, Codec.F16: 2, Codec.I8: 1, Codec.PCA_I8: 1}
CODECS: Final = tuple(Codec)


def encode(vectors: Floats, codec: Codec) -> tuple[bytes, Floats]:
    """The codes of `vectors`, row by row, and a scale for each.

    Args:
        vectors: shape (n, d), finite. For `pca-i8`, already projected.
        codec: how to write a value.

    Returns:
        n × d × codec.width bytes, and scales of shape (n,), empty where the codec has none.

    Raises:
        ValueError: a value is not finite, or too large for f16.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("an embedding has a value that is not finite")
    if codec.scaled:
        scale = (np.abs(vectors).max(axis=1, initial=0.0) / _LEVELS).astype("<f4")
        steps = np.divide(vectors, scale[:, None], out=np.zeros_like(vectors), where=scale[:, None] > 0)
        codes = np.clip(np.rint(steps), -_LEVELS, _LEVELS)
        return codes.astype(np.int8).tobytes(), scale
    if codec is Codec.F16 and np.abs(vectors).max(initial=0.0) > np.finfo(np.float16).max:
        raise ValueError("an embedding has a value beyond what f16 holds; use f32 or i8")
    kind = {Codec.F32: "<f4", Codec.F16: "<f2", Codec.NONE: None}[codec]
    codes = b"" if kind is None else vectors.astype(kind).tobytes()
    return codes, np.empty(0, np.float32)


def decode(codes: bytes | memoryview, scale: Floats, codec: Codec, dims: int) -> Floats:
    """The vectors, shape (n, dims), that `encode` wrote; (0, 0) for `none`.

    Args:
        codes: n × dims × codec.width bytes.
        scale: shape (n,) for the scaled codecs, else of any length.
        codec: how the values were written.
        dims: values in one vector.
    """
    if codec is Codec.NONE or dims == 0:
        return np.empty((0, 0), np.float32)
    if codec.scaled:
        vectors: Floats = np.frombuffer(codes, np.int8).reshape(-1, dims).astype(np.float32)
        return np.multiply(vectors, scale[:, None], out=vectors)
    kind = "<f4" if codec is Codec.F32 else "<f2"
    return np.frombuffer(codes, kind).reshape(-1, dims).astype(np.float32)
