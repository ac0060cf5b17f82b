"""Null intervals: how often a healthy window lies outside, whatever its size."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from operators.features import Kind
from operators.measures import MEASURES
from operators.nulls import DRAWS, null_intervals
from schemas.errors import SettingsError

WINDOWS = 150
UNIFORM = np.full(16, 1 / 16)
SKEWED = np.diff(stats.beta(8, 2).cdf(np.linspace(0, 1, 17)))
CLASSES = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.03, 0.015, 0.005])
ZIPF = np.arange(1, 41) ** -1.2 / (np.arange(1, 41) ** -1.2).sum()


def outside(kind: Kind, shares: NDArray, size: int, events: int, references: int, seed: int) -> NDArray:
    """(measures, 2): shares of healthy windows below and above the interval at 5 %, everything drawn anew."""
    rng, found = np.random.default_rng(seed), np.zeros((len(MEASURES), 2))
    for _ in range(references):
        reference = rng.multinomial(size, shares)
        found += beyond(kind, reference, rng.multinomial(events, shares, WINDOWS))
    return found / references


def beyond(kind: Kind, reference: NDArray, windows: NDArray) -> NDArray:
    interval = null_intervals(kind, reference, int(reference.sum()), windows.sum(axis=1), level=0.05)
    found = np.zeros((len(MEASURES), 2))
    for k, measure in enumerate(MEASURES):
        if kind in measure.kinds:
            value = measure.between(reference, windows)
            found[k] = (value < interval[:, k, 0]).mean(), (value > interval[:, k, 1]).mean()
    return found


@pytest.mark.parametrize(("events", "size"), [(30, 600), (45, 600), (100, 600), (1000, 6000)])
@pytest.mark.parametrize(("kind", "shares"), [(Kind.ORDINAL, SKEWED), (Kind.NOMINAL, CLASSES), (Kind.NOMINAL, ZIPF)])
def test_healthy_windows_lie_outside_as_often_as_the_level_says(
    kind: Kind, shares: NDArray, events: int, size: int
) -> None:
    """30 references with 150 windows each; 2.5 % are due on either side. Tolerance, since windows share
    references and small counts tie: at most 5 % above, and 2 % to 7.5 % on both sides together."""
    found = outside(kind, shares, size, events, references=30, seed=events)
    of_kind = [k for k, measure in enumerate(MEASURES) if kind in measure.kinds]
    assert (found[of_kind, 1] < 0.05).all()
    assert (found[of_kind].sum(axis=1) < 0.075).all()
    assert (found[of_kind].sum(axis=1) > 0.02).all()


def test_edges_at_quantiles_of_the_reference_itself_change_nothing() -> None:
    """As references are made: their bins are equally full, and the shares of the world are not. Tolerance as above."""
    rng, found = np.random.default_rng(5), np.zeros((len(MEASURES), 2))
    for _ in range(40):
        rows = rng.random(640)
        edges = np.quantile(rows, np.arange(1, 16) / 16)
        reference = np.bincount(np.searchsorted(edges, rows, side="right"), minlength=16)
        true = np.diff(np.concatenate([[0.0], edges, [1.0]]))
        found += beyond(Kind.ORDINAL, reference, rng.multinomial(100, true, WINDOWS)) / 40
    assert (found[:, 1] < 0.05).all()
    assert (found.sum(axis=1) > 0.02).all()


def test_a_window_of_another_shape_lies_above() -> None:
    reference = np.random.default_rng(0).multinomial(2000, UNIFORM)
    window = np.random.default_rng(1).multinomial(300, np.linspace(0.3, 1.7, 16) / 16)
    interval = null_intervals(Kind.ORDINAL, reference, 2000, np.array(300))
    values = np.array([measure.between(reference, window) for measure in MEASURES])
    assert (values > interval[:, 1]).all()


def test_at_a_power_of_two_the_interval_is_the_quantile_of_fresh_draws() -> None:
    """Against 20,000 other draws; tolerance: the tail that lies beyond is 0.25 % to 0.85 %, where 0.5 % is due."""
    rng = np.random.default_rng(9)
    reference = rng.multinomial(1000, SKEWED)
    shares = reference / 1000
    interval = null_intervals(Kind.ORDINAL, reference, 1000, np.array(64))
    drawn, windows = rng.multinomial(1000, shares, 20_000), rng.multinomial(64, shares, 20_000)
    for k, measure in enumerate(MEASURES):
        assert 0.0025 < (measure.between(drawn, windows) > interval[k, 1]).mean() < 0.0085


def test_more_events_have_a_narrower_interval_until_the_reference_is_all_that_errs() -> None:
    reference = np.random.default_rng(0).multinomial(1000, UNIFORM)
    high = null_intervals(Kind.ORDINAL, reference, 1000, np.array([10, 50, 250, 1250, 10**6, 10**9]))[..., 1]
    assert (np.diff(high[:, 1:], axis=0)[:4] < 0).all()
    np.testing.assert_allclose(high[-1], high[-2], rtol=0.15)


def test_fewer_independent_rows_in_the_reference_have_a_wider_interval() -> None:
    reference = np.random.default_rng(0).multinomial(4000, UNIFORM)
    wide, narrow = (null_intervals(Kind.ORDINAL, reference, rows, np.array(1000)) for rows in (400, 4000))
    assert (wide[:, 1] > narrow[:, 1]).all()


def test_the_same_reference_has_the_same_interval_alone_or_among_others() -> None:
    reference = np.random.default_rng(0).multinomial(1000, UNIFORM)
    events = np.array([[1, 30, 77], [4096, 513, 30]])
    many = null_intervals(Kind.ORDINAL, reference, 1000, events)
    assert many.shape == (2, 3, len(MEASURES), 2)
    for place in np.ndindex(events.shape):
        alone = null_intervals(Kind.ORDINAL, reference.astype(np.int32), 1000, events[place])
        assert many[place].tolist() == alone.tolist()


def test_a_nominal_feature_has_no_interval_of_ordered_measures() -> None:
    interval = null_intervals(Kind.NOMINAL, np.array([500, 300, 200]), 1000, np.array([100]))
    missing = [measure.name for measure, low in zip(MEASURES, interval[0, :, 0], strict=True) if np.isnan(low)]
    assert missing == ["kolmogorov_smirnov", "wasserstein"]


@pytest.mark.parametrize("counts", [[1, 0], [0, 0, 7], [1, 1, 1, 1], [10**9, 0, 1]])
def test_odd_references_have_finite_intervals(counts: list[int]) -> None:
    interval = null_intervals(Kind.ORDINAL, np.array(counts), sum(counts), np.array([1, 2, 3, 10**6]))
    assert np.isfinite(interval).all()
    assert (interval[..., 0] <= interval[..., 1]).all()


def test_no_windows_have_no_intervals() -> None:
    assert null_intervals(Kind.ORDINAL, np.array([5, 5]), 10, np.empty(0, np.int64)).shape == (0, len(MEASURES), 2)


@pytest.mark.parametrize("level", [0.0, 0.004, 0.6, float("nan"), -1.0])
def test_a_level_that_so_few_draws_can_not_give_is_an_error(level: float) -> None:
    assert level < 20 / DRAWS or not level <= 0.5
    with pytest.raises(SettingsError, match="level"):
        null_intervals(Kind.ORDINAL, np.array([5, 5]), 10, np.array([5]), level)
