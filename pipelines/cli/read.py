"""Reading the lake: `sql`, `drift` and `samples`."""

import sys
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from pipelines.cli.context import JsonOption, LakeOption, context_of, print_rows
from pipelines.views import connect, view_names
from schemas.errors import InputError, LakeError

_DRIFT = """
select site, model, model_version, statistic, window_start, rows, value, threshold, exceeds, alarming
from current_drift where window_start >= (select max(window_start) from current_drift) - to_microseconds(?)
order by model, model_version, site, statistic, window_start"""
_NOW = """
select site, model, model_version, statistic, count(*) as windows, arg_max(rows, window_start) as rows,
       arg_max(value, window_start) as value, arg_max(threshold, window_start) as threshold,
       list(value / threshold order by window_start)[-24:] as recent, arg_max(alarming, window_start) as alarming
from current_drift group by all order by alarming desc, model, model_version, site, statistic"""
_SAMPLES = """
select time, device, seq, site, model, model_version, strategy, class_id, confidence, margin,
       octet_length(sample) as bytes, sample_digest, stream, content_type, sample
from labelling order by time desc limit ?"""
_SUFFIX = {"image/x-portable-graymap": ".pgm", "image/x-portable-pixmap": ".ppm", "application/x-npy": ".npy"}
_BARS = "▁▂▃▄▅▆▇█"


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="SQL, or - for standard input.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake in SQL (DuckDB): every table is a view."""
    connection = connect(context_of(context).lake(lake))
    try:
        result = connection.execute(sys.stdin.read() if query == "-" else query)
        if result is not None:  # nothing but a comment was asked
            columns = [column[0] for column in result.description or ()]
            print_rows(columns, result.fetchall(), as_json)
    except duckdb.Error as error:
        raise InputError(f"{str(error).splitlines()[0]} (there are: {', '.join(view_names())})") from error


def drift(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    hours: Annotated[float, typer.Option(help="With --json: how far back from the newest window.")] = 24.0,
) -> None:
    """How far each site is from what its model was accepted on; exit 1 while one alarms."""
    connection = connect(context_of(context).lake(lake))
    now = connection.execute(_NOW)
    columns = [column[0] for column in now.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in now.fetchall()]
    if as_json:
        windows = connection.execute(_DRIFT, [int(hours * 3.6e9)])
        names = [column[0] for column in windows.description or ()]
        print_rows(names, windows.fetchall(), as_json=True)
    else:
        shown = [
            {**row, "recent": _sparkline(row["recent"]), "alarming": "ALARM" if row["alarming"] else ""} for row in rows
        ]
        print_rows(columns, [list(row.values()) for row in shown], as_json=False)
    if not rows:
        sys.stderr.write("no window has been judged yet\n")
    raise typer.Exit(1 if any(row["alarming"] for row in rows) else 0)


def samples(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option(help="Also write each raw sample to a file in this folder.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
) -> None:
    """The raw samples that came back, newest first."""
    result = connect(context_of(context).lake(lake)).execute(_SAMPLES, [limit])
    columns = [column[0] for column in result.description or ()][:-3]
    found = result.fetchall()
    for row in found if out else ():
        _export(out, row)  # type: ignore[arg-type]
    print_rows(columns, [row[:-3] for row in found], as_json)
    if out:
        sys.stderr.write(f"{len(found)} samples written to {out}\n")


def _export(out: Path, row: tuple[object, ...]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        stream = str(row[-3])[:8]  # a device that lost its outbox counts from 0 again
        name = f"{row[1]}-{stream}-{row[2]}{_SUFFIX.get(str(row[-2]), '.bin')}"
        (out / name).write_bytes(row[-1])  # type: ignore[arg-type]
    except OSError as error:
        raise LakeError(f"{out}: {error.strerror}") from error


def _sparkline(values: list[float]) -> str:
    """Each value as a bar; the tallest is twice the threshold or more."""
    return "".join(_BARS[min(len(_BARS) - 1, int(value * len(_BARS) / 2))] for value in values)


COMMANDS = (sql, drift, samples)
