"""A log full of messages, as a fleet of devices would have sent them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from operators.reference_file import to_parquet_bytes
from pipelines.log import LogWriter, Message
from pipelines.models.fit import Rows, accept
from schemas import bundle, wire
from schemas.bundle import Manifest, Preprocessing
from schemas.embedding import Codec, decode, encode
from schemas.topics import Up, up_topic

DIMS: Final = 64
LABELS: Final = tuple(f"class-{number}" for number in range(10))
DEVICES: Final = 200
SITES: Final = 4
_START_US: Final = 1_767_225_600_000_000  # 2026-01-01
_MESSAGE_US: Final = 500  # 2,000 messages a second of log time
_GROUP: Final = 2000
_CONFIDENCE: Final = (8.0, 2.0)


def fill(folder: Path, messages: int, per_message: int, seed: int, partitions: int) -> int:
    """Fill a new log; give the payload bytes that it holds."""
    rng = np.random.default_rng(seed)
    size, group = 0, []
    with LogWriter(folder, partitions) as log:
        for number, (topic, payload) in enumerate(messages_of(rng, messages, per_message)):
            size += len(payload)
            group.append(Message(topic, payload))
            if len(group) == _GROUP or number == messages - 1:
                now = _START_US + number * _MESSAGE_US
                log.append(group, now)
                log.tick(now)
                group = []
    return size


def write_bundle(folder: Path, seed: int, confidence: tuple[float, float] = _CONFIDENCE) -> None:
    """The bundle of the fleet's model; the dataflow reads its reference and never opens the model itself.

    With another `confidence`, a Beta distribution, the whole fleet has drifted from the start.
    """
    rng = np.random.default_rng(seed)
    rows = 4000
    class_ids, scores = _predictions(rng, rows, confidence)
    embeddings = rng.standard_normal((rows, DIMS)).astype(np.float32)
    seen = Rows(
        class_id=class_ids[:, 0],
        confidence=scores[:, 0],
        second=scores[:, 1],
        entropy=rng.random(rows, np.float32),
        embeddings=decode(*encode(embeddings, Codec.I8), Codec.I8, DIMS),
        codec=Codec.I8,
    )
    reference = accept(model="bench", version=1, labels=LABELS, rows=seen)
    manifest = Manifest(
        name="bench",
        version=1,
        labels=LABELS,
        input_name="input",
        scores_output="scores",
        embedding_output="embedding",
        embedding_dims=DIMS,
        embedding_codec=Codec.I8,
        top_k=3,
        preprocessing=Preprocessing(width=8, height=8),
    )
    bundle.write(folder, manifest, {bundle.MODEL: b"not opened", bundle.REFERENCE: to_parquet_bytes(reference)})


def messages_of(rng: np.random.Generator, messages: int, rows: int) -> Iterator[tuple[str, bytes]]:
    """Topics and payloads of so many messages, of all devices in turn."""
    next_seq = dict.fromkeys(range(DEVICES), 0)
    for number in range(messages):
        device = number % DEVICES
        header = wire.Header(
            stream=device.to_bytes(16, "little"),
            first_seq=next_seq[device],
            count=rows,
            device_time_us=_START_US + number * _MESSAGE_US,
            model="bench",
            model_version=1,
            site=f"site-{device % SITES}",
            top_k=3,
            codec=Codec.I8,
            dims=DIMS,
        )
        next_seq[device] += rows
        yield up_topic(f"camera-{device:04d}", Up.INFERENCES), wire.encode(header, _columns(rng, rows))


def _columns(rng: np.random.Generator, rows: int) -> wire.Columns:
    class_ids, scores = _predictions(rng, rows)
    codes, scale = encode(rng.standard_normal((rows, DIMS)).astype(np.float32), Codec.I8)
    return wire.Columns(
        device_time_delta_us=np.arange(rows, dtype=np.int32) * 1000,
        class_ids=class_ids.ravel(),
        scores=scores.ravel(),
        entropy=rng.random(rows, np.float32),
        embedding=codes,
        embedding_scale=scale,
        sample_digest=rng.bytes(32 * rows),
        sample_bytes=np.full(rows, 20_000, np.uint32),
        latency_us=rng.integers(2000, 4000, rows).astype(np.uint32),
    )


def _predictions(
    rng: np.random.Generator, rows: int, confidence: tuple[float, float] = _CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    """Top-3 classes and scores, (rows, 3) each: confident most of the time."""
    first = rng.beta(*confidence, rows)
    second = (1 - first) * rng.uniform(0.5, 1, rows)
    scores = np.stack([first, np.minimum(first, second), (1 - first) * 0], axis=1)
    best = rng.integers(0, len(LABELS), rows)
    return np.stack([best, (best + 1) % 10, (best + 2) % 10], axis=1).astype(np.uint16), scores.astype(np.float32)
