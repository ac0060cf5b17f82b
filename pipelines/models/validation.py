"""The validation part: samples that training did not see, with labels where they are known."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validation:
    """Samples that a model is accepted on.

    Attributes:
        samples: (n, h, w) or (n, h, w, channels), raw, as a device's sensor gives them.
        labels: (n,) int64 class ids, or None where nobody knows them.
    """

    samples: NDArray[Any]
    labels: NDArray[np.int64] | None = None


def load_validation(path: Path) -> Validation:
    """The arrays `samples` and, where given, `labels` of a `.npz` file.

    Raises:
        InputError: the file is not there, or holds something else.
    """
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a .npz with `samples` and, if known, `labels`") from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path}: not a .npz of plain arrays, write it with numpy.savez: {error}") from error
    samples, labels = found.get("samples"), found.get("labels")
    if samples is None or samples.ndim not in (3, 4) or not len(samples):
        raise InputError(f"{path}: needs `samples` of shape (n, h, w) or (n, h, w, channels), n at least 1")
    if labels is not None and (labels.shape != (len(samples),) or labels.dtype.kind not in "iu"):
        raise InputError(f"{path}: `labels` must be whole numbers, one a sample")
    return Validation(samples=samples, labels=None if labels is None else labels.astype(np.int64))
