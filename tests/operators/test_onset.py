"""Onset: since when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.onset import leading, onset

# whole eighths: sums are exact, so that equal sums are equal
nats = st.lists(st.integers(-80, 80).map(lambda n: n / 8), min_size=1, max_size=40).map(np.array)


@settings(deadline=None)
@given(nats)
def test_the_start_has_the_largest_sum_to_the_end_and_of_equal_ones_the_latest(log_ratios: NDArray) -> None:
    found = onset(log_ratios)
    sums = [log_ratios[s:].sum() for s in range(len(log_ratios))]
    assert found.nats == max(sums)
    assert found.window == max(s for s, total in enumerate(sums) if total == max(sums))
    assert 0 <= found.earliest <= found.window <= found.latest < len(log_ratios)


@settings(deadline=None)
@given(nats, st.floats(0.1, 0.8))
def test_a_wider_range_holds_the_narrower(log_ratios: NDArray, coverage: float) -> None:
    narrow, wide = onset(log_ratios, coverage), onset(log_ratios, coverage + 0.15)
    assert wide.earliest <= narrow.earliest
    assert narrow.latest <= wide.latest


def test_a_clear_step_by_hand() -> None:
    found = onset(np.array([-5.0] * 10 + [5.0] * 4))
    assert (found.window, found.earliest, found.latest, found.nats) == (10, 10, 10, 20.0)


def test_windows_that_say_nothing_are_all_as_likely() -> None:
    found = onset(np.zeros(100), 0.9)
    assert found.window == 99
    assert (found.earliest, found.latest) == (4, 99)


def test_very_large_evidence_does_not_overflow() -> None:
    found = onset(np.array([-1e6, 1e6, 1e6]))
    assert (found.window, found.earliest, found.latest) == (1, 1, 1)


def test_the_range_holds_the_change_as_often_as_it_says() -> None:
    rng, held, errors = np.random.default_rng(3), 0, []
    for _ in range(1000):
        start = int(rng.integers(20, 80))
        x = rng.normal(size=100) + (np.arange(100) >= start)
        found = onset(x - 0.5, 0.9)
        held += found.earliest <= start <= found.latest
        errors.append(abs(found.window - start))
    assert 0.87 <= held / 1000 <= 0.97
    assert np.median(errors) <= 3


def test_the_leading_tilt_explains_the_last_windows_best() -> None:
    ratios = np.array([[9.0, 0.0, -9.0], [-9.0, 2.0, 4.0], [0.0, 3.0, 2.0]])
    assert leading(ratios, np.zeros(3)) == 2
    assert leading(ratios, np.log([0.25, 0.7, 0.05])) == 1
    assert leading(np.zeros((2, 3)), np.zeros(3)) == 0


@pytest.mark.parametrize("windows", [1, 2])
def test_few_windows_are_enough(windows: int) -> None:
    assert onset(np.ones(windows)).window == 0
