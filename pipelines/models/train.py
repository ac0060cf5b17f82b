"""A small classifier of digits: two hidden layers, the last of which is the embedding."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.models.digits import Part

Floats = NDArray[np.float32]

HIDDEN: Final = (64, 32)
PIXEL_SCALE: Final = 1 / 255


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One dense layer: x · weights + bias.

    Attributes:
        weights: (inputs, outputs) float32.
        bias: (outputs,) float32.
    """

    weights: Floats
    bias: Floats


def train(part: Part, seed: int) -> tuple[Layer, ...]:
    """The layers of a network trained on `part`; ReLU between them, softmax after the last."""
    from sklearn.neural_network import MLPClassifier  # it takes a second to import, and no service needs it

    network = MLPClassifier(HIDDEN, alpha=1e-2, max_iter=1000, tol=1e-5, n_iter_no_change=20, random_state=seed % 2**32)
    pixels = part.images.reshape(len(part.images), -1) * PIXEL_SCALE
    network.fit(pixels, part.labels)
    return tuple(
        Layer(weights=weights.astype(np.float32), bias=bias.astype(np.float32))
        for weights, bias in zip(network.coefs_, network.intercepts_, strict=True)
    )
