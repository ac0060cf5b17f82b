"""The command `drift rebase`: compare with windows of production from now on."""

import sys
from typing import Annotated, Any

import typer

from pipelines.cli.context import JsonOption, LakeOption, context_of, print_object
from pipelines.drift.rebase import Rebasing, apply, rebasing
from pipelines.planning import load_bundles
from pipelines.references import file_name, load_references
from pipelines.views import connect
from schemas.errors import InputError

_MOST_MOVES = 5


def rebase_command(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", help="Name of the model.")],
    version: Annotated[int, typer.Option("--version", help="Its version.")],
    since: Annotated[str, typer.Option("--from", help="From when on: 2026-01-31T12:00 (UTC), or -2d.")],
    until: Annotated[str, typer.Option("--to", help="Up to when: the same, or now.")] = "now",
    level: Annotated[str, typer.Option("--level", help="Level of the cohort; without one, the whole model.")] = "",
    cohort: Annotated[str, typer.Option("--cohort", help="Name of the cohort.")] = "",
    lake: LakeOption = None,
    as_json: JsonOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if an alarm lasts in this stretch of time.")] = False,
) -> None:
    """Bless a stretch of production windows: cohorts are compared with them from the service's next start on."""
    said = context_of(context)
    settings = said.settings()
    references = load_references(load_bundles(settings.models_dir), settings.references_dir)
    found = rebasing(
        connect(said.lake(lake)),
        references,
        model=model,
        version=version,
        level=level,
        cohort=cohort,
        since=since,
        until=until,
    )
    if found.open_alarms and not force:
        told = ", ".join(f"{each['alarm_id']} ({each['level']} {each['cohort']})" for each in found.open_alarms[:5])
        raise InputError(
            f"these windows are in {len(found.open_alarms)} open alarms, {told}: what drifted would become what is "
            "well; choose another stretch, or say --force"
        )
    if not as_json:
        sys.stdout.write(_told(found))
    if not yes:
        _ask()
    blessed = apply(found, references, settings.references_dir)
    path = settings.references_dir / file_name(blessed)
    if as_json:
        print_object(_plain(found) | {"file": str(path)})
    sys.stderr.write(f"written to {path}; the service compares with it from its next start on\n")


def _told(found: Rebasing) -> str:
    whose = f"{found.level} {found.cohort} of {found.model} {found.version}" if found.level else ""
    moves = ", ".join(f"{name} {distance:.4f}" for name, distance in found.moves[:_MOST_MOVES])
    old = found.replaces
    lines = [
        ("for", whose or f"the whole of {found.model} {found.version}"),
        (
            "windows",
            f"{found.windows} of level {found.counted}, {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M}",
        ),
        ("events", f"{found.events:,} in {found.rows:,} rows"),
        ("replaces", f"{old.events:,} events, {old.source}"),
        ("moves", f"{moves} (Jensen-Shannon, nats; at most 0.69)"),
    ]
    if found.alarms:
        lines.append(("alarms", ", ".join(f"{each['alarm_id']} ({each['state']})" for each in found.alarms)))
    return "".join(f"{name:<10}{text}\n" for name, text in lines)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise InputError("nobody is here to be asked; say --yes")
    typer.confirm("Compare with these windows from now on?", abort=True, err=True)


def _plain(found: Rebasing) -> dict[str, Any]:
    return {
        "model": found.model,
        "model_version": found.version,
        "level": found.level,
        "cohort": found.cohort,
        "since": found.since,
        "until": found.until,
        "counted": found.counted,
        "windows": found.windows,
        "rows": found.rows,
        "events": found.events,
        "alarms": [each["alarm_id"] for each in found.alarms],
        "replaces": found.replaces.source,
        "moves": dict(found.moves),
    }


rebase_command.__name__ = "rebase"
