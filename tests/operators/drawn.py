"""Rows drawn at random for the tests of drift, and the reference they make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.reference import Reference, Scale, build
from schemas.embedding import Codec

LABELS = tuple("abcde")
DIMS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    class_id: NDArray[np.int64]
    confidence: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def take(self, index: Any) -> "Rows":
        columns = {name: getattr(self, name)[index] for name in ("class_id", "confidence", "embeddings")}
        return Rows(**columns)


def draw_rows(n: int, seed: int = 0, dims: int = DIMS) -> Rows:
    rng = np.random.default_rng(seed)
    return Rows(
        class_id=rng.choice(len(LABELS), n, p=[0.4, 0.3, 0.2, 0.07, 0.03]),
        confidence=rng.beta(8, 1, n).astype(np.float32),
        embeddings=(rng.normal(size=(n, dims)) * np.arange(1, dims + 1) + 3).astype(np.float32),
    )


def reference_of(rows: Rows, scale: Scale | None = None, version: int = 1) -> Reference:
    return build(
        model="drawn",
        version=version,
        labels=LABELS,
        class_id=rows.class_id,
        confidence=rows.confidence,
        embeddings=rows.embeddings,
        embedding_codec=Codec.F32 if rows.embeddings.size else Codec.NONE,
        scale=scale,
    )


def scale_of_reference(reference: Reference) -> Scale:
    return Scale(confidence_edges=reference.confidence_edges, embedding_unit=reference.embedding_unit)


def same(a: Reference, b: Reference) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Reference.__slots__)
