"""The statistics of drift: laws, and answers known by hand or from scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from operators.measures import MEASURES
from operators.statistics import (
    jensen_shannon,
    kolmogorov_smirnov,
    mid_ranks,
    population_stability,
    principal_directions,
    smoothed_shares,
    wasserstein,
)

bins = st.lists(st.integers(0, 10_000), min_size=4, max_size=4).map(np.array)
filled = bins.filter(lambda counts: counts.sum() > 0)


@settings(deadline=None)
@given(a=bins, b=bins)
def test_population_stability_is_symmetric_finite_and_never_negative(a: NDArray, b: NDArray) -> None:
    there, back = population_stability(a, b), population_stability(b, a)
    assert 0 <= there < math.inf
    assert there == pytest.approx(back, abs=1e-12)
    assert population_stability(a, a) == 0


@settings(deadline=None)
@given(a=filled, b=filled)
def test_kolmogorov_smirnov_is_symmetric_and_within_0_and_1(a: NDArray, b: NDArray) -> None:
    distance = kolmogorov_smirnov(a, b)
    assert 0 <= distance <= 1 + 1e-12
    assert distance == pytest.approx(kolmogorov_smirnov(b, a), abs=1e-12)
    assert kolmogorov_smirnov(a, a * 3) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(a=filled, b=filled)
def test_kolmogorov_smirnov_is_that_of_scipy_on_values_that_sit_in_bins(a: NDArray, b: NDArray) -> None:
    a, b = np.minimum(a, 50), np.minimum(b, 50)
    theirs = stats.ks_2samp(np.repeat(np.arange(4), a), np.repeat(np.arange(4), b), method="asymp").statistic
    assert kolmogorov_smirnov(a, b) == pytest.approx(theirs, abs=1e-12)


@settings(deadline=None)
@given(a=bins, b=bins)
def test_jensen_shannon_is_the_square_of_scipys_distance_and_at_most_ln_2(a: NDArray, b: NDArray) -> None:
    divergence = jensen_shannon(a, b)
    assert 0 <= divergence <= math.log(2)
    assert divergence == pytest.approx(jensen_shannon(b, a), abs=1e-12)
    assert divergence == pytest.approx(jensenshannon(smoothed_shares(a), smoothed_shares(b)) ** 2, abs=1e-12)
    assert jensen_shannon(a, a) == 0


def test_jensen_shannon_of_counts_that_share_no_bin_is_nearly_ln_2() -> None:
    assert jensen_shannon(np.array([10**9, 0]), np.array([0, 10**9])) == pytest.approx(math.log(2), abs=1e-6)


def test_near_the_reference_population_stability_is_eight_times_jensen_shannon() -> None:
    a, b = np.array([10_000, 20_000, 30_000]), np.array([10_100, 20_000, 29_900])
    assert population_stability(a, b) == pytest.approx(8 * jensen_shannon(a, b), rel=1e-3)


@settings(deadline=None)
@given(a=filled, b=filled)
def test_wasserstein_is_that_of_scipy_on_ranks_and_at_most_a_half(a: NDArray, b: NDArray) -> None:
    ranks = mid_ranks(a)
    distance = wasserstein(a, b)
    assert distance == pytest.approx(stats.wasserstein_distance(ranks, ranks, a, b), abs=1e-12)
    assert 0 <= distance <= 0.5 + 1e-12
    assert wasserstein(a, a * 3) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(a=filled, b=filled)
def test_mid_ranks_have_mean_one_half_in_the_reference_and_that_of_mann_and_whitney_in_a_window(
    a: NDArray, b: NDArray
) -> None:
    a, b = np.minimum(a, 50), np.minimum(b, 50)
    ranks = mid_ranks(a)
    assert (ranks * a).sum() / a.sum() == pytest.approx(0.5)
    u = stats.mannwhitneyu(np.repeat(np.arange(4), b), np.repeat(np.arange(4), a), method="asymptotic").statistic
    assert (ranks * b).sum() / b.sum() == pytest.approx(u / (a.sum() * b.sum()))


def test_wasserstein_of_rows_that_all_went_up_is_how_far_they_went_in_the_reference() -> None:
    reference = np.array([25, 25, 25, 25])
    assert wasserstein(reference, np.array([0, 25, 25, 50])) == pytest.approx(0.75 * 0.25)
    assert wasserstein(reference, np.array([0, 0, 0, 100])) == pytest.approx((0.75 + 0.5 + 0.25) * 0.25)


def test_population_stability_by_hand() -> None:
    p = np.array([80.5, 20.5]) / 101
    by_hand = (p[0] - 0.5) * math.log(p[0] / 0.5) + (p[1] - 0.5) * math.log(p[1] / 0.5)
    assert population_stability(np.array([50, 50]), np.array([80, 20])) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.41, abs=0.005)


def test_population_stability_is_both_divergences_of_scipy() -> None:
    a, b = np.array([5, 0, 30, 65]), np.array([12, 3, 25, 10])
    p, q = smoothed_shares(a), smoothed_shares(b)
    assert population_stability(a, b) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))


def test_many_windows_are_compared_at_once() -> None:
    reference, windows = np.array([40, 40, 20]), np.array([[4, 4, 2], [0, 0, 10], [10, 0, 0]])
    for measure in MEASURES:
        alone = [float(measure.between(reference, window)) for window in windows]
        assert measure.between(reference, windows).tolist() == alone


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), windows=st.integers(1, 40), width=st.integers(2, 40))
def test_a_window_reads_the_same_to_the_last_bit_alone_or_among_others(seed: int, windows: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.integers(1, 100, width)
    stack = rng.integers(1, 100, (windows, width + 7))
    for measure in MEASURES:
        many = measure.between(reference, stack[:, 3 : 3 + width])
        assert many.tolist() == [float(measure.between(reference, row[3 : 3 + width].copy())) for row in stack]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), dims=st.integers(1, 30))
def test_embeddings_along_the_principal_directions_have_unit_variance(seed: int, dims: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(200, dims)) @ np.random.default_rng(seed + 1).normal(
        size=(dims, dims)
    )
    covariance = np.atleast_2d(np.cov(rows.T))
    directions = principal_directions(covariance)
    assert 1 <= len(directions) <= min(16, dims)
    np.testing.assert_allclose(directions @ covariance @ directions.T, np.eye(len(directions)), atol=1e-6)


def test_as_many_directions_as_hold_the_share_of_variance() -> None:
    covariance = np.diag([90.0, 5.0, 4.0, 1.0])
    assert [len(principal_directions(covariance, share)) for share in (0.5, 0.9, 0.95, 0.96, 1.0)] == [1, 1, 2, 3, 4]
    assert len(principal_directions(np.eye(40))) == 16


def test_directions_without_variance_are_dropped() -> None:
    assert len(principal_directions(np.diag([4.0, 1.0, 0.0, 0.0]), variance_share=1.0)) == 2
    assert principal_directions(np.zeros((3, 3))).shape == (0, 3)
    assert principal_directions(np.zeros((0, 0))).shape == (0, 0)
