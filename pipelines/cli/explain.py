"""The command `drift explain`: what an alarm is about."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from pipelines.cli.context import JsonOption, LakeOption, context_of, print_object, print_rows
from pipelines.drift.drill import FALSE_DISCOVERIES, Piece
from pipelines.drift.explain import Explanation, explain
from pipelines.drift.plot import check_plot, plot
from pipelines.planning import load_bundles, plan_of
from pipelines.views import connect

_MOST_PIECES: Final = 8


def explain_command(
    context: typer.Context,
    alarm: Annotated[str, typer.Argument(help="Id of the alarm, or its first digits.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
    file: Annotated[Path | None, typer.Option("--plot", help="Also draw it: FILE.png or FILE.svg.")] = None,
) -> None:
    """What moved, since when and by how much, which devices or classes carry it, and rows that show it."""
    said = context_of(context)
    if file is not None:
        check_plot(file)
    settings = said.settings()
    plan = plan_of(settings, 1, load_bundles(settings.models_dir))
    found = explain(connect(said.lake(lake)), alarm, plan.references, plan.policy)
    if file is not None:
        plot(found, file)
        sys.stderr.write(f"drawn to {file}\n")
    if as_json:
        print_object(plain(found))
    else:
        sys.stdout.write(_head(found))
        _tell_moved(found.alarm["moved"])
        _tell_pieces(found)
        _tell_examples(found)


def plain(found: Explanation) -> dict[str, Any]:
    """An explanation as plain values."""
    examples = [asdict(each) | {"sample": held} for each, held in zip(found.examples, found.held, strict=True)]
    return {
        **found.alarm,
        "story": list(found.story),
        "alike": found.alike,
        "compared_with": found.compared.source if found.compared else None,
        "until": found.until,
        "rows_since": found.rows,
        "events_since": found.events,
        "parts": {level: [_piece(each) for each in pieces] for level, pieces in found.pieces.items()},
        "examples": examples,
    }


def _head(found: Explanation) -> str:
    alarm = found.alarm
    until = f", over since {_minute(alarm['cleared_at'])}" if alarm["cleared_at"] else ""
    story = " → ".join(f"{each['state']} {_minute(each['changed'])}" for each in _turns(found.story))
    lines = [
        ("alarm", f"{alarm['alarm_id']}, {alarm['state']}{until}"),
        ("cohort", f"{alarm['level']} {alarm['cohort']}, {alarm['model']} {alarm['model_version']}"),
        ("story", story),
    ]
    if found.compared is None:
        lines.append(("silent", f"it has sent nothing since {_minute(alarm['since'])}"))
    else:
        evidence = f"e-value {alarm['e_value']:.3g} when it was raised, {alarm['needed']:.3g} was needed"
        since = f"{_minute(alarm['since'])}, an estimate; {alarm['events']:,} events from then until it was raised"
        lines += [("began", since), ("evidence", evidence), ("compared", f"with {found.compared.source}")]
    if found.alike > 1:
        lines.append(("cause", f"one of {found.alike} alarms: gleaner drift alarms --cause {alarm['cause']}"))
    return "".join(f"{name:<10}{text}\n" for name, text in lines)


def _turns(story: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The revisions in which the state became another."""
    return [each for at, each in enumerate(story) if at == 0 or each["state"] != story[at - 1]["state"]]


def _tell_moved(moved: Sequence[Mapping[str, Any]]) -> None:
    if not moved:
        return
    sys.stdout.write("\nWhat moved, expected → observed\n")
    rows = []
    for each in moved:
        bins = [f"{one['bin']}: {one['expected']:.1%} → {one['observed']:.1%}" for one in each["bins"]]
        shift = "" if each["shift"] is None else f"{each['shift']:+.2f} σ"
        rows.append((each["statistic"], f"{each['evidence']:.1f} nats", shift, "; ".join(bins)))
    print_rows(("statistic", "evidence", "shift", "bins"), rows, as_json=False)


def _tell_pieces(found: Explanation) -> None:
    if found.compared is None:
        return
    sys.stdout.write(f"\nWhere it is, in {found.events:,} events until {_minute(found.until)}")
    sys.stdout.write(f" (false discoveries at most {FALSE_DISCOVERIES:.0%})\n")
    rows: list[tuple[Any, ...]] = []
    for level, pieces in found.pieces.items():
        carry = sum(each.carries for each in pieces)
        for at, each in enumerate(pieces[: max(1, min(carry, _MOST_PIECES))]):
            told = f"{level}: {carry} of {len(pieces)}" if at == 0 else ""
            mark = "carries it" if each.carries else ""
            named = _named(found, level, each.name)
            rows.append((told, named, each.events, _e_value(each), each.statistic, f"{each.grown:.1%}", mark))
        if carry > _MOST_PIECES:
            rows.append(("", f"… and {carry - _MOST_PIECES} more", None, "", "", "", ""))
    print_rows(("level", "part", "events", "e-value", "statistic", "in grown bins", ""), rows, as_json=False)


def _tell_examples(found: Explanation) -> None:
    if not found.examples:
        return
    sys.stdout.write("\nRows nearest to what grew\n")
    rows = [
        (
            each.time,
            each.device,
            each.stream,
            each.seq,
            each.class_id,
            each.confidence,
            each.score,
            "yes" if held else "",
        )
        for each, held in zip(found.examples, found.held, strict=True)
    ]
    print_rows(
        ("time", "device", "stream", "seq", "class_id", "confidence", "score", "sample here"), rows, as_json=False
    )


def _named(found: Explanation, level: str, name: str) -> str:
    """A part as people call it: classes by their label too."""
    labels = found.compared.scale.labels if found.compared else ()
    return f"{name} ({labels[int(name)]})" if level == "class" and int(name) < len(labels) else name


def _piece(piece: Piece) -> dict[str, Any]:
    return {
        "name": piece.name,
        "events": piece.events,
        "e_value": float(np.exp(min(piece.log_e, 700.0))),
        "carries": piece.carries,
        "statistic": piece.statistic,
        "grown": piece.grown,
    }


def _e_value(piece: Piece) -> str:
    """An e-value that may be too large for a number."""
    return f"10^{piece.log_e / np.log(10):.0f}" if piece.log_e > np.log(1e6) else f"{np.exp(piece.log_e):.3g}"


def _minute(time: datetime | None) -> str:
    return "now" if time is None else f"{time:%Y-%m-%d %H:%M}"


explain_command.__name__ = "explain"
