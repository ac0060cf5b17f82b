"""A real Mosquitto for a test: loopback, a free port, its data in a folder of the test, ended by its process."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

WAIT_S = 10.0


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    process: subprocess.Popen[bytes]


def program() -> str:
    """The broker's path; skips the test, by name, where there is none."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not on the PATH")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *, port: int | None = None, settings: tuple[str, ...] = ()) -> Iterator[Broker]:
    """A broker until the block ends; `settings` are further lines of its configuration."""
    chosen = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        f"listener {chosen} 127.0.0.1",
        "allow_anonymous true",
        f"user {getpass.getuser()}",
        "persistence true",
        f"persistence_location {folder}/",
        *settings,
    )
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program(), "-c", str(config)], stdout=log, stderr=log)
        try:
            await_port(chosen, process)
            yield Broker("127.0.0.1", chosen, process)
        finally:
            process.terminate()
            process.wait(WAIT_S)


def await_port(port: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Return once something listens."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")
