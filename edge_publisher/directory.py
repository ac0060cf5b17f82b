"""A directory as a sensor: its .pgm, .ppm and .npy files, by name."""

import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_publisher import netpbm
from edge_publisher.sensor import Sample
from schemas.errors import SettingsError

MAX_FILE_BYTES: Final = 64 << 20
NPY: Final = "application/x-npy"
_TYPES: Final = {".pgm": netpbm.PGM, ".ppm": netpbm.PPM, ".npy": NPY}

log = logging.getLogger(__name__)


class DirectorySensor:
    """The samples in a directory, sorted by name; a file that can't be read is told and left out.

    Args:
        folder: holds the files.
        repeat: begin again at the end, with what is there then.

    Raises:
        SettingsError: no such folder, or no sample in it.
    """

    def __init__(self, folder: Path, *, repeat: bool = False) -> None:
        if not folder.is_dir() or not _files(folder):
            raise SettingsError(f"{folder}: a folder with {', '.join(_TYPES)} files is needed")
        self._folder = folder
        self._repeat = repeat

    def __iter__(self) -> Iterator[Sample]:
        """The samples; without end where they repeat and one can be read."""
        while True:
            found = 0
            for file in _files(self._folder):
                sample = _sample(file)
                if sample is not None:
                    found += 1
                    yield sample
            if not self._repeat or not found:
                return


def read_npy(data: bytes) -> NDArray[Any]:
    """The array of numbers in the bytes of a .npy file.

    Raises:
        ValueError: no such file, objects in it, or a header that promises more than there is.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f".npy files of version {version} are not read")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = header(stream)
    except (TokenError, SyntaxError, RecursionError) as error:  # numpy reads the header as Python
        raise ValueError("a header that can't be read") from error
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > len(data):
        raise ValueError("it holds objects, or promises more than there is")
    stream.seek(0)
    array: NDArray[Any] = np.load(stream, allow_pickle=False)
    return array


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in _TYPES and file.is_file())


def _sample(file: Path) -> Sample | None:
    try:
        data = _bytes(file)
        array = read_npy(data) if file.suffix == ".npy" else netpbm.read(data)
    except (OSError, ValueError) as error:
        log.warning("%s is left out: %s", file, error)
        return None
    return Sample(data=data, content_type=_TYPES[file.suffix], array=array)


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return file.read_bytes()
