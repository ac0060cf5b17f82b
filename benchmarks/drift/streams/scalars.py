"""Confidence and yes-or-no streams, stationary and shifted, and what delivery and cameras do to them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Ints = NDArray[np.int64]

A: Final = 8.0
B: Final = 2.0
MEAN: Final = A / (A + B)
SIGMA: Final = float(np.sqrt(A * B / ((A + B) ** 2 * (A + B + 1))))
SHARE: Final = 0.2
"""Of ones in the yes-or-no stream."""


def confidence(rng: np.random.Generator, *shape: int) -> Values:
    """Beta(8, 2): the confidences of a model that is mostly right. Mean 0.8, σ 0.12."""
    return rng.beta(A, B, shape)


def lower(rng: np.random.Generator, sigmas: float, *shape: int) -> Values:
    """The same concentration, the mean lower by so many σ."""
    mean = MEAN - sigmas * SIGMA
    return rng.beta((A + B) * mean, (A + B) * (1 - mean), shape)


def wider(rng: np.random.Generator, *shape: int) -> Values:
    """Beta(4, 1): the same mean, a wider shape."""
    return rng.beta(A / 2, B / 2, shape)


def yes_or_no(rng: np.random.Generator, *shape: int) -> Values:
    """Bernoulli(0.2), as 0.0 and 1.0."""
    return (rng.random(shape) < SHARE).astype(np.float64)


def one_class(_: np.random.Generator, n: int) -> Ints:
    """(n,): the first of ten classes, always."""
    return np.zeros(n, np.int64)


def few_classes(rng: np.random.Generator, n: int) -> Ints:
    """(n,): four of ten classes, the last of them once in a hundred."""
    return rng.choice(4, n, p=(0.6, 0.3, 0.09, 0.01))


def fleet(rng: np.random.Generator, devices: int, samples: int) -> Values:
    """(devices, samples): confidences of devices that differ from each other, and do not change.

    Beta with concentration 10 and means of 0.8 ± 0.05, one for each device.
    """
    means = np.clip(MEAN + 0.05 * rng.normal(size=(devices, 1)), 0.5, 0.97)
    return rng.beta(10 * means, 10 * (1 - means), (devices, samples))


def in_turn(devices: int, samples: int) -> Ints:
    """The order in which a fleet's rows come where every device is always connected: (devices · samples,)."""
    return np.arange(devices * samples).reshape(devices, samples).T.ravel()


def stored_and_forwarded(rng: np.random.Generator, devices: int, samples: int, block: int = 500) -> Ints:
    """The order where each device sends blocks when it is connected: (devices · samples,)."""
    rows = np.arange(devices * samples).reshape(devices, samples)
    parts = [
        rows[device, at : at + block] for at in range(0, samples, block) for device in rng.permutation(devices).tolist()
    ]
    return np.concatenate(parts)


def in_bursts(rng: np.random.Generator, samples: int, mean_length: float = 12.0) -> Ints:
    """(samples,) which scene each frame shows: scenes last 1, 2, … frames, geometrically, 12 on average."""
    scenes = rng.geometric(1 / mean_length, int(samples / mean_length * 2) + 100)
    return np.repeat(np.arange(len(scenes)), scenes)[:samples]
