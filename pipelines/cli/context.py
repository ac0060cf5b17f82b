"""What every command shares: settings, logging, and how results are printed."""

import json
import logging
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.place import Place, named
from pipelines.settings import Settings, load

LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake to read, a folder or s3://bucket/prefix; by default that of the settings."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]


@dataclass(frozen=True, slots=True)
class Context:
    """What was said before the command's name."""

    config: str | None
    arguments: tuple[str, ...]
    verbose: bool

    def settings(self, *more: str) -> Settings:
        """The settings; `more` are arguments of the command itself."""
        return load(Path(self.config) if self.config else None, (*self.arguments, *more))

    def lake(self, lake: str | None) -> Place:
        """The lake that a reading command looks at; the settings say how to get into a bucket."""
        settings = self.settings()
        return named(lake, settings.lake) if lake else settings.lake_place


def context_of(context: typer.Context) -> Context:
    """What was said before the command's name, with logging set up."""
    found: Context = context.obj
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if found.verbose else logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.LogfmtRenderer(bool_as_flag=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return found


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], as_json: bool) -> None:
    """Rows as a table for eyes, or as one JSON object a line."""
    if as_json:
        for row in rows:
            print_object(dict(zip(columns, row, strict=True)))
        return
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row))  # no markup: devices wrote some of these words
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(table)


def print_object(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own; numbers that JSON does not have become null."""
    sys.stdout.write(json.dumps(_finite(value), default=_plain, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
