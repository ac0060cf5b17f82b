"""The statistics of drift: laws, and answers known by hand or from scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from operators.statistics import (
    embedding_mean_shift,
    kolmogorov_smirnov,
    population_stability,
    principal_directions,
    smoothed_shares,
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
    for statistic in (population_stability, kolmogorov_smirnov):
        assert statistic(reference, windows).tolist() == [float(statistic(reference, window)) for window in windows]


def test_a_mean_shifted_by_one_deviation_along_every_direction_is_a_shift_of_one() -> None:
    deviations = np.array([5.0, 3.0, 1.0])
    directions = principal_directions(np.diag(deviations**2), variance_share=1.0)
    mean = np.array([1.0, 2.0, 3.0])
    shifts = embedding_mean_shift(np.array([mean, mean + deviations, mean - 2 * deviations]), mean, directions)
    assert shifts == pytest.approx([0, 1, 2])


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
