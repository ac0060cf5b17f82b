"""Drill down: which devices, classes and so on inside a cohort carry its alarm, counted again from its rows.

All rows since the change are one window, so that each part has one e-value: the mixture of likelihood ratios that its
counts have against what the cohort is compared with. e-BH says which parts it is, with at most so many wrong among
them; that holds for stretches named beforehand, and is a good guide for one that the alarm itself has found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.cohorts import Level, levels
from operators.dispersion import LOOKBACK, dispersion
from operators.features import places
from operators.fleet_control import combine, e_bh, weights
from operators.hellos import Known
from operators.judge import Judge, judge_of
from operators.windows import Counted, Counting, Panes, add_panes, count_rows
from pipelines.drift.comparison import Comparison
from pipelines.drift.history import History

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE_DISCOVERIES: Final = 0.05
_ALWAYS: Final = 1 << 62  # one window for all times
_PLAIN: Final = ("site", "device", "hardware", "agent", "class")
_MOST_ATTRIBUTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One part of a cohort.

    Attributes:
        name: such as the device.
        events: since the change.
        log_e: ln of its e-value.
        carries: whether the alarm is about it, with a false-discovery rate of at most `FALSE_DISCOVERIES`.
        statistic: that moved most in it.
        grown: share of its events in the bins that grew in the cohort.
    """

    name: str
    events: int
    log_e: float
    carries: bool
    statistic: str
    grown: float


class Drill:
    """Counts a cohort's rows by part."""

    def __init__(self, compared: Comparison, known: Known) -> None:
        """Begin with no rows.

        Args:
            compared: what the cohort is compared with.
            known: what its devices said of themselves.
        """
        model, version, level, _ = compared.cohort
        self._compared = compared
        self._levels = levels(_levels(level, known))
        self._counting = Counting(scales={(model, version): compared.scale}, levels=self._levels, window_us=_ALWAYS)
        self._counted = Counted(known=known)
        self._panes: Panes = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Count more rows of the cohort, columns of `inferences`."""
        add_panes(self._panes, count_rows(self._counted, rows, self._counting))

    def found(self, spread: Doubles, grown: Sequence[int]) -> dict[str, list[Piece]]:
        """Level → its parts, those with the most evidence first; levels on which all is one part are left out.

        Args:
            spread: (F,) dispersion of the cohort's counts.
            grown: places in a stack of the bins that grew in the cohort, of one feature.
        """
        found = {}
        for level in self._levels:
            panes = {key[3]: pane for key, pane in self._panes.items() if key[2] == level.name}
            if len(panes) > 1:
                found[level.name] = self._pieces(level, panes, spread, list(grown))
        return found

    def _pieces(self, level: Level, panes: dict[str, Ints], spread: Doubles, grown: list[int]) -> list[Piece]:
        names, layout = sorted(panes), self._compared.layout
        counted = np.stack([panes[name] for name in names])
        stacks = counted[:, layout.stack]
        events = counted[:, layout.events]
        evidence = np.concatenate(
            [_evidence(judge, stacks[place], spread) for judge, place in self._judges(level, names)]
        )
        features = self._compared.scale.features
        log_e = combine(evidence, features)
        carries = e_bh(log_e, FALSE_DISCOVERIES)
        leading = (evidence + np.log(weights(features))).argmax(axis=1)
        own = next((place for place in places(features) if grown and place.start <= grown[0] < place.stop), slice(0, 0))
        shares = stacks[:, grown].sum(axis=1) / np.maximum(stacks[:, own].sum(axis=1), 1)
        pieces = [
            Piece(
                name=names[at],
                events=int(events[at]),
                log_e=float(log_e[at]),
                carries=bool(carries[at]),
                statistic=features[int(leading[at])].name,
                grown=float(shares[at]),
            )
            for at in range(len(names))
        ]
        return sorted(pieces, key=lambda piece: (-piece.log_e, piece.name))

    def _judges(self, level: Level, names: list[str]) -> list[tuple[Judge, slice]]:
        """Who judges which of the parts: rows of one class are compared with those of that class."""
        compared = self._compared
        if not level.by_class or compared.reference is None:
            return [(compared.judge, slice(0, len(names)))]
        of_class = compared.reference.by_class[compared.scale.class_slots(np.array([int(name) for name in names]))]
        return [
            (judge_of(replace(compared.basis, given=pane[compared.layout.stack]), None), slice(at, at + 1))
            for at, pane in enumerate(of_class)
        ]


def spread_before(compared: Comparison, history: History, since_us: int) -> Doubles:
    """(F,) the dispersion of a cohort's counts in its windows before a change."""
    until = int(np.searchsorted(history.starts, since_us))
    panes = history.panes[max(until - LOOKBACK, 0) : until]
    features = compared.scale.features
    stacks = np.concatenate([panes[:, compared.layout.stack], np.zeros((1, compared.layout.stack.stop - 2), np.int64)])
    found: Doubles = dispersion(stacks, features)[-1]
    return found


def _levels(own: str, known: Known) -> list[str]:
    """The levels that can cut a cohort of a level into parts, attributes that devices have among them."""
    attributes = sorted({f"attributes.{name}" for facts in known.devices.values() for name, _ in facts.attributes})
    return [name for name in (*_PLAIN, *attributes[:_MOST_ATTRIBUTES]) if name not in own.split("/")]


def _evidence(judge: Judge, stacks: Ints, spread: Doubles) -> Doubles:
    """(C, F) ln of the e-values of C parts, each as one window; -inf where a feature is compared with nothing."""
    found = np.full((len(stacks), len(judge.features)), -np.inf)
    for part in judge.parts:
        own = np.broadcast_to(spread[part.which], (1, len(stacks), len(part.which)))
        _, evidence = part.detector.fold(part.detector.begin(), stacks[None][..., part.columns], own)
        found[:, part.which] = evidence[0]
    return found
