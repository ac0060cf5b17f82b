"""Moved: what a person reads of a change."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.features import Feature, Kind
from operators.moved import MOST, moved

ORDINAL = Feature("confidence", "confidence", Kind.ORDINAL, 4)
NOMINAL = Feature("prediction_mix", "prediction_mix", Kind.NOMINAL, 3)
BOTH = (ORDINAL, NOMINAL)
THREE = (*BOTH, Feature("entropy", "confidence", Kind.ORDINAL, 2))
stacks = st.lists(st.integers(0, 5000), min_size=7, max_size=7).map(np.array)


@settings(deadline=None)
@given(stacks, stacks, st.lists(st.floats(-50, 50) | st.just(-math.inf), min_size=2, max_size=2).map(np.array))
def test_what_holds_of_any_counts(reference: np.ndarray, stack: np.ndarray, evidence: np.ndarray) -> None:
    found = moved(BOTH, reference, stack, evidence)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert sum(one.share for one in found) <= 1 + 1e-9
    for one in found:
        assert all(part.z > 0 and part.log_ratio * part.z >= 0 for part in one.grown)
        assert all(part.z < 0 for part in one.shrunk)
        assert max(len(one.grown), len(one.shrunk)) <= MOST
        assert [abs(part.z) for part in one.grown] == sorted((abs(part.z) for part in one.grown), reverse=True)
        assert (one.mean_shift is None) == (one.spread_ratio is None) == (one.name == "prediction_mix")
        assert all(math.isfinite(part.z + part.log_ratio) for part in one.grown + one.shrunk)


def test_a_change_by_hand() -> None:
    reference = np.array([250, 250, 250, 250, 500, 500, 0, 500, 500])
    stack = np.array([10, 20, 30, 40, 40, 40, 20, 50, 50])
    # confidence and entropy are one group: half the weight of the mix each
    mix, confidence, entropy = moved(THREE, reference, stack, np.log([2.0, 3.0, 1.0]))
    assert (mix.name, mix.share) == ("prediction_mix", pytest.approx(6 / 9))
    assert (confidence.name, confidence.share) == ("confidence", pytest.approx(2 / 9))
    assert (entropy.name, entropy.share) == ("entropy", pytest.approx(1 / 9))
    assert [part.place for part in confidence.grown] == [3, 2]
    assert [part.place for part in confidence.shrunk] == [0, 1]
    assert [part.place for part in mix.grown] == [2]
    top = mix.grown[0]
    assert top.expected == pytest.approx(0.5 / 1001.5)
    assert top.observed == pytest.approx(20.5 / 101.5)
    pooled = 20.5 / 1101.5
    error = math.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 100))
    assert top.z == pytest.approx((20.5 / 101.5 - 0.5 / 1001.5) / error)
    assert top.log_ratio == pytest.approx(math.log(20.5 / 101.5 / (0.5 / 1001.5)))
    # mid-ranks of four equal bins: ±1, ±3 over √5
    ranks, shares = np.array([-3, -1, 1, 3]) / math.sqrt(5), np.array([0.1, 0.2, 0.3, 0.4])
    mean = ranks @ shares
    assert confidence.mean_shift == pytest.approx(mean)
    assert confidence.spread_ratio == pytest.approx(math.sqrt((ranks - mean) ** 2 @ shares))


def test_without_a_change_z_is_standard_normal() -> None:
    rng, z = np.random.default_rng(2), []
    for _ in range(500):
        counts = rng.multinomial(400, np.full(4, 0.25)), rng.multinomial(100, np.full(4, 0.25))
        one = moved((ORDINAL,), *counts, np.zeros(1))[0]
        z += [part.z for part in one.grown + one.shrunk]
    assert np.std(z) == pytest.approx(1.2, abs=0.25)  # of the largest three each way
    assert np.mean(np.abs(z) > 3) < 0.01


def test_features_without_counts_are_left_out() -> None:
    reference = np.array([10, 10, 10, 10, 0, 0, 0])
    assert [one.name for one in moved(BOTH, reference, np.ones(7, np.int64), np.zeros(2))] == ["confidence"]
    assert moved(BOTH, np.ones(7, np.int64), np.zeros(7, np.int64), np.zeros(2)) == ()


def test_no_evidence_has_no_shares() -> None:
    found = moved(BOTH, np.full(7, 10), np.full(7, 10), np.full(2, -np.inf))
    assert [one.share for one in found] == [0.0, 0.0]


def test_a_feature_of_one_bin_has_nothing_to_tell() -> None:
    one = Feature("mix", "mix", Kind.NOMINAL, 1)
    found = moved((one,), np.array([10]), np.array([5]), np.zeros(1))[0]
    assert (found.grown, found.shrunk) == ((), ())
