"""What a device observes: bytes that follow from seed, device and counter, so that anybody can make them again."""

import hashlib
from typing import Final

import numpy as np

from edge_publisher.sensor import Sample

SIDE: Final = 8
_PIXELS: Final = SIDE * SIDE


def raw_sample(seed: int, device: str, n: int) -> bytes:
    """The n-th sample of a device: a small image with a text of varying length behind it."""
    said = f"{seed}/{device}/{n}"
    drawn = hashlib.shake_256(said.encode()).digest(_PIXELS + 1)
    return b"P5 8 8 255\n" + drawn[:_PIXELS] + said.encode() * (1 + drawn[-1] % 8)


def digest_of(seed: int, device: str, n: int) -> bytes:
    """SHA-256 of the n-th sample of a device."""
    return hashlib.sha256(raw_sample(seed, device, n)).digest()


def sample(seed: int, device: str, n: int) -> Sample:
    """The n-th sample as a sensor gives it."""
    raw = raw_sample(seed, device, n)
    pixels = np.frombuffer(raw, np.uint8, _PIXELS, offset=len(b"P5 8 8 255\n"))
    return Sample(data=raw, content_type="image/x-portable-graymap", array=pixels.reshape(SIDE, SIDE))
