"""Watch: what is watched stays bounded, what was watched stays watched, and revisions count up."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from operators.panes import layout_of, pack_pane, unpack_pane
from operators.rounds import Part, Rounds
from operators.watch import Told, Watched, basis_of, watch
from operators.windows import Panes
from tests.operators.references import small_reference
from tests.operators.test_fleet import POLICY, WINDOW, Strangers, key, pane

MOST = 16


class Known(Strangers):
    """The small reference, for every cohort of its model."""

    scales: ClassVar = {("drawn", 1): small_reference().scale}

    def of(self, model: str, version: int, level: str, cohort: str) -> Any:
        return small_reference() if (model, version) == ("drawn", 1) else None


def told(state: Watched, number: int, panes: Panes, most: int = MOST) -> list[dict[str, Any]]:
    """The rows of `windows` of a round."""
    return [
        row
        for verdict in watch(state, Part(0, number, Told(panes)), Strangers(), POLICY, most)
        for row in verdict.windows
    ]


def flooded(order: int) -> tuple[Watched, list[set[str]]]:
    """The state and the sites that were told of, by round: first one site, then a flood of made-up ones."""
    flood = [f"x{number:05d}" for number in range(MOST + 50)]
    random.Random(order).shuffle(flood)
    state, sites = Watched(Rounds(1)), []
    for number, names in enumerate((["north"], [*flood, "north"])):
        rows = told(state, 2 * number + 2, {key(name, number): pane(1) for name in names})
        sites.append({row["cohort"] for row in rows})
    return state, sites


def test_made_up_sites_do_not_grow_the_state_beyond_its_bound() -> None:
    state, sites = flooded(order=1)
    assert len(state.series) == MOST
    assert all("north" in names for names in sites)


def test_which_sites_are_watched_does_not_depend_on_the_order_they_came_in() -> None:
    (one, sites), (other, again) = flooded(order=1), flooded(order=2)
    assert one.series.keys() == other.series.keys()
    assert sites == again


def test_a_window_is_told_again_when_it_changes_and_only_then() -> None:
    state = Watched(Rounds(1))
    rows = told(state, 2, {key("north", 0): pane(1)}) + told(state, 3, {}) + told(state, 4, {key("north", 0): pane(2)})
    assert [(row["revision"], row["rows"]) for row in rows] == [(0, 200), (1, 400)]


def test_rows_older_than_the_horizon_change_nothing() -> None:
    state = Watched(Rounds(1))
    policy = replace(POLICY, horizon_us=3 * WINDOW)
    for number in range(1, 10):
        list(watch(state, Part(0, number, Told({key("north", number): pane(number)})), Strangers(), policy, MOST))
    before = state.series["digits", 1, "site", "north"].settled
    late = Told({key("north", 1): pane(1)})
    (verdict,) = watch(state, Part(0, 10, late), Strangers(), policy, MOST)
    assert before >= WINDOW
    assert [row["window_start"] for row in verdict.windows] == [8 * WINDOW]


def test_a_cohort_that_has_been_gone_for_two_horizons_makes_room() -> None:
    state = Watched(Rounds(1))
    policy = replace(POLICY, horizon_us=3 * WINDOW)
    refused = []
    for number, panes in enumerate([{key("north", 0): pane(1)}, {key("south", 1): pane(1)}, *([{}] * 9)]):
        for verdict in watch(state, Part(0, number + 1, Told(panes)), Strangers(), policy, 1):
            refused.append(verdict.refused)
    assert refused[:2] == [0, 1]
    assert state.series == {}


def test_a_window_waits_for_its_grace() -> None:
    state = Watched(Rounds(1))
    assert told(state, 1, {key("north", 0): pane(1)}) == []
    assert len(told(state, 2, {})) == 1


def test_a_cohort_of_one_class_is_compared_with_the_rows_of_that_class() -> None:
    reference = small_reference()
    basis = basis_of(("drawn", 1, "site/class", "north/2"), Known(), POLICY)
    assert basis.given is not None
    assert basis.given.sum() == reference.by_class[2].sum() - reference.by_class[2][:2].sum() - _waves(reference, 2)


def _waves(reference: Any, slot: int) -> int:
    return int(reference.by_class[slot][layout_of(reference.scale).waved :].sum())


def test_a_model_that_was_built_again_with_other_bins_begins_anew() -> None:
    state = Watched(Rounds(1))
    cohort = ("drawn", 1, "site", "north")
    panes = {(*cohort, 0): np.ones(5, np.int64), (*cohort, WINDOW): small_reference().pane.copy()}
    rows = [row for verdict in watch(state, Part(0, 3, Told(panes)), Known(), POLICY, MOST) for row in verdict.windows]
    assert [row["window_start"] for row in rows] == [WINDOW]


@pytest.mark.parametrize("numbers", [[], [0, 1, -1], [2**31], [-(2**40)]])
def test_panes_come_back_as_they_were(numbers: Iterable[int]) -> None:
    wanted = np.array(list(numbers), np.int64)
    again = unpack_pane(pack_pane(wanted))
    assert again.dtype == np.int64
    assert again.tolist() == wanted.tolist()
