"""Uncertainty: how unsure the model was of each row, from its top classes."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def top_two(scores: pa.ListArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The best and the second best score of each row, shape (n,) each.

    Args:
        scores: (n,) lists of at least one score, best first. A row that tells one class
            only has 0 as its second best.
    """
    offsets = scores.offsets.to_numpy()
    values = scores.values.to_numpy()
    starts, ends = offsets[:-1], offsets[1:]
    second = np.zeros(len(starts), np.float32)
    has_two = ends - starts > 1
    second[has_two] = values[starts[has_two] + 1]
    return values[starts], second


def margin_uncertainty(scores: pa.ListArray) -> NDArray[np.float64]:
    """1 - (p₁ - p₂) of each row, shape (n,), in [0, 1]; 1 where two classes tie.

    Scores may be a rounding beyond 1, or not fall where a device lies: the result stays in its range.

    Source: Scheffer, Decomain and Wrobel, 2001, "Active hidden Markov models for
    information extraction" (margin sampling).
    """
    first, second = top_two(scores)
    margin: NDArray[np.float64] = 1.0 - (first.astype(np.float64) - second)
    return np.clip(margin, 0.0, 1.0)
