"""Null intervals: between which values each measure lies where nothing has drifted.

A reference of its own size and a window of n events are both drawn anew, as multinomials, from what the
reference says: it is itself a sample, and its error stands in every window. That is done at n = 1, 2, 4, 8 …
Between these, quantiles are interpolated after they were freed of (1/n + 1/N)^power, with which all of them
shrink: what is left hardly depends on n. No normal limit is used; it is far off in windows of 30 events.

Nothing here raises an alarm. An interval at 1 % is left by one healthy window in a hundred, where the reference has
ten rows or more for each bin; with hundreds of classes and as few rows it says little.
"""

import hashlib
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Kind
from operators.measures import MEASURES
from schemas.errors import SettingsError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS: Final = 4000
LEVEL: Final = 0.01
LEAST_LEVEL: Final = 0.005
_BLOCK: Final = 1 << 18


def null_intervals(kind: Kind, counts: Ints, reference_rows: int, events: Ints, level: float = LEVEL) -> Doubles:
    """For each of `MEASURES` the interval outside which it lies with chance `level` where nothing drifts.

    Deterministic, and remembered for each power of two of `events`. Half of the level is on either side.

    Args:
        kind: of the feature.
        counts: (bins,) of the feature in the reference, at least one row.
        reference_rows: independent events in the reference, at least 1.
        events: (…,) of that feature in windows, each at least 1.
        level: in [0.005, 0.5]: the quantiles are among 4,000 draws.

    Returns:
        (…, measures, 2): low and high; nan for a measure that the kind does not have.

    Raises:
        SettingsError: the level is out of range.
    """
    if not LEAST_LEVEL <= level <= 0.5:
        raise SettingsError(f"a null interval's level of {level:g} is not in [{LEAST_LEVEL}, 0.5]")
    if not events.size:
        return np.empty((*events.shape, len(MEASURES), 2))
    octave = np.frexp(events.astype(np.float64))[1] - 1
    first, last = int(octave.min()), int(octave.max()) + 1
    key = counts.astype(np.int64).tobytes()
    freed = np.array([_freed(kind, key, reference_rows, 1 << j, level) for j in range(first, last + 1)])
    below, above = freed[octave - first], freed[octave - first + 1]
    share = (events / np.exp2(octave) - 1)[..., None, None]  # of the way from 2^octave to the next
    intervals: Doubles = (below + (above - below) * share) * _shrink(events, reference_rows)[..., None]
    return intervals


def _shrink(events: Ints, reference_rows: int) -> Doubles:
    """(…, measures): what the quantiles are proportional to, nearly."""
    both = 1 / events + 1 / reference_rows
    return np.stack([both**measure.power for measure in MEASURES], axis=-1)


@lru_cache(maxsize=4096)
def _freed(kind: Kind, counts: bytes, reference_rows: int, events: int, level: float) -> Doubles:
    """(measures, 2): quantiles of the drawn values, freed of how they shrink."""
    reference = np.frombuffer(counts, np.int64)
    values = np.sort(_drawn(kind, reference, reference_rows, events), axis=0)
    beyond = int(level / 2 * DRAWS)
    ends = values[[beyond, -1 - beyond]].T
    freed: Doubles = ends / _shrink(np.array(events), reference_rows)[:, None]
    return freed


def _drawn(kind: Kind, counts: Ints, reference_rows: int, events: int) -> Doubles:
    """(draws, measures): values between references and windows that are drawn alike."""
    rng = np.random.default_rng(_seed(counts, reference_rows, events))
    shares = _plausible_shares(counts)
    block = max(_BLOCK // len(counts), 1)
    return np.concatenate(
        [_some(kind, shares, reference_rows, events, min(block, DRAWS - at), rng) for at in range(0, DRAWS, block)]
    )


def _plausible_shares(counts: Ints) -> Doubles:
    """Shares to draw from: bins the reference never saw have as much together as those it saw once.

    Good's estimate of what is missing from a sample (Good, 1953, Biometrika). Plain shares would draw too few
    bins where there are many and rows are few, so that healthy windows would often lie above the interval.
    """
    unseen = counts == 0
    shares: Doubles = counts / counts.sum()
    if unseen.any():
        missing = ((counts == 1).sum() + 1 / len(counts)) / (counts.sum() + 1)
        shares = np.where(unseen, missing / unseen.sum(), shares * (1 - missing))
    return shares


def _some(
    kind: Kind, shares: Doubles, reference_rows: int, events: int, draws: int, rng: np.random.Generator
) -> Doubles:
    references, windows = rng.multinomial(reference_rows, shares, draws), rng.multinomial(events, shares, draws)
    none = np.full(draws, np.nan)
    values = [measure.between(references, windows) if kind in measure.kinds else none for measure in MEASURES]
    return np.stack(values, axis=-1)


def _seed(counts: Ints, reference_rows: int, events: int) -> int:
    text = f"{counts.tolist()}/{reference_rows}/{events}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
