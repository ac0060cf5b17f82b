"""On real embeddings: how often a healthy fleet alarms, and how soon smeared lenses are noticed."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.fleet_control import alarmed
from operators.judge import Basis
from operators.panes import count, layout_of, positions
from operators.reference import Reference
from operators.reference_file import from_parquet_bytes
from operators.scale import Scale
from operators.series import Series, fold
from pipelines.models.assemble import rows_of
from pipelines.models.device import say
from pipelines.models.digits import frames, heldout
from pipelines.models.fit import Rows, accept, columns_of
from schemas import bundle
from schemas.bundle import REFERENCE, Bundle
from tests.pipelines.models.conftest import SEED

Ints = NDArray[np.int64]

SITES = 2
FIRST = 2_000  # events, as by default
A_MONTH = 30 * 144.0  # windows of ten minutes


@pytest.fixture(scope="module")
def accepted(digits_bundle: Path) -> Bundle:
    return bundle.read(digits_bundle)


@pytest.fixture(scope="module")
def bundled(accepted: Bundle) -> Reference:
    return from_parquet_bytes(accepted.contents[REFERENCE])


@pytest.fixture(scope="module")
def healthy(accepted: Bundle) -> Rows:
    return seen(accepted, frames(heldout(SEED)[0]))


def seen(accepted: Bundle, images: NDArray[np.uint8]) -> Rows:
    return rows_of(accepted.manifest, say(accepted, images))


def draw(rows: Rows, size: int, rng: np.random.Generator) -> Rows:
    """So many of the rows, with replacement."""
    at = rng.integers(0, len(rows.class_id), size)
    columns: dict[str, Any] = {each.name: getattr(rows, each.name) for each in fields(rows)}
    return Rows(**{name: each if name == "codec" else each[at] for name, each in columns.items()})


def windows(scale: Scale, rows: Rows, count_of: int, size: int, rng: np.random.Generator) -> Ints:
    """Panes of `count_of` windows of `size` rows, drawn from what was said."""
    columns = columns_of(draw(rows, count_of * size, rng), scale)
    group = np.repeat(np.arange(count_of), size)
    event = np.ones(len(group), bool)
    return count(scale, columns, positions(scale, columns), event, group, count_of)


def first_alarm(reference: Reference, cohorts: list[Ints], interval: float) -> int | None:
    """The first window at which any cohort is in alarm."""
    given = reference.pane[layout_of(reference.scale).stack]
    events = interval * np.sum([panes[:, layout_of(reference.scale).events].mean() for panes in cohorts])
    basis = Basis(reference.scale, reference, given, FIRST, np.inf, events)
    total = [fold(Series(panes=dict(enumerate(panes))), basis, range(len(panes)), 0).total for panes in cohorts]
    found = [at for at, now in enumerate(np.stack(total, axis=1)) if alarmed(now, interval, SITES).any()]
    return found[0] if found else None


@pytest.mark.parametrize("size", [100, 450])
def test_a_healthy_fleet_alarms_no_more_often_than_the_setting(
    accepted: Bundle, bundled: Reference, healthy: Rows, size: int
) -> None:
    """60 references of 449 rows drawn from all that a healthy device says, each with 2 sites of 60 windows, seeded. The
    setting is an alarm in 600 windows, so that at most 6 of 60 fleets may alarm within 60; tolerance: 12."""
    rng = np.random.default_rng(size)
    found = 0
    for _ in range(60):
        drawn = draw(healthy, 449, rng)
        m = accepted.manifest
        reference = accept(model=m.name, version=m.version, labels=m.labels, rows=drawn, scale=bundled.scale)
        cohorts = [windows(bundled.scale, healthy, 60, size, rng) for _ in range(SITES)]
        found += first_alarm(reference, cohorts, 600) is not None
    assert found <= 12


def test_the_bundled_reference_is_silent_on_healthy_devices(bundled: Reference, healthy: Rows) -> None:
    rng = np.random.default_rng(1)
    cohorts = [windows(bundled.scale, healthy, 144, 120, rng) for _ in range(SITES)]
    assert first_alarm(bundled, cohorts, A_MONTH) is None


def smeared(images: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Frames through a greasy lens: a share of the light is spread over the row and its neighbours."""
    sharp = frames(images).astype(np.float64)
    spread = np.mean([np.roll(sharp, shift, axis=2) for shift in range(-16, 17, 4)], axis=0)
    return np.round((1 - strength) * sharp + strength * spread).astype(np.uint8)


@pytest.mark.parametrize("strength", [0.5, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_smeared_lenses_alarm_within_three_windows(
    accepted: Bundle, bundled: Reference, healthy: Rows, strength: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bad = seen(accepted, smeared(heldout(SEED)[0], strength))
    well = [windows(bundled.scale, healthy, 10, 100, rng) for _ in range(SITES)]
    after = windows(bundled.scale, bad, 10, 100, rng), windows(bundled.scale, healthy, 10, 100, rng)
    cohorts = [np.concatenate(parts) for parts in zip(well, after, strict=True)]
    at = first_alarm(bundled, cohorts, A_MONTH)
    assert at is not None
    assert 10 <= at <= 12
