"""Grey and colour images as bytes: the binary Netpbm formats P5 (.pgm) and P6 (.ppm), 8 bits.

Written by hand, because a device needs no image library for a header of three numbers.
"""

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS: Final = 1 << 26
PGM: Final = "image/x-portable-graymap"
PPM: Final = "image/x-portable-pixmap"
_GAP: Final = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER: Final = re.compile(rb"P([56])%b(\d{1,9})%b(\d{1,9})%b(\d{1,5})\s" % (_GAP, _GAP, _GAP))


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The image in `data`: uint8 of shape (h, w) for P5, (h, w, 3) for P6.

    Raises:
        ValueError: not such an image, more than `max_pixels`, more than 8 bits, or cut short.
    """
    found = _HEADER.match(data)
    if found is None:
        raise ValueError("not a binary PGM or PPM image (P5 or P6)")
    channels = 3 if found[1] == b"6" else 1
    width, height, most = int(found[2]), int(found[3]), int(found[4])
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"{width} × {height} pixels; 1 to {max_pixels} are read")
    if not 0 < most < 256:
        raise ValueError("images of 8 bits are read")
    size = width * height * channels
    if len(data) - found.end() < size:
        raise ValueError("the image is cut short")
    pixels = np.frombuffer(data, np.uint8, size, found.end())
    return pixels.reshape((height, width) if channels == 1 else (height, width, 3))


def write(pixels: NDArray[Any]) -> bytes:
    """The PGM of uint8 pixels of shape (h, w), or the PPM of shape (h, w, 3)."""
    kind = b"P5" if pixels.ndim == 2 else b"P6"
    return b"%b\n%d %d\n255\n" % (kind, pixels.shape[1], pixels.shape[0]) + pixels.astype(np.uint8).tobytes()
