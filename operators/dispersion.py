"""Dispersion: by how much the counts of windows vary more than those of independent events.

Frames that resemble their neighbours count several times, and a detector that takes them for independent
cries wolf. How much they do is seen in the windows before: two windows of the same world differ as
two samples do, whatever the reference says and wherever the world has drifted to, and the factor by which
Pearson's statistic of the pair exceeds what it would be is the dispersion φ (Wedderburn, 1974; McCullagh and
Nelder, 1989).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, places

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

LAGS: Final = (1, 8)
"""Pairs of windows: neighbours, which a burst may join, and such as are too far apart for that."""

PAIRS: Final = 64
"""The newest so many pairs of each lag are looked at."""

FEWEST: Final = 8
"""Fewer pairs say nothing, and φ is 1."""

LOOKBACK: Final = PAIRS + max(LAGS)
"""Windows before t on which φ of t depends."""

_STEPS: Final = 1 << 20
_BLOCK: Final = 1 << 20


def dispersion(stacks: Ints, features: Sequence[Feature], skip: int = 0) -> Doubles:
    """(T - skip, …, F) φ ≥ 1 of each feature at each window, from the `LOOKBACK` windows before it only.

    The median of the pairs' ratios, the larger one of two lags. A step in the shares spoils as many pairs as the lag
    is long, and fewer than half of the pairs can't carry the median away, so that a change does not hide itself.

    Args:
        stacks: (T, …, width) int64, windows in the order of time; further axes are cohorts.
        features: as they stand in a stack, F of them.
        skip: of the first so many windows φ is not wanted: they are there to look back at.
    """
    starts = [place.start for place in places(features)]
    found = np.ones((len(stacks) - skip, *stacks.shape[1:-1], len(features)))
    for lag in LAGS if len(found) else ():
        ratios = np.full((*stacks.shape[:-1], len(features)), np.nan)
        ratios[lag:] = pair_ratios(stacks[:-lag], stacks[lag:], starts)
        np.maximum(found, _medians_before(ratios, skip), out=found)
    return found


def pair_ratios(a: Ints, b: Ints, starts: Sequence[int]) -> Doubles:
    """(…, F) Pearson's X² of two samples over its median where both follow one law; NaN where they can't differ.

    Given the sums of both samples and of each bin, X² has the mean N/(N-1) · (K-1) exactly, with N events in K bins
    that are not empty (Haldane, 1940). Its median lies below by a factor near (1 - 2/(9(K-1)))³ (Wilson and
    Hilferty, 1931).

    Args:
        a: (…, width) stacks.
        b: (…, width) stacks.
        starts: where each feature begins.
    """
    both = a + b
    # X² = N²/(A·B) · (Σ a²/(a+b) - A²/N); in whole steps, so that the sum is exact in any order
    parts = np.rint(a.astype(np.float64) ** 2 / np.maximum(both, 1) * _STEPS)
    squares = np.add.reduceat(parts, starts, axis=-1) / _STEPS
    first, total = (np.add.reduceat(counts, starts, axis=-1).astype(np.float64) for counts in (a, both))
    free = np.add.reduceat((both > 0).astype(np.int64), starts, axis=-1) - 1.0
    second, usable = total - first, (free > 0) & (first > 0) & (first < total)
    excess = total * (total * squares - first**2) * (total - 1)
    scale = first * second * free * (1 - 2 / (9 * np.maximum(free, 1.0))) ** 3
    ratios: Doubles = np.divide(excess, scale * total, out=np.full_like(total, np.nan), where=usable)
    return ratios


def _medians_before(ratios: Doubles, skip: int) -> Doubles:
    """(T - skip, …, F) the median of up to `PAIRS` ratios before each place from `skip` on; 1 of too few."""
    padded = np.concatenate([np.full((PAIRS, *ratios.shape[1:]), np.nan), ratios[:-1]])[skip:]
    windows = np.lib.stride_tricks.sliding_window_view(padded, PAIRS, axis=0)
    size = max(_BLOCK // max(windows[:1].size, 1), 1)
    return np.concatenate([_medians(windows[at : at + size]) for at in range(0, len(windows), size)])


def _medians(values: Doubles) -> Doubles:
    """(…,) medians along the last axis, of those that are not NaN; 1 where there are fewer than `FEWEST`."""
    ascending = np.sort(values, axis=-1)  # NaN comes last
    n = np.count_nonzero(~np.isnan(ascending), axis=-1)
    enough = np.maximum(n, 1)[..., None]
    middle = [np.take_along_axis(ascending, at, axis=-1)[..., 0] for at in ((enough - 1) // 2, enough // 2)]
    return np.where(n >= FEWEST, (middle[0] + middle[1]) / 2, 1.0)
