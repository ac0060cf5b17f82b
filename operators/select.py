"""Select: the candidates of a round that are worth a label, within the budget.

First the control share, drawn at random so that the labelled samples can say how the
whole fleet is doing; then the most uncertain. A raw sample that was asked for a short
while ago is not asked for again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from operators.budget import Budget, Spent, affordable, allow, spend
from operators.candidates import Candidate, Candidates

REMEMBERED: Final = 4096
_PREFIX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One sample to ask for.

    Attributes:
        request_id: 16 bytes, a function of the record, so that asking twice is asking once.
        candidate: the row.
        model: whose budget it is charged to.
        strategy: `margin` or `control`.
        probability: of its inclusion, where the strategy has one.
        time_us: log time of the decision.
    """

    request_id: bytes
    candidate: Candidate
    model: str
    strategy: str
    probability: float | None
    time_us: int


@dataclass(frozen=True, slots=True)
class Decided:
    """A round of selection that all partitions have told.

    Attributes:
        time_us: log time at its end: no selection of an earlier time will follow.
        selections: those for this partition's devices.
    """

    time_us: int
    selections: tuple[Selection, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The state between rounds, for one model.

    Attributes:
        spent: of the budget.
        recent: first bytes of the digests asked for last, oldest first, at most `REMEMBERED`.
    """

    spent: Spent = field(default_factory=Spent)
    recent: tuple[bytes, ...] = ()


def select(
    chosen: Chosen, candidates: Candidates, model: str, budget: Budget, start_us: int, end_us: int
) -> tuple[Chosen, list[Selection]]:
    """The state after the round `start_us … end_us` of log time, and what it selects.

    The control samples are a simple random sample without replacement of the round's
    rows, so each has the probability m / n: m drawn, n rows.
    """
    spent = allow(chosen.spent, budget, start_us, end_us)
    recent = dict.fromkeys(chosen.recent)
    draw = candidates.control[: int(spent.control)]
    probability = len(draw) / candidates.seen if candidates.seen else None
    selections: list[Selection] = []

    def take(among: Sequence[Candidate], strategy: str, enough: Callable[[Spent], bool]) -> None:
        nonlocal spent
        for candidate in among:
            if enough(spent):
                return
            device, size = candidate.row["device"], candidate.row["sample_bytes"]
            prefix = candidate.row["sample_digest"][:_PREFIX]
            if prefix in recent or not affordable(spent, budget, device, size):
                continue
            recent[prefix] = None
            spent = spend(spent, device, size, strategy == "control")
            known = probability if strategy == "control" else None
            selections.append(_selection(candidate, model, strategy, known, end_us))

    take(draw, "control", lambda s: s.control < 1)
    take(candidates.best, "margin", lambda s: s.labels - max(0.0, s.control) < 1)
    return Chosen(spent, tuple(recent)[-REMEMBERED:]), selections


def _selection(candidate: Candidate, model: str, strategy: str, probability: float | None, time_us: int) -> Selection:
    return Selection(
        request_id=request_id(candidate.row),
        candidate=candidate,
        model=model,
        strategy=strategy,
        probability=probability,
        time_us=time_us,
    )


def request_id(row: Any) -> bytes:
    """The 16-byte id of the request for a record: BLAKE2 of its device, stream and seq."""
    return hashlib.blake2b(f"{row['device']}/{row['stream']}/{row['seq']}".encode(), digest_size=16).digest()
