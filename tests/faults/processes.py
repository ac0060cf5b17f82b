"""A process of the world: started, killed, stopped for a while, and started again when it died."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 20.0


@dataclass(slots=True)
class Process:
    """One program that is kept running unless it is held.

    Attributes:
        command: how to start it.
        log: where it writes what it says.
        environment: added to this process's own.
        held: stays down while true.
        started: how often it was.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    started: int = 0
    _child: "subprocess.Popen[bytes] | None" = None
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._child is not None and self._child.poll() is None

    def keep_up(self) -> None:
        """Start it if it is down and may be up."""
        with self._mutex:
            if self.held or self.alive:
                return
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    self.command,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self.environment},
                    start_new_session=True,  # Ctrl-C is for the harness, which then ends its processes
                )
            self.started += 1

    def send(self, number: int) -> bool:
        """Send a signal; whether there was somebody to hear it."""
        with self._mutex:
            if not self.alive:
                return False
            assert self._child is not None
            with suppress(ProcessLookupError):
                self._child.send_signal(number)
            return True

    def down(self, number: int = signal.SIGKILL) -> bool:
        """End it and wait for its end; whether it was alive."""
        there = self.send(number)
        self.send(signal.SIGCONT)
        if self._child is not None:
            try:
                self._child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGKILL)
                self._child.wait(_PATIENCE_S)
        return there


def dies_with_us(command: Sequence[str]) -> list[str]:
    """The command, killed by the kernel when this process dies, where that can be asked for."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL", "--", *command] if found else list(command)
