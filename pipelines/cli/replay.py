"""Replay: what the log would have led to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.context import JsonOption, context_of, print_rows
from pipelines.place import named
from pipelines.replay import Stretch, replay
from pipelines.run import stop_on_signals
from pipelines.settings import load
from pipelines.sources import Stopper
from pipelines.views import connect
from schemas.errors import SettingsError
from schemas.tables import TABLES


def replay_command(
    context: typer.Context,
    lake: Annotated[str, typer.Option("--lake", help="Where to write: an empty folder, or s3://bucket/prefix.")],
    since: Annotated[datetime | None, typer.Option("--from", help="Only what came about from then on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Only what was received up to then (UTC).")] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="Decide by this file instead of the service's settings.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the same flow over the log again, into another lake; devices hear nothing of it."""
    said = context_of(context)
    service = said.settings()
    wanted = load(settings or (Path(said.config) if said.config else None), said.arguments)
    to = named(lake, wanted.lake)
    models = {"models": wanted.models.model_copy(update={"path": wanted.models.path or service.models_dir})}
    stopper = Stopper(at_end=True)
    stop_on_signals(stopper)
    stretch = Stretch(begin_us=_us(since) or 0, end_us=_us(until))
    if stretch.end_us is not None and stretch.end_us < stretch.begin_us:
        raise SettingsError("--from is later than --to")
    replay(wanted.model_copy(update=models), service.log_dir, service.lake_place, to, stretch, stopper)
    with connect(to) as made:
        counts = [(name, made.execute(f"select count(*) from {name}").fetchone()[0]) for name in TABLES]  # noqa: S608
    print_rows(("table", "rows"), counts, as_json)


def _us(time: datetime | None) -> int | None:
    return None if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1e6)


replay_command.__name__ = "replay"
COMMANDS = (replay_command,)
