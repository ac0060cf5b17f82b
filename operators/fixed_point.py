"""Embeddings as whole steps, so that sums of them are exact and have no order.

Sums of floats depend on the order of adding: a replay, another split into batches
or another number of workers would give other windows. Sums of integers don't.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

STEPS: Final = 1 << 11
"""Steps from 0 to the largest value of a reference; finer than any 8-bit codec."""

MAX_CODE: Final = 1 << 14
"""Largest step that is counted: 8 times the reference's largest value; beyond it a value counts as this."""

BLOCK_ROWS: Final = 1 << 10
"""Rows whose codes add up exactly in float32: BLOCK_ROWS · MAX_CODE = 2^24."""


def step_of(vectors: Floats) -> float:
    """The step that spreads `vectors`, shape (n, d), over ±`STEPS`; 1 where all are zero."""
    largest = float(np.abs(vectors).max(initial=0.0))
    return largest / STEPS if largest > 0 else 1.0


def codes(vectors: Floats, step: float) -> Floats:
    """`vectors`, shape (n, d), in whole steps within ±`MAX_CODE`, as float32 that are integers."""
    with np.errstate(over="ignore"):  # what becomes infinite is clipped
        steps = vectors * np.float32(1.0 / step)
    np.rint(steps, out=steps)
    return np.clip(steps, -MAX_CODE, MAX_CODE, out=steps)


def outer_sum(vectors: Floats, step: float) -> Ints:
    """Σ q·qᵀ over the rows' codes q: (d, d) int64, exact for up to 2^35 rows."""
    dims = vectors.shape[1]
    total = np.zeros((dims, dims), np.int64)
    for at in range(0, len(vectors), BLOCK_ROWS):
        # float64 holds every partial sum: BLOCK_ROWS · MAX_CODE² = 2^38
        block = codes(vectors[at : at + BLOCK_ROWS], step).astype(np.float64)
        total += (block.T @ block).astype(np.int64)
    return total
