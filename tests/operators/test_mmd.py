"""Maximum mean discrepancy from sums of Fourier features: its null, its power, and the exact kernel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from operators.mmd import frequencies, maximum_mean_discrepancy, null_interval
from schemas.errors import SettingsError

UNIT = 1 / 1024
M = 64


def codes(rows: NDArray, seed: int = 0, m: int = M, bandwidth: float | None = None) -> NDArray:
    w, b = frequencies(rows.shape[1], m, seed, bandwidth)
    return np.rint(math.sqrt(2) * np.cos(rows @ w + b) / UNIT).astype(np.int64)


def clusters(rng: np.random.Generator, rows: int, dims: int) -> NDArray:
    """Standardised coordinates of five clusters."""
    means = np.random.default_rng(dims).normal(size=(5, dims)) * 2
    return (rng.normal(size=(rows, dims)) + means[rng.integers(0, 5, rows)] - means.mean(0)) / np.sqrt(1 + means.var(0))


def products(rows: NDArray) -> NDArray:
    """Σ of products of two codes; exact in float64."""
    return (rows.astype(float).T @ rows.astype(float)).astype(np.int64)


def discrepancy(reference: NDArray, window: NDArray) -> tuple[float, NDArray]:
    """Value and interval at 5 % of rows of codes."""
    sums, rows = reference.sum(axis=0), len(reference)
    events = np.array(len(window))
    value = maximum_mean_discrepancy(window.sum(axis=0), events, sums, rows, UNIT)
    return float(value), null_interval(sums, products(reference), rows, events, UNIT, 0.05)


@pytest.mark.parametrize(("events", "rows"), [(30, 500), (100, 500), (500, 500), (100, 200)])
@pytest.mark.parametrize("dims", [2, 16])
def test_healthy_windows_lie_outside_as_often_as_the_level_says(dims: int, events: int, rows: int) -> None:
    """40 references with 30 windows each; 2.5 % are due on either side. Tolerance: 0.8 % to 5.5 %."""
    rng, found = np.random.default_rng(events), np.zeros(2)
    for at in range(40):
        reference = codes(clusters(rng, rows, dims), seed=at)
        windows = codes(clusters(rng, 30 * events, dims), seed=at).reshape(30, events, M).sum(axis=1)
        sums, each = reference.sum(axis=0), np.full(30, events)
        value = maximum_mean_discrepancy(windows, each, sums, rows, UNIT)
        low, high = null_interval(sums, products(reference), rows, np.array(events), UNIT, 0.05)
        found += (value < low).mean() / 40, (value > high).mean() / 40
    assert ((found > 0.008) & (found < 0.055)).all()


def test_it_is_the_exact_discrepancy_of_the_gaussian_kernel_up_to_the_draw_of_features() -> None:
    """Biased V-statistic of the kernel itself; tolerance 5 % with 20,000 features."""
    rng = np.random.default_rng(1)
    a, b = clusters(rng, 300, 4), clusters(rng, 200, 4) + 0.7
    sigma = math.sqrt(8)
    kernel = [np.exp(-cdist(x, y, "sqeuclidean") / (2 * sigma**2)).mean() for x, y in ((a, a), (b, b), (a, b))]
    exact = math.sqrt(kernel[0] + kernel[1] - 2 * kernel[2])
    x, y = codes(a, m=20_000), codes(b, m=20_000)
    value = maximum_mean_discrepancy(y.sum(axis=0), np.array(200), x.sum(axis=0), 300, UNIT)
    assert value == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("change", ["mean", "spread", "new cluster", "correlation"])
def test_drifted_windows_lie_above(change: str) -> None:
    """20 windows of 200 events; at least 18 of them lie above a two-sided interval at 5 %."""
    rng, above = np.random.default_rng(2), 0
    reference = codes(clusters(rng, 2000, 8))
    for _ in range(20):
        rows = clusters(rng, 200, 8)
        if change == "mean":
            rows[:, 0] += 0.6
        elif change == "spread":
            rows *= 1.3
        elif change == "new cluster":
            rows[:40] = rng.normal(size=(40, 8)) * 0.3 + 1.5
        else:
            rows[:, 4:] = rows[:, :4]
        value, (_, high) = discrepancy(reference, codes(rows))
        above += value > high
    assert above >= 18


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), windows=st.integers(1, 9))
def test_a_window_reads_the_same_alone_or_among_others_and_0_as_the_reference_itself(seed: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    sums, events = rng.integers(-1000, 1000, (windows, M)), rng.integers(1, 50, windows)
    reference = rng.integers(-1000, 1000, M)
    many = maximum_mean_discrepancy(sums, events, reference, 40, UNIT)
    alone = [maximum_mean_discrepancy(one, n, reference, 40, UNIT) for one, n in zip(sums, events, strict=True)]
    assert many.tolist() == [float(value) for value in alone]
    assert maximum_mean_discrepancy(reference * 3, np.array(120), reference, 40, UNIT) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dims", [4, 8, 16])
def test_the_bandwidth_is_near_the_median_distance(dims: int) -> None:
    """Tolerance: a third, of five clusters."""
    median = np.median(pdist(clusters(np.random.default_rng(0), 600, dims)))
    assert 0.67 < math.sqrt(2 * dims) / median < 1.5


def test_more_events_have_a_narrower_interval() -> None:
    reference = codes(clusters(np.random.default_rng(0), 1000, 4))
    args = reference.sum(axis=0), products(reference), 1000
    interval = null_interval(*args, np.array([[10, 100], [1000, 10**9]]), UNIT)
    assert interval.shape == (2, 2, 2)
    assert (np.diff(interval.reshape(4, 2), axis=0) < 0).all()
    assert (interval[..., 0] < interval[..., 1]).all()


def test_windows_without_events_are_nan() -> None:
    reference = codes(clusters(np.random.default_rng(0), 100, 4))
    sums, events = np.zeros((2, M), np.int64), np.array([0, 5])
    value = maximum_mean_discrepancy(sums, events, reference.sum(axis=0), 100, UNIT)
    interval = null_interval(reference.sum(axis=0), products(reference), 100, events, UNIT)
    assert np.isnan(value).tolist() == np.isnan(interval[:, 1]).tolist() == [True, False]


def test_a_reference_of_equal_rows_has_an_interval_of_0() -> None:
    reference = codes(np.ones((50, 3)))
    interval = null_interval(reference.sum(axis=0), products(reference), 50, np.array([10]), UNIT)
    assert interval == pytest.approx(0, abs=1e-6)


def test_settings_out_of_range_are_errors() -> None:
    with pytest.raises(SettingsError, match="coordinate"):
        frequencies(0, M)
    for bandwidth in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="bandwidth"):
            frequencies(4, M, bandwidth=bandwidth)
    with pytest.raises(SettingsError, match="level"):
        null_interval(np.ones(2, np.int64), np.ones((2, 2), np.int64), 2, np.array([5]), UNIT, 0.001)
