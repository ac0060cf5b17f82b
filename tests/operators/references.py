"""Rows drawn at random for the tests of drift, and the references they make."""

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.reference import Reference, same_scale
from operators.scale import Scale
from pipelines.models.fit import Rows, accept
from schemas.embedding import Codec

Ints = NDArray[np.int64]

LABELS = tuple("abcde")
DIMS = 6
SHARES = (0.4, 0.3, 0.2, 0.07, 0.03)


def draw_rows(n: int, seed: int = 0, dims: int = DIMS) -> Rows:
    """Healthy rows of a made-up model of five classes, each with a cluster of its own."""
    rng = np.random.default_rng(seed)
    class_id = rng.choice(len(LABELS), n, p=SHARES)
    confidence = rng.beta(8, 1, n)
    centres = np.random.default_rng(9).normal(size=(len(LABELS), max(dims, 1)))
    embeddings = centres[class_id][:, :dims] * 2 + rng.normal(size=(n, dims)) + 3
    return Rows(
        class_id=class_id,
        confidence=confidence.astype(np.float32),
        second=((1 - confidence) * rng.uniform(0.5, 1, n)).clip(max=confidence).astype(np.float32),
        entropy=((1 - confidence) * 1.5).astype(np.float32),
        embeddings=embeddings.astype(np.float32) if dims else np.empty((0, 0), np.float32),
        codec=Codec.F32 if dims else Codec.NONE,
    )


def take(rows: Rows, index: Any) -> Rows:
    """Some of the rows."""
    columns = {each.name: getattr(rows, each.name) for each in fields(rows)} | {"codec": rows.codec}
    return Rows(**{name: each if name == "codec" or not len(each) else each[index] for name, each in columns.items()})


def truth_of(rows: Rows, seed: int = 0) -> Ints:
    """True classes: a prediction is right as often as it is confident."""
    right = np.random.default_rng(seed + 1).random(len(rows.class_id)) < rows.confidence
    return np.where(right, rows.class_id, (rows.class_id + 1) % len(LABELS))


def reference_of(rows: Rows, scale: Scale | None = None, version: int = 1, truth: Ints | None = None) -> Reference:
    return accept(model="drawn", version=version, labels=LABELS, rows=rows, truth=truth, scale=scale)


@lru_cache
def small_reference(n: int = 2000, seed: int = 0, dims: int = DIMS) -> Reference:
    """A labelled reference for tests that need one; always the same."""
    rows = draw_rows(n, seed, dims)
    return reference_of(rows, truth=truth_of(rows))


def without_embedding(rows: Rows) -> Rows:
    return replace(rows, embeddings=np.empty((0, 0), np.float32), codec=Codec.NONE)


def same(a: Reference, b: Reference) -> bool:
    """Whether two references hold the same, to the last bit."""
    names = [each.name for each in fields(Reference) if each.name != "scale"]
    return same_scale(a.scale, b.scale) and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)
