"""The Shiryaev-Roberts detector: its evidence, its null, its power."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.detectors import Detector
from operators.detectors.shiryaev_roberts import STEPS_PER_NAT, ShiryaevRoberts
from operators.features import Feature, Kind
from operators.fleet_control import combine
from operators.tilts import standard_errors_for, tilts
from schemas.errors import SettingsError

FEATURES = (
    Feature("confidence", "confidence", Kind.ORDINAL, 16),
    Feature("embedding_1", "embedding", Kind.ORDINAL, 8),
    Feature("embedding_2", "embedding", Kind.ORDINAL, 8),
    Feature("prediction_mix", "prediction_mix", Kind.NOMINAL, 5),
)
WIDTH = 37


def draw(seed: int, events: int, *shape: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.multinomial(events, np.full(f.bins, 1 / f.bins), shape) for f in FEATURES], axis=-1)


def detector(**settings: float) -> ShiryaevRoberts:
    return ShiryaevRoberts(FEATURES, draw(99, 1000), 1000, **settings)


def ones(stacks: NDArray[np.int64], features: int = len(FEATURES)) -> NDArray[np.float64]:
    return np.ones((*stacks.shape[:-1], features))


def test_it_is_a_detector() -> None:
    one: Detector[NDArray[np.float64]] = detector()
    assert one.name == "shiryaev_roberts"


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(0, 2000),
    st.integers(1, 9),
    st.sampled_from([math.inf, 3.0]),
)
def test_evidence_is_the_same_to_the_last_bit_in_any_batch(
    seed: int, windows: int, cohorts: int, events: int, cut: int, cap: float
) -> None:
    stacks = draw(seed, events, windows, cohorts)
    phi = 1 + np.random.default_rng(seed).random((windows, cohorts, len(FEATURES))) * 3
    one = detector(cap_nats=cap)
    state, evidence = one.fold(one.begin(), stacks, phi)
    first, before = one.fold(one.begin(), stacks[:cut], phi[:cut])
    second, after = one.fold(first, stacks[cut:], phi[cut:])
    assert np.array_equal(np.concatenate([before, after]), evidence)
    assert np.array_equal(np.broadcast_to(second, state.shape), state)
    for cohort in range(cohorts):
        alone, single = one.fold(one.begin(), stacks[:, cohort], phi[:, cohort])
        assert np.array_equal(single, evidence[:, cohort])
        assert np.array_equal(alone, state[cohort])
    backwards, mirrored = one.fold(one.begin(), np.asfortranarray(stacks[:, ::-1]), phi[:, ::-1])
    assert np.array_equal(mirrored[:, ::-1], evidence)
    assert np.array_equal(backwards[::-1], state)


def test_log_ratios_are_whole_steps_summed_exactly() -> None:
    one, stack = detector(), draw(3, 12_345, 1)
    exact = []
    for feature, place in zip(FEATURES, one.places, strict=True):
        table = tilts(feature, draw(99, 1000)[place], 1000).log_ratios
        for row in table:
            steps = [math.floor(value * STEPS_PER_NAT) for value in row]
            exact.append(sum(int(n) * step for n, step in zip(stack[0, place], steps, strict=True)) / STEPS_PER_NAT)
    assert one.log_ratios(stack, ones(stack))[0].tolist() == exact


def test_the_recursion_by_hand() -> None:
    one, stacks = detector(), draw(5, 30, 6)
    ratios = np.exp(one.log_ratios(stacks, ones(stacks)))
    own = one.components[0]
    weights = tilts(FEATURES[0], draw(99, 1000)[:16], 1000).weights
    m, expected = np.zeros(own.stop - own.start), []
    for ratio in ratios:
        m = ratio[own] * (m + 1)
        expected.append(math.log(weights @ m))
    assert one.fold(one.begin(), stacks, ones(stacks))[1][:, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("kind", "bins"), [(Kind.ORDINAL, 2), (Kind.NOMINAL, 2), (Kind.ORDINAL, 3), (Kind.NOMINAL, 3)])
def test_where_nothing_changes_the_mean_after_t_windows_is_t(kind: Kind, bins: int) -> None:
    # all outcomes of 3 windows of 2 events, by their exact chance: none of it is drawn
    features, reference = (Feature("some", "some", kind, bins),), np.array([30, 60, 10][:bins])
    one = ShiryaevRoberts(features, reference, 100, standard_errors=0)
    shares = reference / reference.sum()  # not smoothed: it is the truth
    outcomes = np.array(list(itertools.product(range(bins), repeat=6)))
    chance = shares[outcomes].prod(axis=1)
    stacks = np.eye(bins, dtype=np.int64)[outcomes].reshape(-1, 3, 2, bins).sum(axis=2).transpose(1, 0, 2)
    _, evidence = one.fold(one.begin(), stacks, ones(stacks, 1))
    means = np.exp(evidence[..., 0]) @ chance
    assert means == pytest.approx([1, 2, 3], rel=0.02)  # less by what smoothing moved to other bins
    assert (means <= [1, 2, 3]).all()


def test_dispersion_divides_the_evidence_of_each_event() -> None:
    one, stacks = detector(), draw(8, 60, 4)
    assert one.log_ratios(stacks * 3, 3 * ones(stacks)) == pytest.approx(one.log_ratios(stacks, ones(stacks)))


def test_a_window_without_events_of_a_feature_leaves_its_evidence() -> None:
    one, stacks = detector(), draw(6, 40, 3)
    stacks[1, :16] = 0
    _, evidence = one.fold(one.begin(), stacks, ones(stacks))
    assert evidence[1, 0] == evidence[0, 0]
    assert evidence[1, 1] != evidence[0, 1]
    nothing = np.zeros((2, 3, WIDTH), np.int64)
    state, silent = one.fold(one.begin(), nothing, ones(nothing))
    assert (silent == -np.inf).all()
    assert (state == -np.inf).all()


def test_no_windows_leave_the_state_as_it_is() -> None:
    one = detector()
    before, _ = one.fold(one.begin(), draw(7, 40, 2, 3), np.ones((2, 3, len(FEATURES))))
    after, evidence = one.fold(before, np.empty((0, 3, WIDTH), np.int64), np.empty((0, 3, len(FEATURES))))
    assert np.array_equal(after, before)
    assert evidence.shape == (0, 3, len(FEATURES))


def test_a_state_that_was_given_stays_as_it_was() -> None:
    one, stacks = detector(), draw(7, 40, 2, 3)
    before, _ = one.fold(one.begin(), stacks, ones(stacks))
    kept = before.copy()
    after, _ = one.fold(before, stacks, ones(stacks))
    assert np.array_equal(before, kept)
    assert after.base is None  # what is kept does not hold on to all windows


def test_capped_evidence_falls_soon_after_the_world_is_as_before() -> None:
    drifted = draw(1, 100, 50)
    drifted[:, :16] = [0] * 12 + [25] * 4
    stacks = np.concatenate([drifted, draw(2, 100, 60)])
    capped, free = (detector(cap_nats=cap) for cap in (12.0, math.inf))
    low = capped.fold(capped.begin(), stacks, ones(stacks))[1]
    high = free.fold(free.begin(), stacks, ones(stacks))[1]
    assert (low <= high).all()
    assert low[:, 0].max() >= 12.0
    assert low[:, 0].max() <= 12.0 + math.log(12)
    assert low[109, 0] < 3.0 < 1000 < high[109, 0]


def test_a_feature_that_the_reference_did_not_count_is_silent() -> None:
    reference = draw(99, 1000)
    reference[:16] = 0
    one, stacks = ShiryaevRoberts(FEATURES, reference, 1000), draw(4, 50, 3)
    evidence = one.fold(one.begin(), stacks, ones(stacks))[1]
    assert (evidence[:, 0] == -np.inf).all()
    assert np.isfinite(evidence[:, 1:]).all()
    assert np.isfinite(combine(evidence, FEATURES)).all()


def test_a_feature_of_one_bin_is_silent() -> None:
    features = (Feature("prediction_mix", "prediction_mix", Kind.NOMINAL, 1),)
    one, stacks = ShiryaevRoberts(features, np.array([100]), 100), np.full((2, 1), 50)
    assert (one.fold(one.begin(), stacks, ones(stacks, 1))[1] == -np.inf).all()


@pytest.mark.parametrize(
    ("features", "stack", "rows"),
    [
        ((), np.empty(0, np.int64), 10),
        (FEATURES, np.ones(WIDTH - 1, np.int64), 10),
        (FEATURES, np.ones((2, WIDTH), np.int64), 10),
        (FEATURES, np.ones(WIDTH, np.int64), 0),
        (FEATURES, -np.ones(WIDTH, np.int64), 10),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(
    features: tuple[Feature, ...], stack: NDArray[np.int64], rows: int
) -> None:
    with pytest.raises(SettingsError, match="a reference"):
        ShiryaevRoberts(features, stack, rows)


def run_length(rows: int, interval: int, window: int, features: tuple[Feature, ...], seed: int) -> float:
    """Mean events between false alarms, of 60 streams with a reference each; at least, with 97.5 % confidence."""
    rng = np.random.default_rng(seed)
    alarms, events = 0, 0
    for _ in range(60):
        shares = [rng.dirichlet(np.full(f.bins, 5.0)) for f in features]
        reference = np.concatenate([rng.multinomial(rows, p) for p in shares])
        one = ShiryaevRoberts(features, reference, rows, standard_errors=standard_errors_for(interval, rows))
        stacks = np.concatenate([rng.multinomial(window, p, 20_000 // window) for p in shares], axis=1)
        events += 20_000
        while len(stacks):
            evidence = combine(one.fold(one.begin(), stacks, ones(stacks, len(features)))[1], features)
            over = np.flatnonzero(evidence >= math.log(interval / window))
            alarms += len(over) > 0
            stacks = stacks[over[0] + 1 :] if len(over) else stacks[:0]
    return events / (alarms + 2 * math.sqrt(alarms) + 4)  # above the exact bound of a Poisson count


@pytest.mark.parametrize("rows", [500, 2000])
@pytest.mark.parametrize("features", [FEATURES, FEATURES[:1], FEATURES[3:], (Feature("b", "b", Kind.ORDINAL, 2),)])
def test_the_interval_between_false_alarms_is_at_least_what_was_set(rows: int, features: tuple[Feature, ...]) -> None:
    assert run_length(rows, 2000, 50, features, seed=rows) >= 0.8 * 2000


def test_a_shift_of_half_a_deviation_is_found_within_200_events() -> None:
    rng, found = np.random.default_rng(17), 0
    edges = np.quantile(rng.normal(size=1000), np.arange(1, 16) / 16)
    reference = np.bincount(np.searchsorted(edges, rng.normal(size=1000)), minlength=16)
    one = ShiryaevRoberts(FEATURES[:1], reference, 1000)
    for _ in range(100):
        bins = np.searchsorted(edges, rng.normal(0.5, size=200)).reshape(4, 50)
        stacks = np.stack([np.bincount(row, minlength=16) for row in bins])
        found += one.fold(one.begin(), stacks, ones(stacks, 1))[1].max() >= math.log(10_000 / 50)
    assert found >= 95
