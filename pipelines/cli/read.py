"""Reading the lake: `sql`, `samples` and `verify`."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from pipelines.cli.context import JsonOption, LakeOption, context_of, print_object, print_rows
from pipelines.verify import Verdict, verify
from pipelines.views import columns_of, connect, view_names
from schemas.errors import InputError, LakeError

_SAMPLES = """
select time, device, seq, site, model, model_version, strategy, class_id, confidence, margin,
       octet_length(sample) as bytes, sample_digest, stream, content_type, sample
from labelling order by time desc limit ?"""
_SUFFIX = {"image/x-portable-graymap": ".pgm", "image/x-portable-pixmap": ".ppm", "application/x-npy": ".npy"}


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
            print_rows(columns_of(result), result.fetchall(), as_json)
    except duckdb.Error as error:
        raise InputError(f"{str(error).splitlines()[0]} (there are: {', '.join(view_names())})") from error


def verify_command(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    since: Annotated[datetime | None, typer.Option("--from", help="Only what was received from then on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Only what was received up to then (UTC).")] = None,
    settle: Annotated[float, typer.Option(min=0, help="Minutes that a hole may stay open.")] = 10.0,
) -> None:
    """Whether every record has exactly one fate: inference, reject or declared gap; exit 1 on a finding."""
    connection = connect(context_of(context).lake(lake))
    start, end = (time.replace(tzinfo=UTC) if time else None for time in (since, until))
    verdict = verify(connection, start, end, timedelta(minutes=settle))
    if as_json:
        print_object(asdict(verdict) | {"sound": verdict.sound})
    else:
        _tell_verdict(verdict)
    raise typer.Exit(0 if verdict.sound else 1)


def samples(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option(help="Also write each raw sample to a file in this folder.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
) -> None:
    """The raw samples that came back, newest first."""
    result = connect(context_of(context).lake(lake)).execute(_SAMPLES, [limit])
    columns = columns_of(result)[:-3]
    found = result.fetchall()
    for row in found if out else ():
        _export(out, row)  # type: ignore[arg-type]
    print_rows(columns, [row[:-3] for row in found], as_json)
    if out:
        sys.stderr.write(f"{len(found)} samples written to {out}\n")


def _tell_verdict(verdict: Verdict) -> None:
    counts = [("inferences", "", verdict.inferences)]
    for name, by_reason in (("rejects", verdict.rejects), ("gaps", verdict.gaps)):
        counts += [(name, reason, records) for reason, records in by_reason.items()]
    print_rows(("fate", "reason", "records"), counts, as_json=False)
    if verdict.unread:
        sys.stdout.write("\nrejected messages that name no record\n")
        print_rows(("reason", "messages"), list(verdict.unread.items()), as_json=False)
    for name, ranges in (
        ("holes still open", verdict.holes),
        ("records with more than one fate", verdict.doubled),
        ("forks, records under numbers that others had first", verdict.forks),
    ):
        sys.stdout.write(f"\n{name}: {sum(r['last_seq'] - r['first_seq'] + 1 for r in ranges)}\n")
        _tell_rows(ranges)
    sys.stdout.write(f"\nrows that are there more than once: {sum(each['rows'] - 1 for each in verdict.repeated)}\n")
    for table in sorted({each["table"] for each in verdict.repeated}):
        _tell_rows([each for each in verdict.repeated if each["table"] == table])
    sys.stdout.write(f"\nalarms that are told out of order: {len({each['alarm_id'] for each in verdict.mistold})}\n")
    _tell_rows(verdict.mistold)


def _tell_rows(rows: list[dict[str, Any]]) -> None:
    if rows:
        print_rows(tuple(rows[0]), [tuple(each.values()) for each in rows], as_json=False)


def _export(out: Path, row: tuple[object, ...]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        stream = str(row[-3])[:8]  # a device that lost its outbox counts from 0 again
        name = f"{row[1]}-{stream}-{row[2]}{_SUFFIX.get(str(row[-2]), '.bin')}"
        (out / name).write_bytes(row[-1])  # type: ignore[arg-type]
    except OSError as error:
        raise LakeError(f"{out}: {error.strerror}") from error


verify_command.__name__ = "verify"
COMMANDS = (sql, samples, verify_command)
