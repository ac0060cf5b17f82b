"""A device that publishes garbage: what a broken or hostile one might send.

Its own topic carries random bytes, truncated and bit-flipped payloads and broken
JSON; now and then it uses the topic of another shard. None of it is an inference.
"""

import random
from typing import Final

import numpy as np

from edge_publisher.link import Link
from schemas.embedding import Codec
from schemas.topics import SHARDS, Up, shard_of, up_topic
from schemas.wire import Columns, Header, encode

_ROWS: Final = 4


def real_payload(rng: random.Random) -> bytes:
    """A payload that would be read, of four rows nobody accepted; raw material for spoiling."""
    header = Header(
        stream=rng.randbytes(16),
        first_seq=0,
        count=_ROWS,
        device_time_us=1_700_000_000_000_000,
        model="none",
        model_version=1,
        site="nowhere",
        top_k=1,
        codec=Codec.NONE,
        dims=0,
    )
    columns = Columns(
        device_time_delta_us=np.arange(_ROWS, dtype=np.int32),
        class_ids=np.zeros(_ROWS, np.uint16),
        scores=np.ones(_ROWS, np.float32),
        entropy=np.zeros(_ROWS, np.float32),
        embedding=b"",
        embedding_scale=np.empty(0, np.float32),
        sample_digest=rng.randbytes(32 * _ROWS),
        sample_bytes=np.full(_ROWS, 10, np.uint32),
        latency_us=np.full(_ROWS, 10, np.uint32),
    )
    return encode(header, columns)


def random_bytes(rng: random.Random) -> bytes:
    """Bytes of no meaning; never a `{` first, which would make it JSON."""
    return b"\x00" + rng.randbytes(rng.randrange(1, 200))


def truncated(rng: random.Random) -> bytes:
    """The start of a real payload."""
    payload = real_payload(rng)
    return payload[: rng.randrange(1, len(payload))]


def flipped(rng: random.Random) -> bytes:
    """A real payload with one bit turned."""
    payload = bytearray(real_payload(rng))
    payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    return bytes(payload)


def bad_json(rng: random.Random) -> bytes:
    """JSON that ends too early, or says nothing that is known."""
    return rng.choice((b'{"schema": 1, "stream": ', b'{"hello": "world"}', b'{"schema": 1, "count": "many"}'))


GARBAGE: Final = (random_bytes, truncated, flipped, bad_json)


class GarbageDevice:
    """Publishes one piece of garbage for each call.

    Args:
        device: its id.
        link: of its own.
        seed: of what it sends.
    """

    def __init__(self, device: str, link: Link, seed: int) -> None:
        self.device = device
        self.link = link
        self._rng = random.Random(f"{seed}/{device}")
        other = (shard_of(device) + 1) % SHARDS
        self._wrong_topic = up_topic(device, Up.INFERENCES).replace(f"/{shard_of(device):02x}/", f"/{other:02x}/", 1)

    def publish(self) -> bool:
        """Send one piece; False where the link took none."""
        if self._rng.random() < 1 / (len(GARBAGE) + 1):
            return self.link.publish_to(self._wrong_topic, real_payload(self._rng))
        return self.link.publish(Up.INFERENCES, self._rng.choice(GARBAGE)(self._rng))
