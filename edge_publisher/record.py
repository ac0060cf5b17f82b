"""One inference as the outbox keeps it: what many share, and the bytes of one row.

A row's bytes are its wire columns, one after the other, so that a batch is cut
out of n rows by numpy without a loop over them.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge_publisher.model import Inference
from schemas.embedding import Codec, encode
from schemas.wire import DIGEST_BYTES, row_widths

_MAX_U32: Final = 2**32 - 1
_TIME_DELTA_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """What the rows of one message share, apart from stream, seq and time."""

    model: str
    model_version: int
    site: str
    top_k: int
    codec: Codec
    dims: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row on the wire."""
        return sum(row_widths(self.top_k, self.codec, self.dims))

    def layout(self) -> np.dtype[Any]:
        """The fields of one row's bytes, little-endian, without padding."""
        fields: list[tuple[str, str]] = [
            ("class_ids", f"({self.top_k},)<u2"),
            ("scores", f"({self.top_k},)<f4"),
            ("entropy", "<f4"),
            ("sample_digest", f"V{DIGEST_BYTES}"),
            ("sample_bytes", "<u4"),
            ("latency_us", "<u4"),
        ]
        if self.codec.scaled:
            fields.append(("embedding_scale", "<f4"))
        if self.codec.width * self.dims:
            fields.append(("embedding", f"V{self.codec.width * self.dims}"))
        return np.dtype(fields)


@dataclass(frozen=True, slots=True)
class Record:
    """One inference, ready to be kept.

    Attributes:
        kind: what it shares with others.
        device_time_us: microseconds since 1970, by the device's clock.
        body: laid out as `kind.layout()`.
    """

    kind: Kind
    device_time_us: int
    body: bytes


def record_of(inference: Inference, kind: Kind, device_time_us: int, digest: bytes, sample_bytes: int) -> Record:
    """The record of one inference.

    Raises:
        ValueError: the embedding does not fit its codec.
    """
    codes, scale = encode(inference.embedding[None], kind.codec)
    body = b"".join((
        inference.class_ids.astype("<u2").tobytes(),
        inference.scores.astype("<f4").tobytes(),
        struct.pack("<f", inference.entropy),
        digest,
        struct.pack("<II", min(sample_bytes, _MAX_U32), min(inference.latency_us, _MAX_U32)),
        scale.astype("<f4").tobytes(),
        codes,
    ))  # fmt: skip
    if len(body) != kind.row_bytes - _TIME_DELTA_BYTES:
        raise ValueError(f"a row of {len(body)} bytes is not of this kind")
    return Record(kind, device_time_us, body)
