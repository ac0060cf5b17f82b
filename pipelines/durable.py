"""Durable: what is on disk for good once a function returns."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive the loss of power.

    Raises:
        OSError: the disk fails; what was written before can't be trusted, and a second try proves nothing.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Give a small file its content in one step: a crash leaves the old one or the new one.

    Raises:
        OSError: the disk does not take it; the old one stays.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """As `write_text`, of bytes."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(data)
    sync(draft)
    draft.replace(path)
    sync(path.parent)
