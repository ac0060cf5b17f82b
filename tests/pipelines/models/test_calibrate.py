"""Temperature and calibration error: known answers and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from pipelines.models.calibrate import expected_calibration_error, negative_log_likelihood, temperature


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), true=st.floats(0.3, 4))
def test_the_temperature_is_the_optimum_that_scipy_finds(seed: int, true: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (500, 4))
    labels = np.array([rng.choice(4, p=p / p.sum()) for p in softmax(logits / true).astype(float)])
    found = temperature(softmax(logits), labels)
    best = minimize_scalar(
        lambda t: negative_log_likelihood(logits / np.exp(t), labels), bounds=(-3, 3), method="bounded"
    )
    assert found == pytest.approx(np.exp(best.x), rel=0.01)


def test_labels_drawn_from_the_probabilities_give_a_temperature_near_1() -> None:
    """Tolerance: 5 % over 20,000 rows."""
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(0, 2, (20_000, 3)))
    labels = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(0, 2)
    assert temperature(probabilities, labels) == pytest.approx(1, rel=0.05)
    said = expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    assert said < 0.02


def test_probabilities_of_0_and_1_are_taken() -> None:
    certain = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    assert 0.05 <= temperature(certain, np.array([0, 1, 2, 2])) <= 20
    assert temperature(certain, np.array([0, 1, 2, 1])) > 5


def test_the_calibration_error_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.6, 0.6], np.float32)
    assert expected_calibration_error(confidence, np.array([True, True, True, False])) == pytest.approx(0.1, abs=1e-6)
    assert expected_calibration_error(np.ones(4, np.float32), np.zeros(4, bool)) == 1
