"""What the harness says while it works: lines on stderr."""

import sys
import time

_START = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _START:7.1f}] {text}\n")
    sys.stderr.flush()
