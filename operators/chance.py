"""Chance: a number for each row that is random and yet always the same.

A choice that a replay must repeat can't use a generator's state: which row meets
which draw would depend on the order of arrival. These numbers depend on the row's
identity and a seed alone.
"""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_hash(seed: str, stream: pa.DictionaryArray, seq: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A uniform 64-bit number for each row, shape (n,), from its stream and seq.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) over the seq and
    a BLAKE2 hash of the stream.
    """
    bases = [_base(seed, text) for text in stream.dictionary.to_pylist()]
    base = np.array(bases or [0], np.uint64)[stream.indices.to_numpy()]
    with np.errstate(over="ignore"):
        z = base + (seq.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _base(seed: str, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{text}".encode(), digest_size=8).digest(), "little")
