"""A fleet's rows through the product's own way of counting: wire format, decoding, dedup, events, windows.

Nothing here knows an order but that of arrival: which rows are new, which are events and which window they belong to
is decided by the operators of the dataflow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams.scalars import in_bursts
from operators.cohorts import levels
from operators.decode import decode
from operators.dedup import dedup
from operators.features import Feature
from operators.panes import layout_of
from operators.records import Records
from operators.scale import Scale
from operators.windows import Counted, Counting, Panes, add_panes, count_rows
from pipelines.models.fit import Rows, fit
from schemas import wire
from schemas.embedding import Codec
from schemas.topics import Up, up_topic

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

CLASSES: Final = 10
MODEL: Final = ("bench", 1)
START_US: Final = 1_767_225_600_000_000
_LATER_US: Final = 86_400_000_000
_BATCH: Final = 64
_LEVELS: Final = levels(["fleet"])


@dataclass(frozen=True, slots=True)
class Message:
    """What a device sent."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What devices saw, (devices, n) each.

    Attributes:
        confidence: of the best class.
        class_id: the best class.
        time_us: since the start.
        latency_us: of inference.
    """

    confidence: Doubles
    class_id: Ints
    time_us: Ints
    latency_us: Ints

    def in_scenes(self, rng: np.random.Generator, jitter: float = 0.005) -> "Frames":
        """The same, but what is seen changes with the scene only: 12 frames on average, a hair apart in log-odds."""
        devices, n = self.confidence.shape
        scene = np.stack([in_bursts(rng, n) for _ in range(devices)])
        first = np.take_along_axis(self.confidence, scene, 1)
        odds = np.log(first / (1 - first)) + jitter * rng.normal(size=first.shape)
        class_id = np.take_along_axis(self.class_id, scene, 1)
        return replace(self, confidence=1 / (1 + np.exp(-odds)), class_id=class_id)


def in_step(confidence: Doubles, rng: np.random.Generator, step_us: int) -> Frames:
    """Frames of devices that all see one at each step, of any class, after 3 ms and a third more or less."""
    devices, n = confidence.shape
    return Frames(
        confidence=confidence,
        class_id=rng.integers(0, CLASSES, (devices, n)),
        time_us=np.tile(np.arange(n) * step_us, (devices, 1)),
        latency_us=rng.lognormal(np.log(3_000), 0.3, (devices, n)).astype(np.int64),
    )


def messages_of(frames: Frames, rows: int) -> list[list[Message]]:
    """For each device its messages of so many rows, in order."""
    devices, n = frames.confidence.shape
    return [[_message(frames, device, at, min(rows, n - at)) for at in range(0, n, rows)] for device in range(devices)]


def _message(frames: Frames, device: int, at: int, rows: int) -> Message:
    part = slice(at, at + rows)
    times, first = frames.time_us[device, part], frames.confidence[device, part]
    scores = np.stack([first, _second(first)], axis=1).astype(np.float32)
    best = frames.class_id[device, part]
    header = wire.Header(
        stream=(device + 1).to_bytes(16, "little"),
        first_seq=at,
        count=rows,
        device_time_us=START_US + int(times[0]),
        model=MODEL[0],
        model_version=MODEL[1],
        site="site",
        top_k=2,
        codec=Codec.NONE,
        dims=0,
    )
    columns = wire.Columns(
        device_time_delta_us=(times - times[0]).astype(np.int32),
        class_ids=np.stack([best, (best + 1) % CLASSES], axis=1).astype(np.uint16).ravel(),
        scores=scores.ravel(),
        entropy=_entropy(first).astype(np.float32),
        embedding=b"",
        embedding_scale=np.empty(0, np.float32),
        sample_digest=bytes(32 * rows),
        sample_bytes=np.ones(rows, np.uint32),
        latency_us=frames.latency_us[device, part].astype(np.uint32),
    )
    return Message(up_topic(f"camera-{device:04d}", Up.INFERENCES), wire.encode(header, columns))


def _second(first: Doubles) -> Doubles:
    """Half of what the best class leaves."""
    return np.minimum(first, (1 - first) / 2)


def _entropy(first: Doubles) -> Doubles:
    """Nats, with what the best class leaves spread evenly."""
    rest = np.maximum(1 - first, 1e-12)
    return -first * np.log(np.maximum(first, 1e-12)) - rest * np.log(rest / (CLASSES - 1))


def scale_of(confidence: Doubles) -> Scale:
    """The scale that a model would be accepted with whose validation rows have these confidences, (n,)."""
    return fit(tuple(f"class-{i}" for i in range(CLASSES)), rows_as_accepted(confidence))


def rows_as_accepted(confidence: Doubles) -> Rows:
    """Validation rows with these confidences, (n,), as frames with them are sent."""
    first = confidence.astype(np.float32)
    return Rows(
        class_id=np.zeros(len(first), np.int64),
        confidence=first,
        second=_second(first),
        entropy=_entropy(confidence).astype(np.float32),
        embeddings=np.empty((0, 0), np.float32),
        codec=Codec.NONE,
    )


def count(arrived: Sequence[Message], scale: Scale, window_us: int) -> Panes:
    """The panes after all messages, in the order in which they arrived."""
    counting = Counting(scales={MODEL: scale}, levels=_LEVELS, window_us=window_us)
    seen: dict = {}
    counted, panes = Counted(), {}
    for at in range(0, len(arrived), _BATCH):
        batch = arrived[at : at + _BATCH]
        records = Records(
            partition=0,
            offsets=list(range(at, at + len(batch))),
            received_us=[START_US + _LATER_US] * len(batch),
            topics=[message.topic for message in batch],
            payloads=[message.payload for message in batch],
        )
        unique = dedup(seen, decode(records, {}))
        add_panes(panes, count_rows(counted, unique.inferences, counting))
    return panes


def stacks_of(panes: Panes, scale: Scale) -> Ints:
    """(T, width): what is judged of each window, in the order of time."""
    layout = layout_of(scale)
    return np.stack([panes[key][layout.stack] for key in sorted(panes)])


def rows_of(panes: Panes, scale: Scale) -> tuple[int, int]:
    """Rows and events in all panes."""
    layout = layout_of(scale)
    total = sum(panes.values())
    return int(total[layout.rows]), int(total[layout.events])


def watched(scale: Scale) -> tuple[tuple[Feature, ...], NDArray[np.intp]]:
    """The features that vary in these frames, and the columns of a stack that hold their counts."""
    names = ("prediction_mix", "confidence", "margin", "entropy")
    at = layout_of(scale).at
    columns = np.concatenate([np.arange(at[name].start - 2, at[name].stop - 2) for name in names])
    return tuple(feature for feature in scale.features if feature.name in names), columns
