"""What a claim is: a sentence, whether it held, the figures that say so, and tables for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.drift.peers.ask import Peers


@dataclass(frozen=True, slots=True)
class Run:
    """How claims are measured.

    Attributes:
        seed: of every stream.
        quick: fewer streams, and no peers.
        peers: asks them; in a quick run none answers.
    """

    seed: int
    quick: bool
    peers: Peers

    def few(self, many: int, few: int) -> int:
        """`many`, or in a quick run `few`."""
        return few if self.quick else many


@dataclass(frozen=True, slots=True)
class Table:
    """Measured figures, a line each.

    Attributes:
        title: says under what circumstances.
        columns: names.
        lines: as many cells each.
    """

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that must hold for a claim.

    Attributes:
        what: is measured.
        value: that was measured.
        relation: `≤` or `≥`.
        limit: that it is held against.
    """

    what: str
    value: float
    relation: str
    limit: float

    @property
    def holds(self) -> bool:
        """Whether it does; a figure that is not a number never does."""
        return self.value <= self.limit if self.relation == "≤" else self.value >= self.limit

    def __str__(self) -> str:
        return f"{self.what}: {plain(self.value)} {'' if self.holds else 'is not '}{self.relation} {plain(self.limit)}"


@dataclass(frozen=True, slots=True)
class Claim:
    """One measured claim.

    Attributes:
        name: D1 … D10.
        says: what is claimed.
        limits: all of which must hold.
        figures: further numbers, by name.
        tables: for people.
        notes: what a reader must know beside the tables.
    """

    name: str
    says: str
    limits: Sequence[Limit]
    figures: dict[str, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()

    @property
    def passes(self) -> bool:
        """Whether every limit holds; without limits nothing was measured, and nothing passes."""
        return bool(self.limits) and all(limit.holds for limit in self.limits)

    def line(self, run: Run) -> str:
        """The JSON line."""
        figures = {limit.what: _rounded(limit.value) for limit in self.limits}
        figures |= {name: _rounded(value) for name, value in self.figures.items()}
        told = {"claim": self.name, "passes": self.passes, "figures": figures, "seed": run.seed, "quick": run.quick}
        told["peers"] = "asked" if run.peers.wanted else "as last measured"
        told["failed"] = [str(limit) for limit in self.limits if not limit.holds]
        return json.dumps(told, ensure_ascii=False)


def plain(value: float) -> str:
    """A number for people: four digits, with thousands apart."""
    if value != value or abs(value) == float("inf"):
        return "not measured" if value != value else "∞"
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 or rounded == int(rounded) else f"{rounded:g}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < float("inf") else None
    return value
