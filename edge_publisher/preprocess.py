"""From raw samples to what the model sees: averaged down, scaled, normalised, laid out.

Numpy only, and the same code on the device and where a bundle is built, so that
a reference is made from the numbers that devices will see.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Preprocessing

Floats = NDArray[np.float32]

_NUMBERS: Final = "buif"


def prepare(sample: NDArray[Any], steps: Preprocessing) -> Floats:
    """The model's input for one sample, with a batch axis of 1.

    Args:
        sample: shape (h, w) or (h, w, channels), numbers, at least (height, width) large.
        steps: of the bundle.

    Returns:
        float32 of shape (1, height·width·channels), (1, channels, height, width) or
        (1, height, width, channels), as the layout says.

    Raises:
        ValueError: the sample has another shape or no numbers.
    """
    return prepare_many(np.asarray(sample)[None], steps)


def prepare_many(samples: NDArray[Any], steps: Preprocessing) -> Floats:
    """The model's input for n samples of shape (n, h, w) or (n, h, w, channels); otherwise as `prepare`."""
    pixels = _with_channels(np.asarray(samples), steps)
    small = _rows_averaged(_rows_averaged(pixels, steps.height).swapaxes(1, 2), steps.width).swapaxes(1, 2)
    mean, std = np.asarray(steps.mean, np.float32), np.asarray(steps.std, np.float32)
    return _laid_out((small * np.float32(steps.scale) - mean) / std, steps.layout)


def _with_channels(samples: NDArray[Any], steps: Preprocessing) -> Floats:
    if samples.dtype.kind not in _NUMBERS:
        raise ValueError(f"a sample holds numbers, not {samples.dtype}")
    if samples.ndim == 3:
        samples = samples[..., None]
    wanted = (steps.height, steps.width, steps.channels)
    fits = samples.ndim == 4 and samples.shape[3] == wanted[2]
    if not fits or samples.shape[1] < wanted[0] or samples.shape[2] < wanted[1]:
        raise ValueError(
            f"a sample of shape {samples.shape[1:]} can't become (height, width, channels) {wanted}: "
            "the channels must be the same, and it must not be smaller"
        )
    return samples.astype(np.float32)


def _rows_averaged(pixels: Floats, rows: int) -> Floats:
    """Axis 1 of `pixels` (n, h, w, c) averaged down to `rows`, each pixel by the area it covers."""
    n, h, w, c = pixels.shape
    if h == rows:
        return pixels
    if h % rows == 0:
        # Sums of bytes are exact here, whatever the order of adding.
        averaged: Floats = pixels.reshape(n, rows, h // rows, w, c).sum(axis=2) / np.float32(h // rows)
        return averaged
    mixed: Floats = np.matmul(_overlap(h, rows), np.ascontiguousarray(pixels).reshape(n, h, w * c))
    return mixed.reshape(n, rows, w, c)


@lru_cache(maxsize=16)
def _overlap(source: int, target: int) -> Floats:
    """Which share of each source pixel a target pixel averages: (target, source), rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    left = np.maximum(edges[:-1, None], np.arange(source))
    right = np.minimum(edges[1:, None], np.arange(1, source + 1))
    share = np.maximum(right - left, 0.0)
    shares: Floats = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _laid_out(pixels: Floats, layout: str) -> Floats:
    if layout == "nchw":
        pixels = pixels.transpose(0, 3, 1, 2)
    pixels = np.ascontiguousarray(pixels, np.float32)
    return pixels.reshape(len(pixels), -1) if layout == "flat" else pixels
