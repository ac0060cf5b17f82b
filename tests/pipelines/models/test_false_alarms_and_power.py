"""On real embeddings: how often a healthy fleet alarms, and how soon smeared lenses are noticed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.calibration import directions, level_for, null
from operators.drift import alarms, evaluate
from operators.panes import panes
from operators.reference import Reference, build
from operators.reference_file import from_parquet_bytes
from operators.statistics import Statistic, embedding_mean_shift
from pipelines.models.device import Said, say
from pipelines.models.digits import frames, heldout
from schemas import bundle
from schemas.bundle import REFERENCE, Bundle
from tests.pipelines.models.conftest import SEED

SITES = 2


@pytest.fixture(scope="module")
def accepted(digits_bundle: Path) -> Bundle:
    return bundle.read(digits_bundle)


@pytest.fixture(scope="module")
def healthy(accepted: Bundle) -> Said:
    return say(accepted, frames(heldout(SEED)[0]))


def resampled(said: Said, size: int, rng: np.random.Generator, reference: Bundle) -> Reference:
    """A reference made of `size` rows drawn from all that a healthy device says."""
    rows = rng.integers(0, len(said.class_id), size)
    m = reference.manifest
    return build(
        model=m.name,
        version=m.version,
        labels=m.labels,
        class_id=said.class_id[rows],
        confidence=said.confidence[rows],
        embeddings=said.embeddings[rows],
        embedding_codec=m.embedding_codec,
    )


def windows(reference: Reference, said: Said, count: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Panes of `count` windows of `rows` rows drawn from what was said."""
    drawn = rng.integers(0, len(said.class_id), count * rows)
    group = np.repeat(np.arange(count, dtype=np.int32), rows)
    return panes(reference, group, count, said.class_id[drawn], said.confidence[drawn], said.embeddings[drawn])


def alarm_count(reference: Reference, counted: NDArray[np.int64], alpha: float) -> int:
    """Alarms of one cohort, over all statistics."""
    found = evaluate(reference, counted, alpha, min_rows=50)
    by_statistic = zip(*found, strict=True)
    return sum(sum(alarms([finding.exceeds for finding in column])) for column in by_statistic)


@pytest.mark.parametrize("rows", [100, 450])
def test_a_healthy_fleet_alarms_no_more_often_than_the_setting(accepted: Bundle, healthy: Said, rows: int) -> None:
    """40 references, each with 2 sites of 60 windows of real embeddings, seeded. The setting is one alarm a day of 60
    windows, so 40 are expected at most; tolerance: 2 to 60 (alarms come in runs, since windows share a reference)."""
    alpha = level_for(1, windows_per_day=60, cohorts=SITES)
    rng = np.random.default_rng(rows)
    found = 0
    for _ in range(40):
        reference = resampled(healthy, 449, rng, accepted)
        found += sum(alarm_count(reference, windows(reference, healthy, 60, rows, rng), alpha) for _ in range(SITES))
    assert 2 <= found <= 60


@pytest.mark.parametrize("rows", [60, 450])
def test_the_gaussian_null_covers_resampled_real_embeddings(accepted: Bundle, healthy: Said, rows: int) -> None:
    """Means of real rows, reference and window both resampled, exceed the 95 % point of the Gaussian null with a
    chance of 5 %; tolerance: 2.5 % to 8 % over 600 pairs."""
    rng, beyond = np.random.default_rng(rows), 0
    for _ in range(100):
        reference = resampled(healthy, 449, rng, accepted)
        limit = np.quantile(null(reference, Statistic.EMBEDDING_MEAN, rows, 4000), 0.95)
        means = [healthy.embeddings[rng.integers(0, len(healthy.class_id), rows)].mean(axis=0) for _ in range(6)]
        shifts = embedding_mean_shift(np.array(means, np.float64), reference.embedding_mean, directions(reference))
        beyond += int((shifts > limit).sum())
    assert 0.025 < beyond / 600 < 0.08


def test_the_bundled_reference_is_silent_on_healthy_devices(accepted: Bundle, healthy: Said) -> None:
    reference = from_parquet_bytes(accepted.contents[REFERENCE])
    alpha = level_for(1, windows_per_day=24 * 60, cohorts=SITES)
    counted = windows(reference, healthy, 240, 120, np.random.default_rng(1))
    assert alarm_count(reference, counted, alpha) <= 1


def smeared(images: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Frames through a greasy lens: a share of the light is spread over the row and its neighbours."""
    sharp = frames(images).astype(np.float64)
    spread = np.mean([np.roll(sharp, shift, axis=2) for shift in range(-16, 17, 4)], axis=0)
    return np.round((1 - strength) * sharp + strength * spread).astype(np.uint8)


@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_smeared_lenses_alarm_within_three_windows(accepted: Bundle, healthy: Said, strength: float) -> None:
    reference = from_parquet_bytes(accepted.contents[REFERENCE])
    rng = np.random.default_rng(2)
    alpha = level_for(1, windows_per_day=24 * 60, cohorts=SITES)
    bad = say(accepted, smeared(heldout(SEED)[0], strength))
    before = windows(reference, healthy, 10, 100, rng)
    after = windows(reference, bad, 10, 100, rng)
    found = evaluate(reference, np.concatenate([before, after]), alpha, min_rows=50)
    first = {
        statistic: alarms([window[at].exceeds for window in found]).index(True)
        for at, statistic in enumerate(Statistic)
        if any(alarms([window[at].exceeds for window in found]))
    }
    assert 11 <= min(first.values()) <= 12
