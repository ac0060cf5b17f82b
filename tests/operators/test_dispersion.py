"""Dispersion: what windows before say of how much counts vary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from operators.dispersion import FEWEST, LAGS, LOOKBACK, dispersion, pair_ratios
from operators.features import Feature, Kind

FEATURES = (Feature("confidence", "confidence", Kind.ORDINAL, 16), Feature("mix", "mix", Kind.NOMINAL, 4))
STARTS = [0, 16]


def draw(seed: int, events: int, *shape: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.multinomial(events, np.full(f.bins, 1 / f.bins), shape) for f in FEATURES], axis=-1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 40), st.integers(0, 100))
def test_it_is_the_same_to_the_last_bit_for_one_cohort_or_many_and_any_part(
    seed: int, cohorts: int, events: int, skip: int
) -> None:
    stacks = draw(seed, events, LOOKBACK + 30, cohorts)
    phi = dispersion(stacks, FEATURES)
    assert (phi >= 1).all()
    for cohort in range(cohorts):
        assert np.array_equal(dispersion(stacks[:, cohort], FEATURES), phi[:, cohort])
    assert np.array_equal(dispersion(np.asfortranarray(stacks), FEATURES), phi)
    assert np.array_equal(dispersion(stacks, FEATURES, skip=skip), phi[skip:])
    assert np.array_equal(dispersion(stacks[20 : 20 + LOOKBACK + 1], FEATURES)[-1], phi[20 + LOOKBACK])


def test_a_window_has_no_say_in_its_own_dispersion() -> None:
    stacks = draw(1, 50, 100)
    other = stacks.copy()
    other[80:] = draw(2, 5000, 20)
    assert np.array_equal(dispersion(stacks, FEATURES)[:81], dispersion(other, FEATURES)[:81])
    assert not np.array_equal(dispersion(stacks, FEATURES)[81:], dispersion(other, FEATURES)[81:])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.integers(1, 3000))
def test_a_pair_is_pearsons_statistic_over_its_median(seed: int, first: int, second: int) -> None:
    a, b = draw(seed, first), draw(seed + 1, second)
    for at, own in enumerate((slice(0, 16), slice(16, 20))):
        table = np.array([a[own], b[own]])
        table = table[:, table.sum(axis=0) > 0]
        ratio = pair_ratios(a, b, STARTS)[at]
        if table.shape[1] < 2:
            assert np.isnan(ratio)
            continue
        theirs, _, free, _ = stats.chi2_contingency(table, correction=False)
        total = table.sum()
        # their median, where both follow one law, is that of χ² but for N/(N-1)
        expected = theirs / stats.chi2.median(free) * (total - 1) / total
        assert ratio == pytest.approx(expected, rel=0.04 if free == 1 else 0.02, abs=1e-6)


def test_the_mean_of_pearsons_statistic_is_exact_for_given_margins() -> None:
    # 3 and 4 events in 3 bins of 2, 1 and 4: multivariate hypergeometric
    margins = np.array([2, 1, 4])
    rng = np.random.default_rng(5)
    a = rng.multivariate_hypergeometric(margins, 3, size=200_000)
    skew = (1 - 2 / 18) ** 3
    assert pair_ratios(a, margins - a, [0])[:, 0].mean() * skew == pytest.approx(1, abs=0.01)


def test_independent_events_have_a_dispersion_of_about_1() -> None:
    phi = dispersion(draw(3, 100, LOOKBACK + 1, 300), FEATURES)[-1]
    assert 1 <= phi[:, 0].mean() < 1.1
    assert 1 <= phi[:, 1].mean() < 1.2


@pytest.mark.parametrize("times", [3, 12])
def test_events_that_are_counted_several_times_have_that_dispersion(times: int) -> None:
    phi = dispersion(times * draw(4, 100, LOOKBACK + 1, 300), FEATURES)[-1]
    assert phi[:, 0].mean() == pytest.approx(times, rel=0.1)
    assert phi[:, 1].mean() == pytest.approx(times, rel=0.2)


def test_bursts_across_windows_are_seen_by_the_longer_lag() -> None:
    rng = np.random.default_rng(6)
    bins = np.repeat(rng.integers(0, 16, 100), 60)  # a burst of 60 frames, windows of 20
    stacks = np.stack([np.bincount(row, minlength=16) for row in bins.reshape(-1, 20)])
    assert dispersion(stacks, FEATURES[:1])[-1, 0] > 10


def test_a_change_of_shares_does_not_hide_itself() -> None:
    stacks = draw(7, 100, 300)
    stacks[200:, :16] = np.random.default_rng(8).multinomial(100, np.arange(1, 17) ** 2 / 1496, 100)
    phi = dispersion(stacks, FEATURES)[:, 0]
    assert phi[201:].max() < 1.5


def test_too_few_pairs_say_nothing() -> None:
    stacks = 12 * draw(9, 100, 60)
    phi = dispersion(stacks, FEATURES)
    first = FEWEST + min(LAGS)
    assert (phi[:first] == 1).all()
    assert (phi[first:] > 3).all()


def test_windows_without_events_are_passed_over() -> None:
    stacks = 12 * draw(10, 100, 2 * LOOKBACK)
    stacks[30:60] = 0
    stacks[60:90, 1:] = 0  # all in one bin: nothing can vary
    phi = dispersion(stacks, FEATURES)
    assert np.isfinite(phi).all()
    assert phi[-1, 0] == pytest.approx(12, rel=0.5)
    assert (dispersion(np.zeros_like(stacks), FEATURES) == 1).all()


def test_no_windows_have_no_dispersion() -> None:
    assert dispersion(np.empty((0, 3, 20), np.int64), FEATURES).shape == (0, 3, 2)
    assert dispersion(draw(11, 9, 5), FEATURES, skip=5).shape == (0, 2)
