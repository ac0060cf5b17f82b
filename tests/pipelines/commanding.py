"""The command `gleaner` as its caller sees it: exit status, stdout and stderr apart; and one that runs on its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUIET = ("metrics.run_port=0", "metrics.ingest_port=0")
WAIT_S = 60.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        """Assert: exit 2, nothing on stdout, and one line on stderr that says each of `words`."""
        assert (self.status, self.out) == (2, ""), self.err
        lines = [line for line in self.err.splitlines() if not line.startswith(("timestamp=", "level="))]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in lines[0], self.err


Gleaner = Callable[..., Done]


def sets(*settings: str) -> list[str]:
    """Options that set these settings."""
    return [part for setting in settings for part in ("--set", setting)]


def started(name: str, *settings: str) -> "subprocess.Popen[str]":
    """A command in a process of its own; its talk is in `stderr`."""
    command = [sys.executable, "-m", "pipelines.cli", *sets(*QUIET, *settings), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def objects(text: str) -> list[dict[str, Any]]:
    """Every line as an object; numbers that JSON does not have are an error."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
