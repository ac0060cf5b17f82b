"""A reference is counts: it merges in any order, stands on one scale, and refuses what can't be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.panes import Columns, count, layout_of, positions
from operators.reference import Reference, merge, same_scale
from operators.reference_check import check
from operators.scale import BINS, Scale
from operators.space import WAVE_UNIT, WAVES
from pipelines.models.fit import columns_of
from schemas.embedding import Codec
from schemas.errors import BundleError
from tests.operators.references import (
    LABELS,
    draw_rows,
    reference_of,
    same,
    small_reference,
    take,
    truth_of,
    without_embedding,
)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 300), cut=st.floats(0.01, 0.99), dims=st.sampled_from([0, 1, 6])
)
def test_parts_merge_to_the_reference_of_all_rows_in_either_order(seed: int, n: int, cut: float, dims: int) -> None:
    rows, scale = draw_rows(n, seed, dims), small_reference(dims=dims).scale
    truth, at = truth_of(rows, seed), min(max(round(n * cut), 1), n - 1)
    parts = slice(0, at), slice(at, None)
    a, b = (reference_of(take(rows, part), scale, truth=truth[part]) for part in parts)
    whole = reference_of(rows, scale, truth=truth)
    assert same(merge(a, b), whole)
    assert same(merge(b, a), whole)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 2500))
def test_the_order_of_rows_does_not_matter(seed: int, n: int) -> None:
    rows, scale = draw_rows(n, seed), small_reference().scale
    order = np.random.default_rng(seed).permutation(n)
    truth = truth_of(rows, seed)
    shuffled = reference_of(take(rows, order), scale, truth=truth[order])
    assert same(reference_of(rows, scale, truth=truth), shuffled)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200))
def test_a_window_of_the_very_rows_counts_what_the_reference_does(seed: int, n: int) -> None:
    rows, scale = draw_rows(n, seed), small_reference().scale
    reference = reference_of(rows, scale)
    [window] = window_of(scale, columns_of(rows, scale))
    for name in ("latency", "quality"):
        assert window[layout_of(scale).at[name]].sum() == n
        window[layout_of(scale).at[name]] = 0
    assert np.array_equal(window, reference.pane)


def window_of(scale: Scale, columns: Columns) -> np.ndarray[Any, np.dtype[np.int64]]:
    n = len(columns.class_id)
    return count(scale, columns, positions(scale, columns), np.ones(n, bool), np.zeros(n, np.int64), 1)


def test_every_feature_but_latency_and_quality_is_counted() -> None:
    reference = small_reference()
    counted = {feature.name: int(reference.counts(feature.name).sum()) for feature in reference.scale.features}
    assert {name for name, rows in counted.items() if rows == 0} == {"latency", "quality"}
    assert reference.rows == reference.events == 2000
    unseen = int(reference.pane[layout_of(reference.scale).waved])
    assert unseen == 1333  # the space was fitted to the other third
    of_embedding = set(reference.scale.of_embedding)
    assert {name: rows for name, rows in counted.items() if rows} == {
        name: unseen if name in of_embedding else 2000 for name in counted if name not in ("latency", "quality")
    }


def test_the_panes_of_the_classes_are_those_of_their_rows() -> None:
    rows, scale = draw_rows(500), small_reference().scale
    reference = reference_of(rows, scale)
    of_two = reference_of(take(rows, rows.class_id == 2), scale)
    assert np.array_equal(reference.by_class[2], of_two.pane)
    assert reference.counts("prediction_mix").tolist() == np.bincount(rows.class_id, minlength=5).tolist()


def test_correct_rows_are_counted_by_confidence() -> None:
    rows = draw_rows(1000)
    truth = truth_of(rows)
    reference = reference_of(rows, truth=truth)
    place = np.searchsorted(reference.scale.confidence_edges, rows.confidence, side="right")
    for bin in range(BINS):
        inside = place == bin
        assert reference.labelled[bin] == inside.sum()
        assert reference.correct[bin] == (rows.class_id == truth)[inside].sum()


def test_without_labels_nobody_knows_what_is_correct() -> None:
    reference = reference_of(draw_rows(50), truth=None)
    assert (len(reference.labelled), len(reference.correct)) == (0, 0)


def test_without_an_embedding_there_are_no_waves() -> None:
    reference = reference_of(without_embedding(draw_rows(9)))
    layout = layout_of(reference.scale)
    assert (reference.scale.space, reference.wave_products.shape) == (None, (0, 0))
    assert layout.waves.stop - layout.waves.start == 0


def test_wave_products_are_those_of_the_waves() -> None:
    """Against the plain formula in floating point: √2 · cos(w·z + b)."""
    rows = draw_rows(300)
    reference = reference_of(rows)
    space = reference.scale.space
    assert space is not None
    unseen = rows.embeddings[np.arange(300) % 3 > 0]
    cells = space.locate(unseen).cells.astype(np.float64)
    waves = np.sqrt(2) * np.cos(2 * np.pi * (cells @ space.waves + space.phases) / 4096)
    np.testing.assert_allclose(reference.wave_products * WAVE_UNIT**2, waves.T @ waves, atol=300 * 0.003)
    assert reference.wave_products.shape == (WAVES, WAVES)
    sums = reference.pane[layout_of(reference.scale).waves]
    np.testing.assert_allclose(sums * WAVE_UNIT, waves.sum(axis=0), atol=300 * 0.0005)


def test_equal_confidences_make_a_reference_too() -> None:
    rows = draw_rows(40)
    flat = replace(rows, confidence=np.ones(40, np.float32), second=np.zeros(40, np.float32))
    assert check(reference_of(flat)).counts("confidence").tolist() == [0] * 15 + [40]


def test_a_scale_is_the_same_by_what_it_holds() -> None:
    first, again, other = (reference_of(draw_rows(100, seed)).scale for seed in (1, 1, 2))
    assert first is not again
    assert same_scale(first, again)
    assert not same_scale(first, other)
    assert first.space is not None
    for change in ({"unit": 1.0}, {"codec": Codec.I8}, {"waves": first.space.waves + 1}):
        assert not same_scale(first, replace(first, space=replace(first.space, **change)))
    assert not same_scale(first, replace(first, space=None))


def test_references_of_other_scales_versions_or_kinds_do_not_merge() -> None:
    first = reference_of(draw_rows(50, seed=1))
    others = (
        reference_of(draw_rows(50, seed=2)),
        reference_of(draw_rows(50, seed=1), truth=truth_of(draw_rows(50, seed=1))),
        replace(first, version=2),
        replace(first, source="blessed"),
    )
    for other in others:
        with pytest.raises(BundleError, match="do not go together"):
            merge(first, other)


def test_no_rows_and_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(BundleError, match="needs rows"):
        reference_of(draw_rows(0), truth=None)
    with pytest.raises(BundleError, match="as many of each column"):
        reference_of(replace(draw_rows(9), second=np.zeros(8, np.float32)))


def moved(name: str, **change: Any) -> dict[str, Any]:
    """A reference with the array `name` changed at one place."""
    array = getattr(small_reference(), name).copy()
    array[change["at"]] += change["by"]
    return {name: array}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "guessed"}, "source must be"),
        ({"level": "site", "cohort": "north"}, "only a blessed"),
        (moved("pane", at=0, by=-2000), "rows must be 1 or more"),
        (moved("pane", at=1, by=-2000), "events must be 1 or more"),
        (moved("pane", at=1, by=1), "no more than rows"),
        (moved("pane", at=2, by=1), "do not add up to the events"),
        (moved("pane", at=2, by=-(2**62)), "do not add up to the events"),
        (moved("pane", at=-65, by=10**6), "do not add up to the events"),
        (moved("pane", at=-1, by=2**40), "sums of waves are too large"),
        ({"pane": np.ones(5, np.int64)}, "pane must be"),
        (moved("by_class", at=(0, 0), by=1), "panes of the classes"),
        (moved("by_class", at=(0, 2), by=1), "counts of a class"),
        ({"by_class": np.zeros((4, 7), np.int64)}, "by_class needs"),
        ({"correct": np.empty(0, np.int64)}, "labelled and correct"),
        (moved("correct", at=3, by=10**6), "more rows are correct"),
        (moved("labelled", at=3, by=10**6), "more rows are labelled"),
        ({"wave_products": np.empty((0, 0), np.int64)}, "wave_products must be symmetric"),
        (moved("wave_products", at=(0, 1), by=1), "wave_products must be symmetric"),
        (moved("wave_products", at=(0, 0), by=2**60), "wave_products are too large"),
        ({"wave_products": np.zeros((64, 64), np.int64)}, "wave_products are too small"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_impossible_reference_is_refused(change: dict[str, Any], says: str) -> None:
    refused(replace(small_reference(), **change), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": ()}, "there must be labels"),
        ({"labels": (*LABELS[1:], None)}, "there must be labels"),
        ({"labels": LABELS[1:]}, "slots needs one slot a label"),
        ({"slots": np.array([0, 1, 2, 3, 5])}, "none left out"),
        ({"slots": np.array([0, 1, 2, 3, -1])}, "none left out"),
        ({"confidence_edges": np.linspace(0.9, 0.1, 15)}, "confidence_edges must not fall"),
        ({"confidence_edges": np.linspace(0.1, 1.1, 15)}, "confidence_edges must not fall"),
        ({"margin_edges": np.full(15, np.nan)}, "margin_edges must not fall"),
        ({"entropy_edges": np.full(15, np.inf)}, "entropy_edges must not fall"),
        ({"entropy_edges": np.zeros(14)}, "entropy_edges must be 15"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_impossible_scale_is_refused(change: dict[str, Any], says: str) -> None:
    reference = small_reference()
    refused(replace(reference, scale=replace(reference.scale, **change)), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"codec": Codec.NONE}, "do not go together"),
        ({"unit": 0.0}, "unit must be above 0"),
        ({"unit": float("nan")}, "unit must be above 0"),
        ({"unit": float("inf")}, "unit must be above 0"),
        ({"unit": 1e-300}, "unit must be above 0"),
        ({"gain": np.zeros(5, np.float32)}, "gain must be above 0"),
        ({"gain": np.full(5, np.nan, np.float32)}, "gain must be above 0"),
        ({"center": np.full(6, 257)}, "center must be"),
        ({"weights": np.full((5, 6), 128)}, "weights must be"),
        ({"weights": np.full((0, 6), 1)}, "weights must be of 1 to 16"),
        ({"centroids": np.full((3, 5), -128)}, "centroids must be"),
        ({"centroids": np.zeros((17, 5), np.int64)}, "centroids must be 1 to 16"),
        ({"waves": np.full((5, 64), 128)}, "waves must be"),
        ({"phases": np.full(64, 4096)}, "phases must be"),
        ({"direction_edges": np.arange(35).reshape(5, 7)[:, ::-1]}, "direction_edges must be"),
        ({"distance_edges": -np.arange(15)}, "distance_edges must be"),
        ({"norm_edges": np.arange(14)}, "norm_edges must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_impossible_space_is_refused(change: dict[str, Any], says: str) -> None:
    reference = small_reference()
    assert reference.scale.space is not None
    assert reference.scale.space.weights.shape == (6, 6)
    space = replace(reference.scale.space, **change)
    refused(replace(reference, scale=replace(reference.scale, space=space)), says)


def refused(reference: Reference, says: str) -> None:
    with pytest.raises(BundleError, match="reference of drawn 1: ") as error:
        check(reference)
    assert says in str(error.value)
