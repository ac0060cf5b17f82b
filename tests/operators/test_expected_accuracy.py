"""Expected accuracy: exact where the world is as it was, and put right by labels where it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from operators.expected_accuracy import (
    Accuracies,
    accuracies,
    anchored,
    expected_accuracy,
    pool_adjacent_violators,
)
from schemas.errors import BundleError

BINS = 16
EDGES = np.linspace(0, 1, BINS + 1)[1:-1]
TRUE = np.linspace(0.1, 0.99, BINS)
SHARES = np.arange(1, BINS + 1) / np.arange(1, BINS + 1).sum()
counted = st.lists(st.integers(0, 500), min_size=BINS, max_size=BINS).map(np.array)


def known_from(rng: np.random.Generator, rows: int = 600) -> Accuracies:
    counts = rng.multinomial(rows, SHARES)
    found = accuracies(counts, rng.binomial(counts, TRUE), EDGES)
    assert found is not None
    return found


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30), seed=st.integers(0, 2**32 - 1))
def test_pooled_values_are_those_of_sklearn(values: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.5, 50, len(values))
    blocks = pool_adjacent_violators(np.array(values), weights)
    starts = [start for start, _, _ in blocks]
    ours = np.repeat([value for _, value, _ in blocks], np.diff([*starts, len(values)]))
    theirs = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert sum(weight for _, _, weight in blocks) == pytest.approx(weights.sum())


@settings(deadline=None)
@given(counts=counted, seed=st.integers(0, 2**32 - 1))
def test_accuracies_never_fall_with_confidence_nor_reach_0_or_1(counts: NDArray, seed: int) -> None:
    correct = np.random.default_rng(seed).integers(0, counts + 1)
    found = accuracies(counts, correct, EDGES)
    assert found is not None
    assert (np.diff(found.bins) >= 0).all()
    assert ((found.bins > 0) & (found.bins < 1)).all()
    assert (found.variances > 0).all()


def test_bins_that_the_reference_never_saw_are_as_good_as_they_say() -> None:
    found = accuracies(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), EDGES)
    assert found is not None
    assert found.bins == pytest.approx((np.arange(BINS) + 0.5) / BINS)


def test_without_labels_there_is_no_expectation() -> None:
    assert accuracies(np.full(BINS, 9), np.empty(0, np.int64), EDGES) is None


@pytest.mark.parametrize("correct", [np.full(BINS, 10), np.full(BINS, -1), np.full(3, 1)])
def test_more_correct_rows_than_rows_are_an_error(correct: NDArray) -> None:
    with pytest.raises(BundleError, match="correct"):
        accuracies(np.full(BINS, 9), correct, EDGES)


@pytest.mark.parametrize("tilt", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("rows", [30, 100, 1000])
def test_the_error_is_that_of_windows_and_references_drawn_anew(rows: int, tilt: float) -> None:
    """400 references with one window each, of easier or harder rows too. Tolerance: mean error within 2 points (what
    the prior and the order cost), and 92 % to 99.5 % within two standard errors."""
    rng = np.random.default_rng(rows)
    shares = SHARES * np.exp(tilt * np.arange(BINS) / BINS)
    found = []
    for _ in range(400):
        window = rng.multinomial(rows, shares / shares.sum())
        truth = rng.binomial(window, TRUE).sum() / rows
        expected = expected_accuracy(known_from(rng), window)
        found.append((expected.value - truth, expected.error))
    apart, error = np.array(found).T
    assert abs(apart.mean()) < 0.02
    assert 0.92 < (np.abs(apart) < 2 * error).mean() < 0.995


def test_many_windows_read_the_same_as_one_and_empty_ones_are_nan() -> None:
    rng = np.random.default_rng(0)
    known = known_from(rng)
    windows = rng.multinomial(80, SHARES, (3, 4))
    windows[1, 2] = 0
    many = expected_accuracy(known, windows)
    for place in np.ndindex(windows.shape[:2]):
        alone = expected_accuracy(known, windows[place])
        np.testing.assert_array_equal([many.value[place], many.error[place]], [alone.value, alone.error])
    assert np.isnan(many.value).sum() == np.isnan(many.error).sum() == 1


def test_without_labels_an_anchor_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    known, none = known_from(rng), np.zeros((5, BINS), np.int64)
    windows = rng.multinomial(80, SHARES, 5)
    windows[3] = 0
    alone, held = expected_accuracy(known, windows), anchored(known, windows, none, none)
    np.testing.assert_array_equal(held.value, alone.value)
    np.testing.assert_array_equal(held.error, alone.error)


@settings(deadline=None)
@given(counts=counted.filter(np.any), seed=st.integers(0, 2**32 - 1))
def test_with_every_row_labelled_the_value_is_the_truth_and_the_error_0(counts: NDArray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    correct = rng.integers(0, counts + 1)
    held = anchored(known_from(rng), counts, counts, correct)
    assert held.value == pytest.approx(correct.sum() / counts.sum(), abs=1e-9)
    assert held.error == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(counts=counted.filter(np.any), seed=st.integers(0, 2**32 - 1))
def test_an_anchored_value_is_an_accuracy(counts: NDArray, seed: int) -> None:
    """Labels of rows that are no events may be more than the events."""
    rng = np.random.default_rng(seed)
    labelled = rng.integers(0, 600, BINS) * (rng.random(BINS) < 0.5)
    held = anchored(known_from(rng), counts, labelled, rng.integers(0, labelled + 1))
    assert 0 <= held.value <= 1
    assert 0 <= held.error <= 0.6


@pytest.mark.parametrize(("labels", "within"), [(10, 0.15), (50, 0.075), (200, 0.025)])
def test_labels_of_doubtful_rows_put_a_changed_world_right(labels: int, within: float) -> None:
    """Every bin is right by 20 points less than it was; without labels that is the mean error. 200 windows of 400
    rows, of which the doubtful are labelled four times as often. Tolerance: mean absolute error, and how often two
    standard errors hold it, 70 % with ten labels and 82 % with more; the share of right labels alone is too low by
    more than 4 points."""
    rng = np.random.default_rng(1000 + labels)
    changed = np.clip(TRUE - 0.2, 0, 1)
    odds = np.linspace(4, 1, BINS)
    found = []
    for _ in range(200):
        window = rng.multinomial(400, SHARES)
        right = rng.binomial(window, changed)
        every = np.repeat(np.arange(BINS), window)
        said = np.concatenate([np.arange(n) < k for n, k in zip(window, right, strict=True)])
        chosen = rng.choice(400, labels, replace=False, p=odds[every] / odds[every].sum())
        labelled = np.bincount(every[chosen], minlength=BINS)
        correct = np.bincount(every[chosen][said[chosen]], minlength=BINS)
        held = anchored(known_from(rng), window, labelled, correct)
        found.append((held.value - right.sum() / 400, held.error, said[chosen].mean() - right.sum() / 400))
    apart, error, naive = np.array(found).T
    assert np.abs(apart).mean() < within
    assert (np.abs(apart) < 2 * error).mean() > (0.7 if labels == 10 else 0.82)
    assert naive.mean() < -0.04


def test_a_few_labels_move_a_little_and_many_move_all_the_way() -> None:
    known = known_from(np.random.default_rng(0))
    window = np.full(BINS, 100)
    alone = float(expected_accuracy(known, window).value)
    moved = []
    for labels in (1, 5, 50):
        labelled = np.full(BINS, labels)
        wrong = anchored(known, window, labelled, np.zeros(BINS, np.int64))
        moved.append(alone - float(wrong.value))
    assert 0 < moved[0] < moved[1] < moved[2] == pytest.approx(alone, abs=0.01)


def test_one_right_label_hardly_moves_what_was_expected() -> None:
    known, window, one = known_from(np.random.default_rng(0)), np.full(BINS, 100), np.zeros(BINS, np.int64)
    one[-1] = 1
    alone, held = expected_accuracy(known, window), anchored(known, window, one, one)
    assert abs(held.value - alone.value) < 0.01
    assert held.error > alone.error
