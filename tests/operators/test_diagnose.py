"""Diagnoses: every measure beside its interval, and nothing where there is nothing to compare."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.diagnose import diagnose
from operators.features import Feature, Kind
from operators.measures import MEASURES
from operators.nulls import null_intervals
from operators.statistics import kolmogorov_smirnov

FEATURES = (
    Feature("confidence", "confidence", Kind.ORDINAL, 16),
    Feature("classes", "classes", Kind.NOMINAL, 5),
    Feature("embedding_1", "embedding", Kind.ORDINAL, 8),
)
ROWS = 1000


def stacks(rng: np.random.Generator, events: int, shape: tuple[int, ...] = ()) -> NDArray:
    drawn = [rng.multinomial(events, np.full(feature.bins, 1 / feature.bins), shape) for feature in FEATURES]
    return np.concatenate(drawn, axis=-1)


@pytest.fixture
def reference() -> NDArray:
    return stacks(np.random.default_rng(0), ROWS)


def test_values_and_intervals_are_those_of_the_measures(reference: NDArray) -> None:
    windows = stacks(np.random.default_rng(1), 120, (3,))
    found = diagnose(FEATURES, reference, ROWS, windows)["kolmogorov_smirnov"]
    assert found.value[:, 2].tolist() == kolmogorov_smirnov(reference[21:], windows[:, 21:]).tolist()
    interval = null_intervals(Kind.ORDINAL, reference[21:], ROWS, np.array(120))
    names = [measure.name for measure in MEASURES]
    assert [found.low[0, 2], found.high[0, 2]] == interval[names.index("kolmogorov_smirnov")].tolist()


def test_one_window_reads_the_same_as_among_many_of_many_cohorts(reference: NDArray) -> None:
    rng = np.random.default_rng(2)
    windows = np.stack([stacks(rng, events, (4,)) for events in (1, 30, 100, 5000, 77)])
    many = diagnose(FEATURES, reference, ROWS, windows)
    for place in np.ndindex(windows.shape[:2]):
        alone = diagnose(FEATURES, reference, ROWS, windows[place])
        for name, found in many.items():
            for part in ("value", "low", "high"):
                np.testing.assert_array_equal(getattr(found, part)[place], getattr(alone[name], part))


def test_healthy_windows_lie_within_and_drifted_ones_above(reference: NDArray) -> None:
    rng = np.random.default_rng(3)
    healthy = diagnose(FEATURES, reference, ROWS, stacks(rng, 100, (400,)))
    for found in healthy.values():
        assert np.nanmean((found.value > found.high)[:, 0]) < 0.03
    drifted = stacks(rng, 100, (50,))
    drifted[:, :6] = 0
    for found in diagnose(FEATURES, reference, ROWS, drifted).values():
        assert (found.value > found.high)[:, 0].mean() > 0.95


def test_what_can_not_be_compared_is_nan_without_a_warning(reference: NDArray) -> None:
    windows = np.stack([stacks(np.random.default_rng(4), 50), np.zeros(29, np.int64)])
    windows[0, 16:21] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = diagnose(FEATURES, reference, ROWS, windows)["population_stability"]
        none = diagnose(FEATURES, np.zeros(29, np.int64), ROWS, windows)
    assert np.isnan(found.value).tolist() == [[False, True, False], [True, True, True]]
    assert np.isnan(found.high).tolist() == np.isnan(found.value).tolist()
    assert all(np.isnan(measure.value).all() for measure in none.values())


def test_a_nominal_feature_has_no_ordered_measures(reference: NDArray) -> None:
    found = diagnose(FEATURES, reference, ROWS, stacks(np.random.default_rng(5), 50))
    assert [name for name, measure in found.items() if np.isnan(measure.value[1])] == [
        "kolmogorov_smirnov",
        "wasserstein",
    ]


def test_no_windows_give_no_rows(reference: NDArray) -> None:
    found = diagnose(FEATURES, reference, ROWS, np.empty((0, 29), np.int64))
    assert found["wasserstein"].value.shape == (0, 3)
