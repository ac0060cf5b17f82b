"""Clocks that are wrong: seconds from a file are added to the wall clock of a process."""

import os
import time
from pathlib import Path
from typing import Final

SKEW: Final = "FAULTS_SKEW"


def install() -> None:
    """Let `time.time` and `time.time_ns` be off by what the file says; monotonic clocks go on as they are."""
    path = Path(os.environ.get(SKEW, ""))
    real_ns = time.time_ns

    def skewed_ns() -> int:
        return real_ns() + int(_seconds(path) * 1e9)

    time.time_ns = skewed_ns
    time.time = lambda: skewed_ns() / 1e9


def _seconds(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
