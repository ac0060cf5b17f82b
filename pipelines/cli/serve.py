"""The services: `ingest`, `run`, and `up`, which is both."""

import signal
from typing import Annotated

import typer

from pipelines import metrics
from pipelines.cli.context import context_of
from pipelines.cli.service import Service
from pipelines.commands import MqttCommands, Silence
from pipelines.ingest import ingest
from pipelines.log import LogWriter
from pipelines.mqtt import open_client
from pipelines.run import run, stop_on_signals
from pipelines.shards import share_of
from pipelines.sources import Stopper
from pipelines.stop import Stop


def ingest_command(context: typer.Context) -> None:
    """MQTT to the log: append, fsync, and only then acknowledge."""
    settings = context_of(context).settings()
    metrics.serve(settings.metrics, settings.metrics.ingest_port)
    ingest(settings, _stop_on_signals())


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
    share = share_of(settings.mqtt.shards, settings.log.partitions)
    LogWriter(settings.log_dir, settings.log.partitions, share.partitions).close()  # the dataflow finds one to read
    stop = _stop_on_signals()
    services = [Service(said, "ingest"), Service(said, "run")]
    while not (stop.wait(0.2) or any(service.gave_up for service in services)):
        for service in services:
            service.keep_up()
    for service in reversed(services):
        service.end()
    raise typer.Exit(2 if any(service.gave_up for service in services) else 0)


def _stop_on_signals() -> Stop:
    """A stop that Ctrl-C or SIGTERM asks for."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.handle)
    return stop


ingest_command.__name__, run_command.__name__, up_command.__name__ = "ingest", "run", "up"
COMMANDS = (up_command, ingest_command, run_command)
