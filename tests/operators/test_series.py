"""Series: windows judged one by one, all at once, or again after late rows: the evidence is the same to the bit."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.dispersion import LOOKBACK
from operators.judge import Basis
from operators.panes import layout_of
from operators.scale import universal
from operators.series import Folded, Series, fold, settle

SCALE = universal()
LAYOUT = layout_of(SCALE)
BASIS = Basis(scale=SCALE, reference=None, given=None, first_events=100, cap_nats=40.0, interval_events=1e5)
Ints = NDArray[np.int64]


def pane(seed: int, events: int = 40, confident: bool = True) -> Ints:
    """The pane of so many events, drawn at random."""
    rng = np.random.default_rng(seed)
    made = np.zeros(LAYOUT.width, np.int64)
    made[[LAYOUT.rows, LAYOUT.events]] = events
    for feature in SCALE.features:
        shares = np.arange(1, feature.bins + 1) ** (2.0 if confident else 0.5)
        made[LAYOUT.at[feature.name]] = rng.multinomial(events, shares / shares.sum())
    return made


def series_of(panes: dict[int, Ints]) -> Series:
    return Series(panes=dict(panes))


def judged(series: Series, changed_from: int = 0) -> Folded:
    return fold(series, BASIS, sorted(series.panes), changed_from)


def test_nothing_is_evidence_until_the_first_windows_are_enough() -> None:
    found = judged(series_of({start: pane(start) for start in range(10)}))
    assert np.isneginf(found.total[:3]).all()
    assert np.isfinite(found.total[3:]).all()


def test_a_change_after_the_first_windows_is_evidence() -> None:
    calm = {start: pane(start, 200) for start in range(40)}
    moved = {start: pane(start, 200, confident=False) for start in range(40, 43)}
    basis = replace(BASIS, first_events=4000)
    found = fold(series_of(calm | moved), basis, range(43), 0)
    assert found.total[39] < np.log(100)
    assert found.total[41] > 20


@settings(deadline=None, max_examples=40)
@given(
    late=st.lists(st.integers(0, 59), max_size=8),
    cuts=st.lists(st.integers(1, 60), max_size=5),
)
def test_however_windows_come_the_evidence_is_that_of_all_at_once(late: list[int], cuts: list[int]) -> None:
    first = {start: pane(start) for start in range(60)}
    after = {start: first[start] + (pane(1000 + start, 5) if start in late else 0) for start in first}
    series, done = Series(), 0
    for end in [*sorted(cuts), 60]:
        series.panes |= {start: first[start] for start in range(done, end)}
        if end > done:
            judged(series, done)
        done = max(done, end)
    for start in late:
        series.panes[start] = after[start]
        judged(series, start)
    last, whole = judged(series, 0), judged(series_of(after), 0)
    assert last.total.tobytes() == whole.total.tobytes()
    assert last.evidence.tobytes() == whole.evidence.tobytes()


def test_settling_changes_no_evidence_and_forgets_old_windows() -> None:
    panes = {start: pane(start) for start in range(200)}
    whole = judged(series_of(panes))
    series = Series()
    for start in range(200):
        series.panes[start] = panes[start]
        found = judged(series, start)
        settle(series, BASIS, sorted(series.panes), start - 50)
        assert found.total[-1] == whole.total[start]
    assert min(series.panes) == 149 - LOOKBACK + 1
    assert series.settled == 149


def test_late_rows_in_the_first_windows_change_what_all_later_ones_are_compared_with() -> None:
    panes = {start: pane(start) for start in range(30)}
    series = series_of(panes)
    judged(series)
    series.panes[1] = panes[1] + pane(77, 30)
    assert judged(series, 1).total.tobytes() == judged(series_of(series.panes)).total.tobytes()


def test_an_empty_window_leaves_the_evidence_as_it_is() -> None:
    panes = {start: pane(start) for start in range(10)}
    more = panes | {10: pane(10, 0)}
    assert judged(series_of(more)).total[-1] == judged(series_of(panes)).total[-1]
