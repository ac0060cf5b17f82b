"""Bins: which of a few bins each value falls into, by comparing it with every edge."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK: Final = 1 << 13  # values that stay in the cache


def bins_of(edges: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int32]:
    """(n,) the bin of each value, 0 … e: how many of the e edges are not above it, as a binary search on the right.

    A comparison with each edge runs over many values at once; a binary search guesses wrong at every step. It takes
    a quarter of the time where there are 15 edges.

    Args:
        edges: (e,) not falling, at most 255.
        values: (n,) without NaN.
    """
    own = _rounded_up(edges) if values.dtype == np.float32 else edges.astype(values.dtype)
    found = np.zeros(len(values), np.uint8)
    for at in range(0, len(values), _BLOCK):
        part, count = values[at : at + _BLOCK], found[at : at + _BLOCK]
        for edge in own:
            np.add(count, part >= edge, out=count)
    return found.astype(np.int32)


def _rounded_up(edges: NDArray[Any]) -> NDArray[np.float32]:
    """The least float32 not below each edge: a float32 is not below the one exactly if it is not below the other."""
    near = edges.astype(np.float32)
    return np.where(near < edges, np.nextafter(near, np.float32(np.inf)), near)
