"""A service of `gleaner up`: a child process that is started again when it dies."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import Final

import structlog

from pipelines.backoff import Backoff
from pipelines.cli.context import Context

_HEALTHY_S: Final = 30.0
_INPUT_ERROR: Final = 2
_PR_SET_PDEATHSIG: Final = 1
log = structlog.get_logger()


class Service:
    """A child process, started again more slowly the more often it dies at once.

    It is sent SIGTERM when its parent dies, so that no orphan holds the log.

    Attributes:
        gave_up: it ended because something must be changed; starting it again would not help.
    """

    def __init__(self, context: Context, name: str) -> None:
        """Say what to run: the command `name` with the settings of this one."""
        options = [part for each in context.arguments for part in ("--set", each)]
        config = ["--config", context.config] if context.config else []
        self._command = [sys.executable, "-m", "pipelines.cli", *config, *options, name]
        self._name, self._backoff = name, Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._started, self._not_before = 0.0, 0.0
        self.gave_up = False

    def keep_up(self) -> None:
        """Start it, if it does not run and its time has come."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process.returncode, now)
        if self._process is None and now >= self._not_before and not self.gave_up:
            die_too = partial(_die_with_parent, os.getpid())
            self._process = subprocess.Popen(self._command, start_new_session=True, preexec_fn=die_too)
            self._started = now

    def end(self) -> None:
        """Stop it cleanly."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _ended(self, status: int, now: float) -> None:
        lived = now - self._started > _HEALTHY_S
        self._process, self.gave_up = None, status == _INPUT_ERROR and not lived
        if lived:
            self._backoff = Backoff()
        wait = self._backoff.next_s()
        self._not_before = now + wait
        if not self.gave_up:
            log.warning("service ended", service=self._name, status=status, again_in_s=round(wait, 1))


def _die_with_parent(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent dies; elsewhere nothing happens.

    One that has died before is not told of: whoever has another parent by now ends at once.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
