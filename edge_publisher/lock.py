"""One agent for one folder: a lock that the kernel lets go when its owner dies."""

import fcntl
from pathlib import Path
from typing import IO

from schemas.errors import LockHeld

_LOCK = "lock"


class FolderLock:
    """Holds `folder` for this agent until `release`; makes the folder, private, where there is none.

    Raises:
        LockHeld: another agent has it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: IO[str] = (folder / _LOCK).open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise LockHeld(
                f"{folder}: another agent already uses this folder; stop it, or give this one a folder of its own"
            ) from error

    def release(self) -> None:
        """Let the next agent have the folder."""
        self._file.close()
