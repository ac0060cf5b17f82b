"""Every detector keeps to the protocol: laws that the dataflow counts on."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.detectors import Detector
from operators.detectors.registry import DETECTORS, detector
from operators.features import Feature, Kind
from schemas.errors import SettingsError

FEATURES = (
    Feature("confidence", "confidence", Kind.ORDINAL, 8),
    Feature("classes", "classes", Kind.NOMINAL, 3),
    Feature("margin", "margin", Kind.ORDINAL, 4),
)
REFERENCE = np.concatenate([np.full(8, 250), [1000, 600, 400], np.full(4, 500)])
ROWS = 2000
names = pytest.mark.parametrize("name", DETECTORS)


def made(name: str) -> Detector[Any]:
    return detector(name, FEATURES, REFERENCE, ROWS)


def draw(seed: int, shape: tuple[int, ...], events: int = 100, moved: float = 0.0) -> NDArray[np.int64]:
    """Windows; where moved, rows of ordinal features go to upper bins."""
    rng = np.random.default_rng(seed)
    shares = [np.exp(moved * np.arange(8) / 8), np.array([0.5, 0.3, 0.2]), np.exp(moved * np.arange(4) / 4)]
    return np.concatenate([rng.multinomial(events, each / each.sum(), shape) for each in shares], axis=-1)


def fold(name: str, state: Any, stacks: NDArray[np.int64]) -> tuple[Any, NDArray[np.float64]]:
    return made(name).fold(state, stacks, np.ones((*stacks.shape[:-1], len(FEATURES))))


def begun(name: str) -> Any:
    return made(name).begin()


@names
def test_a_detector_is_called_what_the_registry_calls_it(name: str) -> None:
    assert made(name).name == name


@names
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 30))
def test_windows_folded_in_two_parts_give_the_same_evidence_and_state_as_in_one(name: str, seed: int, cut: int) -> None:
    stacks = np.concatenate([draw(seed, (15,)), draw(seed + 1, (15,), moved=3.0)])
    whole_state, whole = fold(name, begun(name), stacks)
    state, first = fold(name, begun(name), stacks[:cut])
    state, second = fold(name, state, stacks[cut:])
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    after = draw(seed + 2, (20,), moved=-3.0)
    np.testing.assert_array_equal(fold(name, state, after)[1], fold(name, whole_state, after)[1])


@names
def test_a_state_stays_as_it_was_and_can_be_folded_again(name: str) -> None:
    state, _ = fold(name, begun(name), draw(0, (40,)))
    before = pickle.dumps(state)
    _, once = fold(name, state, draw(1, (60,), moved=3.0))
    _, again = fold(name, state, draw(1, (60,), moved=3.0))
    assert pickle.dumps(state) == before
    np.testing.assert_array_equal(once, again)


@names
def test_a_state_survives_a_restart(name: str) -> None:
    state, _ = fold(name, begun(name), draw(0, (40,)))
    restored = pickle.loads(pickle.dumps(state))
    after = draw(1, (60,), moved=3.0)
    np.testing.assert_array_equal(fold(name, restored, after)[1], fold(name, state, after)[1])


@names
def test_cohorts_are_told_the_same_together_as_alone(name: str) -> None:
    stacks = np.concatenate([draw(0, (40, 2, 3)), draw(1, (60, 2, 3), moved=2.0)])
    _, together = fold(name, begun(name), stacks)
    assert together.shape == (100, 2, 3, 3)
    for place in np.ndindex(2, 3):
        _, alone = fold(name, begun(name), stacks[:, *place])
        np.testing.assert_array_equal(together[:, *place], alone)


@names
def test_a_window_without_events_says_nothing_and_changes_nothing(name: str) -> None:
    some, after = draw(0, (40,)), draw(1, (60,), moved=3.0)
    state, _ = fold(name, begun(name), some)
    empty, _ = fold(name, state, np.zeros((5, REFERENCE.size), np.int64))
    np.testing.assert_array_equal(fold(name, empty, after)[1], fold(name, state, after)[1])


@names
def test_a_large_shift_is_found_and_a_healthy_stretch_is_quiet(name: str) -> None:
    """600 healthy windows with an evidence below 10 nats in each feature; then a shift, found within 150 windows."""
    state, quiet = fold(name, begun(name), draw(3, (600,)))
    assert quiet.max() < 10
    _, found = fold(name, state, draw(4, (150,), moved=3.0))
    assert (found[:, [0, 2]].max(axis=0) > 10).all()


@names
def test_evidence_is_never_nan(name: str) -> None:
    hostile = np.zeros((12, REFERENCE.size), np.int64)
    hostile[::2, 0] = 10**9
    hostile[1::3, -1] = 1
    _, evidence = fold(name, begun(name), hostile)
    assert not np.isnan(evidence).any()


def test_an_unknown_name_is_an_error_that_tells_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"kswin.*shiryaev_roberts, adwin, page_hinkley"):
        detector("kswin", FEATURES, REFERENCE, ROWS)
