"""Second opinions: what river is told, and that it is not needed where nobody asks for it."""

import sys

import numpy as np
import pytest
from river import drift

from operators.detectors.adwin import Adwin
from operators.detectors.page_hinkley import PageHinkley
from operators.detectors.registry import detector
from operators.features import Feature, Kind
from operators.statistics import mid_ranks
from schemas.errors import SettingsError

FEATURES = (Feature("confidence", "confidence", Kind.ORDINAL, 6), Feature("classes", "classes", Kind.NOMINAL, 2))
REFERENCE = np.array([10, 200, 300, 0, 400, 90, 700, 300])
OPINIONS = [
    (Adwin, lambda: drift.ADWIN(delta=0.002, clock=1)),
    (PageHinkley, lambda: drift.PageHinkley(delta=0.005, threshold=1.0)),
]


def windows(count: int, shift: float, seed: int) -> np.ndarray:
    shares = (REFERENCE[:6] + 1) * np.exp(shift * np.arange(6))
    return np.random.default_rng(seed).multinomial(80, shares / shares.sum(), count)


@pytest.mark.parametrize(("opinion", "theirs"), OPINIONS)
def test_the_opinion_is_rivers_own_of_the_mean_mid_ranks(opinion: type, theirs: object) -> None:
    counts = np.concatenate([windows(150, 0.0, 1), windows(200, 0.5, 2)])
    stacks = np.concatenate([counts, np.full((350, 2), 40)], axis=1)
    made = opinion(FEATURES, REFERENCE)
    _, evidence = made.fold(made.begin(), stacks, np.ones((350, 2)))
    judge, said = theirs(), []  # type: ignore[operator]
    for mean in (counts * mid_ranks(REFERENCE[:6])).sum(axis=1) / 80:
        judge.update(mean)
        said.append(judge.drift_detected)
    assert any(said)
    assert np.isinf(evidence[:, 0]).tolist() == said
    assert set(evidence[:, 0].tolist()) == {0.0, np.inf}
    assert not evidence[:, 1].any()


@pytest.mark.parametrize(("opinion", "theirs"), OPINIONS)
def test_a_feature_that_the_reference_never_counted_has_no_opinion(opinion: type, theirs: object) -> None:
    made = opinion(FEATURES, np.zeros(8, np.int64))
    _, evidence = made.fold(made.begin(), np.full((50, 8), 9), np.ones((50, 2)))
    assert not evidence.any()


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
def test_without_river_it_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    with pytest.raises(SettingsError, match=rf"{name} needs river: pip install 'gleaner-edge\[opinions\]'"):
        detector(name, FEATURES, REFERENCE, 1000)
    assert detector("shiryaev_roberts", FEATURES, REFERENCE, 1000).name == "shiryaev_roberts"


def test_page_and_hinkley_are_silent_for_30_windows() -> None:
    made = PageHinkley(FEATURES, REFERENCE)
    stacks = np.tile([80, 0, 0, 0, 0, 0, 40, 40], (29, 1))
    stacks[15:, :6] = [0, 0, 0, 0, 0, 80]
    _, evidence = made.fold(made.begin(), stacks, np.ones((29, 2)))
    assert not evidence.any()
