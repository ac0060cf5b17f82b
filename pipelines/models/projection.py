"""The projection of the `pca-i8` codec: long embeddings to a few numbers."""

import io

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BundleError

Floats = NDArray[np.float32]


def fit_projection(embeddings: Floats, dims: int) -> Floats:
    """(dims + 1, d) float32: the mean, then the `dims` directions of largest variance (Hotelling, 1933).

    The sign of each direction is fixed, so the same embeddings give the same projection.

    Args:
        embeddings: (n, d) of the validation samples.
        dims: values that travel; 1 … min(d, n - 1).

    Raises:
        BundleError: there are too few samples, or values, for so many dimensions.
    """
    most = min(embeddings.shape[1], len(embeddings) - 1)
    if not 1 <= dims <= most:
        raise BundleError(f"a projection to {dims} values, but these embeddings allow 1 to {most}")
    mean = embeddings.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(embeddings - mean, full_matrices=False)
    kept = directions[:dims]
    largest = np.abs(kept).argmax(axis=1)[:, None]
    kept = kept * np.where(np.take_along_axis(kept, largest, axis=1) < 0, -1.0, 1.0)
    return np.concatenate([mean[None], kept]).astype(np.float32)


def to_npy_bytes(projection: Floats) -> bytes:
    """The bytes of a `projection.npy`."""
    buffer = io.BytesIO()
    np.save(buffer, projection, allow_pickle=False)
    return buffer.getvalue()
