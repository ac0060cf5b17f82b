"""Panes add up: exactly, in any order, over any split of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.fixed_point import MAX_CODE
from operators.panes import layout_of, panes
from operators.reference import Reference
from tests.operators.drawn import DIMS, LABELS, Rows, draw_rows, reference_of

GROUPS = 5


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(draw_rows(200))


def count(reference: Reference, rows: Rows, group: NDArray[np.int32], groups: int = GROUPS) -> NDArray[np.int64]:
    return panes(reference, group, groups, rows.class_id, rows.confidence, rows.embeddings)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 3000), cut=st.floats(0, 1))
def test_the_panes_of_two_parts_add_up_to_the_panes_of_all(reference: Reference, seed: int, n: int, cut: float) -> None:
    rows, group, at = draw_rows(n, seed), groups_of(n, seed), round(n * cut)
    parts = [count(reference, rows.take(part), group[part]) for part in (slice(0, at), slice(at, None))]
    assert np.array_equal(parts[0] + parts[1], count(reference, rows, group))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 3000))
def test_the_order_of_rows_does_not_matter(reference: Reference, seed: int, n: int) -> None:
    rows, group = draw_rows(n, seed), groups_of(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    assert np.array_equal(count(reference, rows.take(order), group[order]), count(reference, rows, group))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 400))
def test_a_pane_counts_each_row_once(reference: Reference, seed: int, n: int) -> None:
    rows, layout = draw_rows(n, seed), layout_of(reference)
    found = count(reference, rows, groups_of(n, seed))
    assert found.shape == (GROUPS, layout.width)
    assert found[:, layout.rows].sum() == n
    assert np.array_equal(found[:, layout.classes].sum(axis=1), found[:, layout.rows])
    assert np.array_equal(found[:, layout.confidence].sum(axis=1), found[:, layout.rows])
    assert np.array_equal(found[:, layout.classes].sum(axis=0), np.bincount(rows.class_id, minlength=len(LABELS)))


def test_the_pane_of_the_reference_rows_is_the_reference(reference: Reference) -> None:
    layout, found = layout_of(reference), count(reference, draw_rows(200), np.zeros(200, np.int32), groups=1)[0]
    assert found[layout.rows] == reference.rows
    assert np.array_equal(found[layout.classes], reference.class_counts)
    assert np.array_equal(found[layout.confidence], reference.confidence_counts)
    assert np.array_equal(found[layout.embedding], reference.embedding_sum)


def test_the_parts_of_a_pane_stand_side_by_side(reference: Reference) -> None:
    layout = layout_of(reference)
    slices = (layout.classes, layout.confidence, layout.embedding)
    assert layout.rows == 0
    assert [place for part in slices for place in range(part.start, part.stop)] == list(range(1, layout.width))


def test_a_huge_value_counts_as_the_largest_step(reference: Reference) -> None:
    rows = Rows(
        class_id=np.zeros(2, np.int64),
        confidence=np.ones(2, np.float32),
        embeddings=np.array([[1e30] * DIMS, [-1e30] + [1e30] * (DIMS - 1)], np.float32),
    )
    sums = count(reference, rows, np.zeros(2, np.int32), groups=1)[0, layout_of(reference).embedding]
    assert sums.tolist() == [0] + [2 * MAX_CODE] * (DIMS - 1)


def test_an_unknown_class_or_another_embedding_is_an_error(reference: Reference) -> None:
    rows, one = draw_rows(1), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="class 5 of 5"):
        panes(reference, one, 1, np.array([5]), rows.confidence, rows.embeddings)
    with pytest.raises(ValueError, match=r"not \(1, 6\)"):
        panes(reference, one, 1, rows.class_id, rows.confidence, rows.embeddings[:, :3])


def groups_of(n: int, seed: int) -> NDArray[np.int32]:
    return np.random.default_rng(seed + 1).integers(0, GROUPS, n).astype(np.int32)
