"""A reference is counts and exact sums: it merges in any order and refuses what can't be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.reference import CONFIDENCE_BINS, MAX_DIMS, check, merge
from schemas.embedding import Codec
from schemas.errors import BundleError
from tests.operators.drawn import LABELS, draw_rows, reference_of, same, scale_of_reference


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 300), cut=st.floats(0.01, 0.99))
def test_parts_merge_to_the_reference_of_all_rows_in_either_order(seed: int, n: int, cut: float) -> None:
    rows = draw_rows(n, seed)
    whole = reference_of(rows)
    scale, at = scale_of_reference(whole), min(max(round(n * cut), 1), n - 1)
    a, b = (reference_of(rows.take(part), scale) for part in (slice(0, at), slice(at, None)))
    assert same(merge(a, b), whole)
    assert same(merge(b, a), whole)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 2500))
def test_the_order_of_rows_does_not_matter(seed: int, n: int) -> None:
    rows = draw_rows(n, seed)
    shuffled = rows.take(np.random.default_rng(seed).permutation(n))
    assert same(reference_of(rows), reference_of(shuffled))


def test_mean_and_covariance_are_those_of_the_rows() -> None:
    rows = draw_rows(500)
    reference = reference_of(rows)
    step = reference.embedding_unit
    np.testing.assert_allclose(reference.embedding_mean, rows.embeddings.mean(axis=0), atol=step)
    np.testing.assert_allclose(reference.embedding_covariance, np.cov(rows.embeddings.T), rtol=0.01, atol=0.01)


def test_confidence_bins_hold_equal_shares_of_the_first_rows() -> None:
    reference = reference_of(draw_rows(1600))
    assert reference.confidence_counts.tolist() == [100] * CONFIDENCE_BINS


def test_equal_confidences_make_a_reference_too() -> None:
    rows = draw_rows(40)
    flat = replace(rows, confidence=np.ones(40, np.float32))
    assert reference_of(flat).confidence_counts.tolist() == [0] * 15 + [40]


def test_without_an_embedding_the_sums_are_empty() -> None:
    reference = reference_of(replace(draw_rows(9), embeddings=np.empty((0, 0), np.float32)))
    assert (reference.dims, reference.embedding_outer.shape) == (0, (0, 0))


def test_references_of_other_scales_or_versions_do_not_merge() -> None:
    first = reference_of(draw_rows(50, seed=1))
    for other in (reference_of(draw_rows(50, seed=2)), replace(first, version=2)):
        with pytest.raises(BundleError, match="different scales"):
            merge(first, other)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0},
        {"rows": 51},
        {"labels": LABELS[1:]},
        {"class_counts": np.array([60, -10, 0, 0, 0])},
        {"confidence_counts": np.array([50])},
        {"confidence_edges": np.linspace(0.9, 0.1, 15)},
        {"confidence_edges": np.full(15, np.nan)},
        {"embedding_unit": 0.0},
        {"embedding_unit": float("inf")},
        {"embedding_codec": Codec.NONE},
        {"embedding_sum": np.full(6, 2**40)},
        {"embedding_outer": np.zeros((6, 6), np.int64)},
        {"embedding_outer": np.zeros((3, 3), np.int64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_impossible_reference_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="reference of drawn 1"):
        check(replace(reference_of(draw_rows(50)), **change))


def test_no_rows_and_too_long_an_embedding_are_refused() -> None:
    with pytest.raises(BundleError, match="needs rows"):
        reference_of(draw_rows(0))
    with pytest.raises(BundleError, match="pca-i8"):
        reference_of(draw_rows(2, dims=MAX_DIMS + 1))
