"""Fleet control: one interval and one rate for many features and cohorts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.features import Feature, Kind
from operators.fleet_control import alarmed, combine, e_bh, e_values, weights

FEATURES = (
    Feature("confidence", "confidence", Kind.ORDINAL, 16),
    Feature("embedding_1", "embedding", Kind.ORDINAL, 8),
    Feature("embedding_2", "embedding", Kind.ORDINAL, 8),
)
nats = st.lists(st.floats(-30, 30) | st.just(-math.inf), min_size=1, max_size=30).map(np.array)


def test_groups_weigh_the_same_and_share_among_their_features() -> None:
    assert weights(FEATURES).tolist() == [0.5, 0.25, 0.25]


def test_features_are_averaged_by_weight() -> None:
    evidence = np.log([[[8.0, 4.0, 12.0]], [[1.0, 1.0, 1.0]]])
    assert np.exp(combine(evidence, FEATURES)) == pytest.approx(np.array([[8.0], [1.0]]))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_combining_is_the_same_to_the_last_bit_for_one_cohort_or_many(seed: int, windows: int, cohorts: int) -> None:
    evidence = np.random.default_rng(seed).normal(size=(windows, cohorts, 3)) * 10
    evidence[0, 0] = -np.inf
    combined = combine(evidence, FEATURES)
    assert combined[0, 0] == -np.inf
    for t, c in np.ndindex(windows, cohorts):
        assert combine(evidence[t, c], FEATURES) == combined[t, c]
    assert np.array_equal(combine(np.asfortranarray(evidence), FEATURES), combined)


@settings(deadline=None)
@given(nats, st.floats(1.0, 1e4))
def test_the_rule_is_the_largest_k_that_passes(log_m: NDArray, interval: float) -> None:
    found = alarmed(log_m, interval)
    count = len(log_m)
    ranked = sorted(log_m.tolist(), reverse=True)
    passing = [k for k in range(1, count + 1) if ranked[k - 1] >= math.log(interval) + np.log(count / k)]
    expected = log_m >= ranked[passing[-1] - 1] if passing else np.zeros(count, bool)
    assert found.tolist() == expected.tolist()
    assert alarmed(log_m[::-1], interval).tolist() == found[::-1].tolist()


@settings(deadline=None)
@given(nats, st.floats(1.0, 1e4), st.integers(0, 50))
def test_no_alarm_before_the_fleets_mean_is_at_the_interval(log_m: NDArray, interval: float, silent: int) -> None:
    cohorts = len(log_m) + silent
    if alarmed(log_m, interval, cohorts).any():
        assert np.exp(log_m).sum() / cohorts >= interval * (1 - 1e-9)


def test_one_cohort_alone_needs_the_evidence_of_the_whole_fleet_and_many_need_less_each() -> None:
    one = np.full(100, -math.inf)
    one[7] = math.log(1000 * 100)
    assert np.flatnonzero(alarmed(one, 1000)).tolist() == [7]
    one[7] = math.log(999 * 100)
    assert not alarmed(one, 1000).any()
    one[:10] = math.log(1000 * 100 / 10)
    assert np.flatnonzero(alarmed(one, 1000)).tolist() == list(range(10))


def test_silent_cohorts_count() -> None:
    log_m = np.array([math.log(1000 * 2)])
    assert alarmed(log_m, 1000).tolist() == [True]
    assert alarmed(log_m, 1000, cohorts=2).tolist() == [True]
    assert alarmed(log_m, 1000, cohorts=3).tolist() == [False]


def test_nobody_is_in_no_alarm() -> None:
    assert alarmed(np.empty(0), 1000).tolist() == []
    assert e_bh(np.empty(0), 0.05).tolist() == []


def test_e_values_by_hand() -> None:
    assert np.exp(e_values(np.log([20.0, 6.0]), np.array([10, 3]))) == pytest.approx([2.0, 2.0])


def test_e_bh_by_hand() -> None:
    # of four: 80 = 4/(0.05·1), 40 = 4/(0.05·2)
    assert e_bh(np.log([79.0, 1.0, 41.0, 2.0]), 0.05).tolist() == [True, False, True, False]
    assert e_bh(np.log([79.0, 1.0, 39.0, 2.0]), 0.05).tolist() == [False] * 4
    assert e_bh(np.log([80.0, 1.0, 39.0, 2.0]), 0.05).tolist() == [True, False, False, False]


def test_false_discoveries_of_dependent_e_values_stay_below_the_level() -> None:
    # Gaussian likelihood ratios of 50 hypotheses that share a common part, 5 of them false
    rng, level, theta = np.random.default_rng(12), 0.2, 2.5
    shares, power = [], []
    for _ in range(2000):
        x = math.sqrt(0.5) * rng.normal() + math.sqrt(0.5) * rng.normal(size=50)
        x[:5] += 4
        found = e_bh(theta * x - theta**2 / 2, level)
        shares.append(found[5:].sum() / max(found.sum(), 1))
        power.append(found[:5].mean())
    assert np.mean(shares) <= level
    assert np.mean(power) > 0.3
    assert np.mean(shares) > 0
