"""Small disks that can be filled: tmpfs mounts, where this user may mount."""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 256 << 20
_BALLAST: Final = "ballast"


def mount(folder: Path) -> bool:
    """Put a small disk at `folder`; False where this user may not."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return False
    asked = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def mountable() -> bool:
    """Whether this user may mount a small disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there = mount(folder)
        if there:
            unmount(folder)
        return there


def unmount(folder: Path) -> None:
    """Take the disk at `folder` away, with all that is on it."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> None:
    """Leave no room on the disk."""
    left = os.statvfs(folder)
    ballast = os.open(folder / _BALLAST, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        with suppress(OSError):
            os.posix_fallocate(ballast, 0, left.f_bavail * left.f_frsize)
    finally:
        os.close(ballast)


def empty(folder: Path) -> None:
    """Give the room back."""
    (folder / _BALLAST).unlink(missing_ok=True)
