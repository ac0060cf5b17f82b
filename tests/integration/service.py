"""Gleaner's own processes for a test: started as an operator starts them, ended with the test."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.place import Place
from pipelines.views import connect

WAIT_S = 60.0


def command(data: Path, name: str, *arguments: str, settings: tuple[str, ...] = ()) -> list[str]:
    said = (f"data_dir={data}", "metrics.run_port=0", "metrics.ingest_port=0", *settings)
    options = [part for setting in said for part in ("--set", setting)]
    return [sys.executable, "-m", "pipelines.cli", *options, name, *arguments]


@contextmanager
def service(
    data: Path, name: str, *arguments: str, settings: tuple[str, ...] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """A service until the block ends, then SIGTERM; what it says is in `{name}.log`."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            command(data, name, *arguments, settings=settings), stdout=log, stderr=log, text=True
        )
        try:
            yield process
        finally:
            stop(process, signal.SIGTERM)


def drain(data: Path, *settings: str) -> None:
    """Run the dataflow over the log to its end."""
    done = subprocess.run(
        command(data, "run", "--drain", "--mute", settings=settings), capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    assert "clean=true" in done.stderr, done.stderr


def stop(process: "subprocess.Popen[str]", number: int) -> int:
    """Send a signal, wait for the end; its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    return process.wait(WAIT_S)


def until(true: Callable[[], Any], what: str) -> None:
    """Return once it is true."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, f"not within {WAIT_S:.0f} s: {what}"
        time.sleep(0.05)


def ask(lake: Place, query: str) -> list[tuple[Any, ...]]:
    """The answer of the lake."""
    return connect(lake).execute(query).fetchall()
