"""Fail points: named places in the code under test, reached by wrappers that `inject` puts there.

The nemesis arms one by writing a file that says which place and at which time of
reaching it; the process that gets there notes it, disarms the point and kills itself.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ARMED: Final = "FAULTS_ARMED"
HITS: Final = "FAULTS_HITS"


@dataclass(slots=True)
class _Counting:
    """How often the armed point was reached since it was armed."""

    order: str = ""
    stamp: int = 0
    reached: int = 0


_counting = _Counting()


def reach(name: str) -> None:
    """Die here, by SIGKILL, if this is the point that is armed and its time has come."""
    path = Path(os.environ.get(ARMED, "/nowhere"))
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return
    if stamp != _counting.stamp:
        _counting.order, _counting.stamp, _counting.reached = _read(path), stamp, 0
    point, _, nth = _counting.order.partition("=")
    if point != name:
        return
    _counting.reached += 1
    if _counting.reached >= int(nth):
        _die(name, path)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _die(name: str, path: Path) -> None:
    hits = os.open(os.environ[HITS], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(hits, f"{name}\n".encode())
    os.fsync(hits)
    path.unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)


def arm(path: Path, name: str, nth: int) -> None:
    """Let a process die when it reaches `name` for the nth time from now on."""
    draft = path.with_suffix(".new")
    draft.write_text(f"{name}={nth}")
    draft.replace(path)


def around(owner: Any, attribute: str, name: str) -> None:
    """Put the points `name.before` and `name.after` around a function."""
    original: Callable[..., Any] = getattr(owner, attribute)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        reach(f"{name}.before")
        result = original(*args, **kwargs)
        reach(f"{name}.after")
        return result

    setattr(owner, attribute, wrapped)
