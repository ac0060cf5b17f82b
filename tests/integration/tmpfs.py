"""A small file system of a test's own, to be filled; skips the test, by name, where none can be mounted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """An empty tmpfs of `size`, as 1m, at `folder` until the block ends."""
    if os.geteuid() != 0:
        pytest.skip("a tmpfs can be mounted by root only")
    folder.mkdir(parents=True)
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "gleaner-test", str(folder)], capture_output=True, text=True
    )
    if told.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {told.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
