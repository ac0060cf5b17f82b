"""Temperature: one number that makes a classifier's confidence mean what it says."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]

_RANGE: Final = (0.05, 20.0)
_STEPS: Final = 60
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_LEAST: Final = 1e-12


def temperature(probabilities: Floats, labels: Labels) -> float:
    """The temperature in [0.05, 20] with the smallest negative log-likelihood (Guo et al., 2017, ICML).

    The likelihood is concave in 1/T, so a golden-section search (Kiefer, 1953) over ln T finds the only
    optimum. The order of the classes never changes, so accuracy does not either.

    Args:
        probabilities: (n, labels) at temperature 1.
        labels: (n,) true classes.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), _LEAST, 1.0))
    low, high = math.log(_RANGE[0]), math.log(_RANGE[1])
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if negative_log_likelihood(logits / math.exp(left), labels) <= negative_log_likelihood(
            logits / math.exp(right), labels
        ):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 6)


def negative_log_likelihood(logits: Doubles, labels: Labels) -> float:
    """Mean of -ln softmax(logits)[label], in nats; logits (n, labels)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(logs[np.arange(len(labels)), labels].mean())


def expected_calibration_error(confidence: Floats, correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equally wide bins, in [0, 1] (Naeini et al., 2015, AAAI).

    Args:
        confidence: (n,) probability of the predicted class.
        correct: (n,) whether it is the true one.
        bins: of equal width over [0, 1].
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=confidence.astype(np.float64) - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
