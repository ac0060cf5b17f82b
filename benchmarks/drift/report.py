"""The report: docs/benchmarks/drift.md, from what was measured."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.drift.claim import Claim, Run, Table
from benchmarks.drift.peers.venvs import PEERS, ROOT, versions

PAGE: Final = ROOT / "docs" / "benchmarks" / "drift.md"
_ACCURACY: Final = "How near the accuracy that is expected without labels comes to the truth, on real digits:"


def page(claims: Iterable[Claim], run: Run, accuracy: Sequence[Mapping[str, Any]]) -> str:
    """All of it, as Markdown.

    Args:
        claims: that were measured.
        run: how.
        accuracy: lines of `expected_accuracy`, about which nothing is claimed.
    """
    claims = list(claims)
    parts = [_head(run), _overview(claims), *(_section(claim) for claim in claims)]
    if accuracy:
        cells = [[f"{cell:.3g}" if isinstance(cell, float) else cell for cell in line.values()] for line in accuracy]
        parts += ["## Expected accuracy", _ACCURACY, _grid(accuracy[0], cells)]
    return "\n\n".join(parts) + "\n"


def tables(claims: Iterable[Claim]) -> str:
    """The sections alone."""
    return "\n\n".join(_section(claim) for claim in claims) + "\n"


def _head(run: Run) -> str:
    peers = [f"- {versions(peer)}" for peer in PEERS if peer not in run.peers.missing]
    skipped = [f"- {peer}: skipped, {why}" for peer, why in run.peers.missing.items()]
    skipped += [f"- one question was not answered by {why}" for why in run.peers.failed]
    machine = (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, numpy {np.__version__}"
    )
    return "\n".join(
        [
            "# How drift detection fares",
            "",
            f"Written by `make bench-drift SEED={run.seed}`: seeded streams, measured on {machine}, one thread.",
            "Rates depend on the machine, everything else on the seed alone. Peers run in environments of their own:",
            "",
            *peers,
            *skipped,
        ]
    )


def _overview(claims: list[Claim]) -> str:
    lines = [(claim.name, "holds" if claim.passes else "**fails**", claim.says) for claim in claims]
    return "## Claims\n\n" + _grid(("", "", "claim"), lines)


def _section(claim: Claim) -> str:
    limits = [f"- {'' if limit.holds else '**fails** '}{limit}" for limit in claim.limits]
    parts = [f"## {claim.name}: {'holds' if claim.passes else 'fails'}", claim.says, *claim.notes]
    parts += [_table(table) for table in claim.tables]
    return "\n\n".join([*parts, "\n".join(limits)])


def _table(table: Table) -> str:
    return f"{table.title}:\n\n{_grid(table.columns, table.lines)}"


def _grid(columns: Iterable[object], lines: Iterable[Iterable[object]]) -> str:
    rows = [list(map(str, columns)), *(list(map(str, line)) for line in lines)]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
