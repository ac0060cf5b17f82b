"""Series: the windows of one cohort in the order of time, and what they add up to.

Rows that come late change a window, and with it the evidence of every window after it: the series is folded
again from there. What is older than the horizon is settled, and folded for good; its counts stay only as
long as the dispersion of later windows is estimated from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.dispersion import LOOKBACK, dispersion
from operators.fleet_control import combine
from operators.judge import Basis, Judge, States, judge_of
from operators.panes import layout_of, narrow, pack_pane
from operators.scale import Scale

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEWEST: Final = 3  # windows that late rows change most
_STRIDE: Final = 48


@dataclass(slots=True)
class Series:
    """One cohort.

    Attributes:
        panes: start of a window → its pane; at most horizon / window + `LOOKBACK`.
        settled: start of the last window that is settled; -1 before.
        states: the detectors' states after it; none before.
        first: (width,) the stack of the first windows, as far as they are settled.
        said: start of a window → revision, and a mark of all that was said of it.
        total: start of a window → ln M after it: a cache that is never stored.
        after: start of a window → states after it: another.
        compared: the stack that they were compared with.
        packed: panes as they were stored last: a cache.
    """

    panes: dict[int, NDArray[np.integer]] = field(default_factory=dict)
    settled: int = -1
    states: States = ()
    first: Ints | None = None
    said: dict[int, tuple[int, int]] = field(default_factory=dict)
    total: dict[int, float] = field(default_factory=dict)
    after: dict[int, States] = field(default_factory=dict)
    compared: bytes = b""
    packed: dict[int, bytes] = field(default_factory=dict)

    def add(self, start: int, pane: Ints) -> None:
        """Add what was counted to a window."""
        self.panes[start] = narrow(self.panes[start].astype(np.int64) + pane if start in self.panes else pane)
        self.packed.pop(start, None)

    def pack(self) -> dict[int, bytes]:
        """The panes in few bytes; only those that changed are packed again."""
        for start, pane in self.panes.items():
            if start not in self.packed:
                self.packed[start] = pack_pane(pane)
        self.packed = {start: self.packed[start] for start in self.panes}
        return self.packed


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Windows of a series, judged; T of them, in the order of time.

    Attributes:
        judge: that judged them.
        starts: of the windows.
        panes: (T, width) int64.
        stacks: (T, width) int64: what was judged of them.
        evidence: (T, F) ln M of each feature after each window.
        total: (T,) ln M of all features together.
    """

    judge: Judge
    starts: list[int]
    panes: Ints
    stacks: Ints
    evidence: Doubles
    total: Doubles


def fold(series: Series, basis: Basis, closed: Sequence[int], changed_from: int) -> Folded:
    """Judge the windows from `changed_from` on, or more, if what they are compared with has changed.

    Args:
        series: the cohort; its cache is updated.
        basis: what it is compared with.
        closed: starts of its closed windows, settled ones included, in order.
        changed_from: the earliest window that is new or changed.
    """
    first, own_until = _first_windows(series, basis, closed)
    judge = judge_of(basis, first)
    compared = judge.stack.tobytes()
    if compared != series.compared:
        series.after, series.compared, changed_from = {}, compared, series.settled + 1
    known = max((start for start in series.after if start < changed_from), default=series.settled)
    states = series.after.get(known, series.states)
    series.after = {start: kept for start, kept in series.after.items() if start <= known}
    states += judge.begin()[len(states) :]
    place = int(np.searchsorted(closed, known, side="right"))
    behind = closed[max(place - LOOKBACK, 0) :]
    begin = len(behind) - (len(closed) - place)
    panes = np.stack([series.panes[start] for start in behind]).astype(np.int64)
    stacks = panes[:, layout_of(basis.scale).stack]
    spread = dispersion(stacks, judge.features, skip=begin)
    starts, panes = list(behind[begin:]), panes[begin:]
    judged = _without_own(judge, basis, stacks[begin:], np.array(starts) <= own_until)
    found = [np.empty((0, len(judge.features)))]
    at = 0
    while at < len(starts):
        left = len(starts) - at
        end = at + (1 if left <= _NEWEST else min(_STRIDE, left - _NEWEST))
        states, evidence = judge.fold(states, judged[at:end], spread[at:end])
        series.after[starts[end - 1]] = states
        found.append(evidence)
        at = end
    evidence = np.concatenate(found)
    total = combine(evidence, judge.features)
    series.total |= dict(zip(starts, total.tolist(), strict=True))
    return Folded(judge, starts, panes, judged, evidence, total)


def settle(series: Series, basis: Basis, closed: Sequence[int], upto: int) -> None:
    """Fold the windows that start at or before `upto` for good, and forget what nothing needs any more.

    Args:
        series: the cohort; updated in place.
        basis: what it is compared with.
        closed: starts of its closed windows, settled ones included, in order.
        upto: the last window that no row can change any more.
    """
    due = [start for start in closed if series.settled < start <= upto]
    if not due:
        return
    later, compared = {start: kept for start, kept in series.after.items() if start > upto}, series.compared
    fold(series, basis, [start for start in closed if start <= upto], due[0])
    series.states = series.after[due[-1]]
    layout = layout_of(basis.scale)
    for start in due:
        if series.first is None or _events(basis.scale, series.first) < basis.first_events:
            stack = series.panes[start][layout.stack].astype(np.int64)
            series.first = stack if series.first is None else series.first + stack
    series.settled = due[-1]
    series.after = later if series.compared == compared else {}
    for start in [start for start in closed if start <= upto][:-LOOKBACK]:
        del series.panes[start]
    for start in [start for start in series.said if start <= upto]:
        del series.said[start]
    for start in [start for start in series.total if start < series.settled]:
        del series.total[start]


def is_provisional(basis: Basis) -> bool:
    """Whether confidence itself is compared with the cohort's own first windows."""
    return basis.given is None or not _confidence(basis.scale, basis.given).any()


def _first_windows(series: Series, basis: Basis, closed: Sequence[int]) -> tuple[Ints | None, int]:
    """The stack of the first windows, None until they hold enough events; and the last of them that is not settled."""
    layout = layout_of(basis.scale)
    total = np.zeros(layout.stack.stop - layout.stack.start, np.int64) if series.first is None else series.first
    if _events(basis.scale, total) >= basis.first_events:
        return total, -1
    for start in closed:
        if start > series.settled:
            total = total + series.panes[start][layout.stack]
            if _events(basis.scale, total) >= basis.first_events:
                return total, start
    return None, -1


def _events(scale: Scale, stack: Ints) -> int:
    return int(_confidence(scale, stack).sum())


def _confidence(scale: Scale, stack: Ints) -> Ints:
    place = layout_of(scale).at["confidence"]
    return stack[place.start - 2 : place.stop - 2]


def _without_own(judge: Judge, basis: Basis, stacks: Ints, early: NDArray[np.bool_]) -> Ints:
    """The stacks, with nothing of what the early windows would be compared with themselves for."""
    if not early.any():
        return stacks
    kept = np.zeros(stacks.shape[1], bool)
    if basis.given is not None:
        for part in judge.parts:
            if basis.given[part.columns].any():
                kept[part.columns] = True
    return np.where(early[:, None] & ~kept, 0, stacks)
