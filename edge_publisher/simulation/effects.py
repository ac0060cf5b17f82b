"""What goes wrong with a camera: each effect turns a frame into a worse one.

All take a frame, uint8 of shape (h, w), a strength from 0 (nothing) to 1, and a
generator of randomness; all give a frame of the same shape.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Effect = Callable[[Frame, float, np.random.Generator], Frame]

_SMEAR_SEED: Final = 5


def blur(frame: Frame, strength: float, _rng: np.random.Generator) -> Frame:
    """Out of focus: a box average of up to a third of the width, twice."""
    reach = round(strength * frame.shape[1] / 6)
    return _bytes(_averaged(_averaged(frame.astype(np.float64), reach), reach))


def dim(frame: Frame, strength: float, _rng: np.random.Generator) -> Frame:
    """Less light: all values times 1 - 0.9 · strength."""
    return _bytes(frame * (1.0 - 0.9 * strength))


def noise(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    """A bad sensor: Gaussian noise of up to 128 grey levels of standard deviation."""
    return _bytes(frame + rng.normal(0.0, 128.0 * strength, frame.shape))


def smear(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    """Grease on the lens: blotches that stay in their place scatter light, more each time or less."""
    veil = _blotches(frame.shape) * strength
    soft = _averaged(frame.astype(np.float64), round(strength * frame.shape[1] / 8))
    glare = 160.0 + rng.normal(0.0, 20.0)
    return _bytes(frame * (1.0 - veil) + (0.5 * soft + 0.5 * glare) * veil)


def rotate(frame: Frame, strength: float, _rng: np.random.Generator) -> Frame:
    """A camera knocked aside: turned by up to 90 degrees, nearest pixel, black outside."""
    h, w = frame.shape
    angle = strength * np.pi / 2
    y, x = np.mgrid[0:h, 0:w]
    y, x = y - (h - 1) / 2, x - (w - 1) / 2
    rows = np.rint(np.cos(angle) * y - np.sin(angle) * x + (h - 1) / 2).astype(int)
    columns = np.rint(np.sin(angle) * y + np.cos(angle) * x + (w - 1) / 2).astype(int)
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    turned: Frame = np.where(inside, frame[rows.clip(0, h - 1), columns.clip(0, w - 1)], 0).astype(np.uint8)
    return turned


EFFECTS: Final[dict[str, Effect]] = {"blur": blur, "dim": dim, "noise": noise, "smear": smear, "rotate": rotate}


def _blotches(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Where the lens is greasy: 0 … 1, the same for every frame of this size."""
    rng = np.random.default_rng(_SMEAR_SEED)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape)
    veil = np.zeros(shape)
    for centre_y, centre_x, radius in rng.uniform((0.15, 0.15, 0.2), (0.85, 0.85, 0.4), (6, 3)):
        veil = np.maximum(veil, np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * radius**2)))
    return veil


def _averaged(pixels: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Each pixel the mean of the square that reaches `reach` to each side; edges repeat."""
    for axis in (0, 1):
        padded = np.pad(pixels, [(reach + 1, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        sums = padded.cumsum(axis=axis)
        high = np.take(sums, range(2 * reach + 1, sums.shape[axis]), axis=axis)
        low = np.take(sums, range(sums.shape[axis] - 2 * reach - 1), axis=axis)
        pixels = (high - low) / (2 * reach + 1)
    return pixels


def _bytes(pixels: NDArray[Any]) -> Frame:
    rounded: Frame = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return rounded
