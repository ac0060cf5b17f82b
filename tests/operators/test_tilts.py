"""Tilts: the alternatives that evidence is measured against."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.features import Feature, Kind
from operators.statistics import smoothed_shares
from operators.tilts import (
    GAINS,
    SHIFTS,
    allowance,
    exponential_tilt,
    scores,
    shifts,
    standard_errors_for,
    tilts,
)

counts = st.lists(st.integers(0, 1000) | st.sampled_from([0, 0, 10**6, 10**9]), min_size=1, max_size=20).map(np.array)
kinds = st.sampled_from(Kind)


def feature(kind: Kind, bins: int) -> Feature:
    return Feature("some", "some", kind, bins)


@settings(deadline=None)
@given(counts, kinds, st.integers(1, 10**6), st.floats(0, 4))
def test_the_mean_ratio_under_the_reference_is_never_above_1(
    reference: NDArray, kind: Kind, rows: int, errors: float
) -> None:
    made = tilts(feature(kind, len(reference)), reference, rows, errors)
    for shares in (smoothed_shares(reference), reference / max(reference.sum(), 1)):
        assert (np.exp(made.log_ratios) @ shares <= 1 + 1e-6).all()


def test_without_an_error_of_the_reference_the_mean_ratio_is_1_where_smoothing_moves_nothing() -> None:
    reference = np.full(16, 10**9)
    made = tilts(feature(Kind.ORDINAL, 16), reference, 10**9, 0)
    assert np.exp(made.log_ratios) @ smoothed_shares(reference) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("rows", [100, 2000, 100_000])
def test_what_never_varies_is_no_evidence_however_long(kind: Kind, rows: int) -> None:
    constant = np.zeros(16, np.int64)
    constant[5] = rows
    made = tilts(feature(kind, 16), constant, rows, 0)
    assert (made.log_ratios[:, 5] <= 1e-6).all()


@settings(deadline=None)
@given(counts, kinds, st.integers(1, 10**6))
def test_whatever_the_reference_ratios_are_finite_and_weights_sum_to_1(
    reference: NDArray, kind: Kind, rows: int
) -> None:
    made = tilts(feature(kind, len(reference)), reference, rows)
    assert np.isfinite(made.log_ratios).all()
    assert made.log_ratios.shape == (len(made.weights), len(reference))
    assert (made.weights > 0).all()
    if len(reference) > 1 and reference.any():
        assert made.weights.sum() == pytest.approx(1)
    else:
        assert len(made.weights) == 0


@settings(deadline=None)
@given(counts)
@example(np.array([10**9] + [0] * 15))
@example(np.array([0] * 15 + [10**9]))
@example(np.array([0, 10**9, 0]))
@example(np.array([10**9, 1, 0, 0, 10**9]))
def test_scores_are_orthonormal_under_the_shares(reference: NDArray) -> None:
    shares = smoothed_shares(reference)
    found = scores(shares)
    assert len(found) <= min(3, len(reference) - 1)
    np.testing.assert_allclose((found * shares) @ found.T, np.eye(len(found)), atol=1e-9)
    np.testing.assert_allclose(found @ shares, 0, atol=1e-9)


def test_scores_of_equal_shares_are_polynomials_of_the_place() -> None:
    linear, quadratic, cubic = scores(np.full(16, 1 / 16))
    place = np.arange(16)
    for degree, score in ((1, linear), (2, quadratic), (3, cubic)):
        fitted = np.polynomial.Polynomial.fit(place, score, degree)
        assert fitted(place) == pytest.approx(score, abs=1e-9)
    assert linear == pytest.approx((place - 7.5) / place.std())


@settings(deadline=None)
@given(counts.filter(lambda some: len(some) > 1), st.floats(0.01, 0.8))
def test_an_exponential_tilt_has_the_mean_that_was_asked_for(reference: NDArray, part: float) -> None:
    shares = smoothed_shares(reference)
    score = scores(shares)[0]
    tilted = exponential_tilt(shares, score, part * score.max())
    assert tilted.sum() == pytest.approx(1)
    assert tilted @ score == pytest.approx(part * score.max(), rel=1e-6)


def test_two_bins_tilt_as_a_coin_does() -> None:
    made = tilts(feature(Kind.ORDINAL, 2), np.array([8000, 2000]), 600, 0)
    p, deviation = 2000.5 / 10001, math.sqrt(2000.5 * 8000.5) / 10001
    # a coin can't lose more than it has: the largest step down ends at a fifth of p
    coins = [max(p + sign * size * deviation, 0.2 * p) for sign in (1, -1) for size in SHIFTS]
    for ratio, q in zip(np.exp(made.log_ratios), coins, strict=True):
        assert ratio == pytest.approx([(1 - q) / (1 - p), q / p], rel=1e-4)


def test_a_class_gains_from_all_others() -> None:
    made = tilts(feature(Kind.NOMINAL, 4), np.array([40, 30, 20, 10]), 100, 0)
    shares = smoothed_shares(np.array([40, 30, 20, 10]))
    gained = np.exp(made.log_ratios) * shares
    expected = (1 - GAINS[0]) * shares + GAINS[0] * np.array([0, 0, 1, 0])
    assert min(np.abs(one - expected).max() for one in gained) < 1e-5


def test_a_class_that_was_never_seen_gains_much_with_its_first_events() -> None:
    reference = np.array([500, 300, 200, 0])
    made = tilts(feature(Kind.NOMINAL, 4), reference, 1000)
    events = np.array([45, 30, 20, 5])
    assert (made.log_ratios @ events).max() > math.log(1000)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), kinds, st.integers(2, 16), st.sampled_from([200, 1000, 5000]))
def test_a_truth_within_the_allowance_is_no_evidence(seed: int, kind: Kind, bins: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    shares = smoothed_shares(rng.multinomial(rows, rng.dirichlet(np.full(bins, 2.0))))
    ratios = np.exp(tilts(feature(kind, bins), np.rint(shares * 1e9).astype(int), rows, 0).log_ratios)
    lowered = np.exp(np.log(ratios) - allowance(shares, ratios, rows, 2)[:, None])
    for ratio, low in zip(ratios, lowered, strict=True):
        # the truth that is 2 standard errors away in the direction this tilt likes best
        truth = shares * (1 + 2 / math.sqrt(rows) * (ratio - ratio @ shares) / np.sqrt(ratio**2 @ shares - 1))
        if (truth >= 0).all():
            assert low @ truth <= 1 + 1e-6


def test_allowance_by_hand() -> None:
    shares, ratios = np.array([0.5, 0.5]), np.array([[1.2, 0.8]])
    expected = math.log1p(1.5 * math.sqrt(0.04 / 400) + 1.5**2 * 1.2 / 2400)
    assert allowance(shares, ratios, 400, 1.5) == pytest.approx([expected])


def test_a_larger_reference_resolves_smaller_shifts() -> None:
    assert shifts(1000) == (0.25, 0.5, 1.0)
    assert shifts(3000) == (0.125, 0.25, 0.5, 1.0)
    assert shifts(10_000) == (0.0625, 0.125, 0.25, 0.5, 1.0)


def test_a_longer_interval_allows_for_a_larger_error_and_a_larger_reference_for_less() -> None:
    assert standard_errors_for(4000, 1000) == pytest.approx(math.sqrt(math.log(2)))
    assert standard_errors_for(10**6, 1000) > standard_errors_for(10**4, 1000) > standard_errors_for(10**4, 5000) > 0
