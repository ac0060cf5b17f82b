"""A simulated camera: draws small images from a pool, shows them as frames, suffers its effects.

The same seed sees the same images in the same order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_publisher import netpbm
from edge_publisher.sensor import Sample
from edge_publisher.simulation.effects import EFFECTS

UPSAMPLED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSettings:
    """One effect, from when to when (seconds since the start; None: to the end), how strong (0 … 1)."""

    effect: str
    from_s: float = 0.0
    to_s: float | None = None
    strength: float = 0.5

    def is_on(self, t: float) -> bool:
        """Whether it acts at `t` seconds."""
        return self.from_s <= t and (self.to_s is None or t < self.to_s)


class Camera:
    """Frames of images drawn at random, without end.

    Args:
        images: (n, h, w) uint8.
        labels: (n,) true classes.
        seed: of order and effects.
        effects: what happens to the frames, in this order.
        elapsed: seconds since the fleet's start.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.integer],
        seed: Sequence[int],
        effects: Sequence[EffectSettings],
        elapsed: Callable[[], float],
    ) -> None:
        self._images = images
        self._labels = labels
        self._rng = np.random.default_rng(seed)
        self._effects = tuple(effects)
        self._elapsed = elapsed

    def __iter__(self) -> Iterator[Sample]:
        """The frames, 8 times as wide and high as the images, as PGM."""
        while True:
            place = int(self._rng.integers(len(self._images)))
            frame = self._images[place].repeat(UPSAMPLED, axis=0).repeat(UPSAMPLED, axis=1)
            t = self._elapsed()
            for each in self._effects:
                if each.is_on(t):
                    frame = EFFECTS[each.effect](frame, each.strength, self._rng)
            data = netpbm.write(frame)
            yield Sample(data=data, content_type=netpbm.PGM, array=frame, label=int(self._labels[place]))
