"""The services: `ingest`, `run`, and `up`, which is both."""

import signal
import subprocess
import sys
import time
from threading import Event
from typing import Annotated

import structlog
import typer

from pipelines import metrics
from pipelines.cli.context import Context, context_of
from pipelines.commands import MqttCommands, Silence
from pipelines.ingest import Backoff, ingest
from pipelines.mqtt import open_client
from pipelines.run import run, stop_on_signals
from pipelines.sources import Stopper

_HEALTHY_S = 30.0
log = structlog.get_logger()


def ingest_command(context: typer.Context) -> None:
    """MQTT to the log: append, fsync, and only then acknowledge."""
    settings = context_of(context).settings()
    metrics.serve(settings.metrics, settings.metrics.ingest_port)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ingest(settings, stop)


def run_command(
    context: typer.Context,
    drain: Annotated[bool, typer.Option("--drain", help="Stop once the log is read to its end.")] = False,
    mute: Annotated[
        bool, typer.Option("--mute", help="Tell devices nothing: no acknowledgements, no requests.")
    ] = False,
) -> None:
    """The dataflow: log to lake, drift, selection, requests and acknowledgements."""
    settings = context_of(context).settings()
    metrics.serve(settings.metrics, settings.metrics.run_port)
    stopper = Stopper(at_end=drain)
    stop_on_signals(stopper)
    commands = Silence() if mute else MqttCommands(settings.mqtt)
    try:
        run(settings, commands, stopper)
    finally:
        if isinstance(commands, MqttCommands):
            commands.close()


def up_command(context: typer.Context) -> None:
    """Ingest and dataflow together, each started again when it dies; Ctrl-C or SIGTERM ends both."""
    said = context_of(context)
    settings = said.settings()
    open_client(settings.mqtt, f"{settings.mqtt.client_id}-hello").disconnect()  # no broker is an error now, not a loop
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    services = [_Service(said, "ingest"), _Service(said, "run")]
    while not stop.wait(0.2):
        for service in services:
            service.keep_up()
    for service in reversed(services):
        service.end()


class _Service:
    """A child process that is started again, more slowly the more often it dies at once."""

    def __init__(self, context: Context, name: str) -> None:
        options = [part for each in context.arguments for part in ("--set", each)]
        config = ["--config", context.config] if context.config else []
        self._command = [sys.executable, "-m", "pipelines.cli", *config, *options, name]
        self._name, self._backoff, self._not_before = name, Backoff(), 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def keep_up(self) -> None:
        """Start it, if it does not run and its time has come."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            if now - self._started > _HEALTHY_S:
                self._backoff = Backoff()
            wait = self._backoff.next_s()
            log.warning("service ended", service=self._name, status=self._process.returncode, again_in_s=round(wait, 1))
            self._not_before, self._process = now + wait, None
        if self._process is None and now >= self._not_before:
            self._process = subprocess.Popen(self._command, start_new_session=True)
            self._started = now

    def end(self) -> None:
        """Stop it cleanly."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


ingest_command.__name__, run_command.__name__, up_command.__name__ = "ingest", "run", "up"
COMMANDS = (up_command, ingest_command, run_command)
