"""One process at a time: a lock on a file that ends with the process, however it ends."""

import fcntl
import os
from pathlib import Path

from schemas.errors import LakeError, LockHeld


def hold(path: Path, what: str, *, wait: bool = False) -> int:
    """The descriptor that holds the lock; closing it, or dying, lets go.

    Args:
        path: of the lock file; made where it is missing, with its folder.
        what: whose owner this process becomes, for the error's text.
        wait: until whoever holds it lets go, instead of an error.

    Raises:
        LockHeld: another process holds it.
        LakeError: the file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LakeError(f"{path.parent}: can't be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LockHeld(f"{path.parent}: another process {what}; stop it first, or use another data_dir") from error
    return descriptor
