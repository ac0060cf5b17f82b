"""A device chooses the name of its site: what is watched stays bounded, and what was watched stays watched."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.reference import Reference
from operators.rounds import Part, Rounds
from operators.watch import MAX_COHORTS, Policy, Watched, watch
from operators.windows import Panes
from tests.operators.drawn import draw_rows, reference_of
from tests.operators.test_watch import count

WINDOW = 1_000
POLICY = Policy(window_us=WINDOW, grace_us=0, round_us=500, horizon_us=10**9, alpha=0.01, consecutive=2, min_rows=40)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(draw_rows(2000))


def _of_sites(sites: list[str], window: int, pane: NDArray[np.int64]) -> Panes:
    return {("drawn", 1, site, window * WINDOW): pane for site in sites}


def _watched(reference: Reference, order: int) -> tuple[Watched, list[set[str]]]:
    """The state and the sites that were told of, by round: first one site, then a flood of made-up ones."""
    flood = [f"x{number:05d}" for number in range(MAX_COHORTS + 500)]
    random.Random(order).shuffle(flood)
    pane = count(reference, draw_rows(40, seed=3))
    state, told = Watched(Rounds(1)), []
    for number, sites in enumerate((["north"], [*flood, "north"])):
        rows = watch(
            state, Part(0, 2 * number + 2, 0, _of_sites(sites, number, pane)), {("drawn", 1): reference}, POLICY
        )
        told.append({row["site"] for row in rows})
    return state, told


def test_made_up_sites_do_not_grow_the_state_beyond_its_bound(reference: Reference) -> None:
    state, told = _watched(reference, order=1)
    assert len({key[:3] for key in state.panes}) == MAX_COHORTS
    assert "north" in told[0]
    assert "north" in told[1]


def test_which_sites_are_watched_does_not_depend_on_the_order_they_came_in(reference: Reference) -> None:
    (one, told), (other, again) = _watched(reference, order=1), _watched(reference, order=2)
    assert one.panes.keys() == other.panes.keys()
    assert told == again
