"""Thresholds hold what they promise: the chance to exceed them where nothing drifts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.calibration import level_for, null, threshold
from operators.reference import Reference
from operators.statistics import Statistic, kolmogorov_smirnov, population_stability, smoothed_shares
from schemas.errors import SettingsError
from tests.operators.drawn import draw_rows, reference_of

DRAWS = 200_000


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(draw_rows(450))


def windows_over_one_reference(reference: Reference, statistic: Statistic, rows: int, seed: int) -> list[NDArray]:
    """Values of two windows that share a reference, everything drawn anew DRAWS times."""
    rng = np.random.default_rng(seed)
    if statistic is Statistic.EMBEDDING_MEAN:
        r = 6
        shared = rng.normal(size=(DRAWS, r)) / np.sqrt(reference.rows)
        means = [rng.normal(size=(DRAWS, r)) / np.sqrt(rows) for _ in range(2)]
        return [np.sqrt(((mean - shared) ** 2).mean(axis=1)) for mean in means]
    mix = statistic is Statistic.PREDICTION_MIX
    shares = smoothed_shares(reference.class_counts if mix else reference.confidence_counts)
    distance = population_stability if mix else kolmogorov_smirnov
    drawn = rng.multinomial(reference.rows, shares, DRAWS)
    return [distance(drawn, rng.multinomial(rows, shares, DRAWS)) for _ in range(2)]


@pytest.mark.parametrize("statistic", Statistic)
@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_one_window_exceeds_with_the_chance_that_was_asked(
    reference: Reference, statistic: Statistic, rows: int
) -> None:
    """Tolerance: 0.6 to 1.15 of α = 5 %; below 1 are ties of counts and the safe side of the grid."""
    value, _ = windows_over_one_reference(reference, statistic, rows, seed=1)
    chance = (value > threshold(reference, statistic, rows, 0.05, consecutive=1)).mean()
    assert 0.6 * 0.05 < chance < 1.15 * 0.05


@pytest.mark.parametrize("statistic", Statistic)
@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_two_windows_in_a_row_exceed_no_more_often_than_independent_ones(
    reference: Reference, statistic: Statistic, rows: int
) -> None:
    """Tolerance: at most 1.25 α² and at least α²/20, for α = 3 %: the shared reference is allowed for."""
    first, second = windows_over_one_reference(reference, statistic, rows, seed=2)
    limit = threshold(reference, statistic, rows, 0.03, consecutive=2)
    assert 0.05 * 0.03**2 < ((first > limit) & (second > limit)).mean() < 1.25 * 0.03**2


def test_without_that_allowance_two_in_a_row_would_exceed_far_too_often(reference: Reference) -> None:
    first, second = windows_over_one_reference(reference, Statistic.CONFIDENCE, 4096, seed=3)
    limit = threshold(reference, Statistic.CONFIDENCE, 4096, 0.03, consecutive=1)
    assert ((first > limit) & (second > limit)).mean() > 5 * 0.03**2


@pytest.mark.parametrize("statistic", Statistic)
def test_more_rows_never_have_a_clearly_higher_threshold(reference: Reference, statistic: Statistic) -> None:
    limits = [threshold(reference, statistic, rows, 0.01) for rows in (10, 40, 160, 640, 2560, 10_240)]
    assert limits == sorted(limits, reverse=True)


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 100_000))
def test_a_threshold_is_that_of_the_next_lower_point_of_the_grid(reference: Reference, rows: int) -> None:
    point = max(p for p in (math.floor(2 ** (j / 4)) for j in range(80)) if p <= rows)
    found = threshold(reference, Statistic.EMBEDDING_MEAN, rows, 0.01)
    assert found == threshold(reference, Statistic.EMBEDDING_MEAN, point, 0.01)
    assert rows / 1.2 - 1 < point


def test_the_same_model_has_the_same_thresholds_in_another_process_and_another_version_others() -> None:
    first, again = reference_of(draw_rows(450)), reference_of(draw_rows(450))
    assert null(first, Statistic.CONFIDENCE, 100, 50).tolist() == null(again, Statistic.CONFIDENCE, 100, 50).tolist()
    other = replace(first, version=2)
    assert null(first, Statistic.CONFIDENCE, 100, 50).tolist() != null(other, Statistic.CONFIDENCE, 100, 50).tolist()


def test_too_few_draws_for_the_level_is_an_error_that_says_so(reference: Reference) -> None:
    with pytest.raises(SettingsError, match="needs 10000 draws, not 4000"):
        threshold(reference, Statistic.CONFIDENCE, 100, 0.001, draws=4000)
    for alpha in (0, -0.1, 0.3, float("nan")):
        with pytest.raises(SettingsError, match="is not in"):
            threshold(reference, Statistic.CONFIDENCE, 100, alpha)


def test_the_level_follows_from_false_alarms_a_day() -> None:
    assert level_for(1, 1440, cohorts=3, consecutive=1, draws=200_000) == pytest.approx(1 / 12_960)
    assert level_for(1, 1440, cohorts=3, consecutive=2) == pytest.approx((1 / 12_960) ** 0.5)
    assert level_for(1e9, 24, cohorts=1) == 0.25
    with pytest.raises(SettingsError, match="draws"):
        level_for(1, 1440, cohorts=3, consecutive=1)


@pytest.mark.parametrize("change", [{"false_alarms_per_day": 0}, {"windows_per_day": -1}, {"cohorts": 0}])
def test_a_level_of_nothing_is_an_error(change: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        level_for(**({"false_alarms_per_day": 1, "windows_per_day": 24, "cohorts": 1} | change))
