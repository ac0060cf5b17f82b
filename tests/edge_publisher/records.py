"""Records of a made-up kind for the tests of outbox, batches and sender."""

import numpy as np

from edge_publisher.model import Inference
from edge_publisher.record import Kind, Record, record_of
from schemas.embedding import Codec

KIND = Kind(model="linear", model_version=1, site="north", top_k=2, codec=Codec.I8, dims=4)


def record(number: int, kind: Kind = KIND, time_us: int | None = None) -> Record:
    """One whose columns all tell its number."""
    inference = Inference(
        class_ids=np.arange(number, number + kind.top_k).astype(np.uint16),
        scores=np.full(kind.top_k, 1 / (number + 2), np.float32),
        entropy=number / 8,
        embedding=np.full(kind.dims, number + 1, np.float32),
        latency_us=number,
        probabilities=np.full(10, 0.1, np.float32),
    )
    time = 1_700_000_000_000_000 + number * 1000 if time_us is None else time_us
    return record_of(inference, kind, time, number.to_bytes(32, "big"), 100 + number)
