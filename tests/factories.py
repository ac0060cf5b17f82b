"""Messages, rows and logs of a made-up fleet, for the tests of what travels and of what happens to it."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from operators.candidates import Candidate
from operators.decode import decode
from operators.records import Records
from schemas import embedding
from schemas.embedding import Codec
from schemas.topics import Up, up_topic
from schemas.wire import MAX_SEQ, TIMES, Columns, Header, encode

LABELS = 10
NOON = 1_700_000_000_000_000  # microseconds since 1970
STREAM = bytes(range(16))
Message = tuple[str, Up, bytes]  # device, kind, payload


def header(**changes: Any) -> Header:
    """The header of a small message."""
    usual = Header(
        stream=STREAM,
        first_seq=0,
        count=2,
        device_time_us=NOON,
        model="digits",
        model_version=3,
        site="north",
        top_k=2,
        codec=Codec.I8,
        dims=4,
    )
    return replace(usual, **changes)


def columns(of: Header, seed: int = 0) -> Columns:
    """Rows drawn at random that fit a header and make sense."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(of.count, of.dims)).astype(np.float32)
    codes, scale = embedding.encode(vectors, of.codec)
    scores = -np.sort(-rng.random((of.count, of.top_k), np.float32), axis=1)
    return Columns(
        device_time_delta_us=rng.integers(0, 1_000_000, of.count).astype(np.int32),
        class_ids=rng.integers(0, LABELS, of.count * of.top_k).astype(np.uint16),
        scores=scores.ravel(),
        entropy=rng.random(of.count, np.float32),
        embedding=codes,
        embedding_scale=scale,
        sample_digest=rng.bytes(32 * of.count),
        sample_bytes=rng.integers(0, 2**32, of.count).astype(np.uint32),
        latency_us=rng.integers(0, 2**32, of.count).astype(np.uint32),
    )


def payload(of: Header, seed: int = 0, **changed: Any) -> bytes:
    """A message with this header, some of its columns changed."""
    return encode(of, replace(columns(of, seed), **changed))


def headers(most_rows: int = 5, most_dims: int = 9) -> st.SearchStrategy[Header]:
    """Any header that may travel."""
    name = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
    return st.builds(
        Header,
        stream=st.binary(min_size=16, max_size=16),
        first_seq=st.integers(0, MAX_SEQ - most_rows),
        count=st.integers(1, most_rows),
        device_time_us=st.integers(*TIMES),
        model=name,
        model_version=st.integers(0, 2**32 - 1),
        site=name,
        top_k=st.integers(1, 5),
        codec=st.sampled_from(Codec),
        dims=st.integers(0, most_dims),
    )


def as_bytes(of: Columns) -> dict[str, bytes]:
    """Each column as bytes, to compare: NaN equals itself, 0 does not equal -0."""
    return {field.name: bytes(getattr(of, field.name)) for field in fields(of)}


def joined(parts: Sequence[Columns]) -> dict[str, bytes]:
    """The columns of all parts, one after the other, as bytes."""
    each = [as_bytes(part) for part in parts]
    return {field.name: b"".join(one[field.name] for one in each) for field in fields(Columns)}


def log(messages: Sequence[Message], first_offset: int = 0, received_us: int = NOON, **more: Any) -> Records:
    """What the log holds once these messages were received, a millisecond apart."""
    places = range(first_offset, first_offset + len(messages))
    return Records(
        partition=0,
        offsets=list(places),
        received_us=[received_us + 1000 * place for place in places],
        topics=[up_topic(device, kind) for device, kind, _ in messages],
        payloads=[payload for _, _, payload in messages],
        **more,
    )


def inferences(device: str = "cam-1", seed: int = 0, **changes: Any) -> Message:
    """A message of inferences, its header changed."""
    return device, Up.INFERENCES, payload(header(**changes), seed)


def rows(messages: Sequence[Message]) -> pa.RecordBatch:
    """The rows of messages, columns of `inferences`."""
    return decode(log(messages), {}).rows


def candidate(seq: int = 0, score: float = 0.5, hash: int | None = None, **changes: Any) -> Candidate:
    """A row that could be selected, like no other."""
    row = {
        "device": "cam-1",
        "stream": STREAM.hex(),
        "seq": seq,
        "site": "north",
        "model_version": 3,
        "sample_digest": hashlib.sha256(str(seq).encode()).digest(),
        "sample_bytes": 100,
    }
    return Candidate(row=row | changes, partition=0, score=score, hash=seq if hash is None else hash)
