"""A blessed reference is the sum of windows, on the scale of the model's own, and possible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.bless import bless
from operators.mmd import null_interval
from operators.panes import count, layout_of, positions
from operators.reference import BLESSED, Reference
from operators.reference_file import from_parquet_bytes, to_parquet_bytes
from operators.space import WAVE_UNIT
from pipelines.models.fit import columns_of
from schemas.errors import BundleError
from tests.operators.references import draw_rows, same, small_reference

Ints = NDArray[np.int64]


def windows(reference: Reference, count_of: int = 8, rows: int = 100, seed: int = 5) -> Ints:
    """(count_of, width) panes of healthy windows, a quarter of whose rows are in the waves."""
    drawn = draw_rows(count_of * rows, seed, reference.scale.space.dims if reference.scale.space else 0)
    columns = columns_of(drawn, reference.scale)
    columns.waved[:] = np.arange(count_of * rows) % 4 == 0
    position = positions(reference.scale, columns)
    group = np.repeat(np.arange(count_of), rows)
    return count(reference.scale, columns, position, np.ones(len(group), bool), group, count_of)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1), count_of=st.integers(1, 6), rows=st.integers(1, 50), dims=st.sampled_from([0, 6])
)
def test_it_is_the_sum_of_its_windows_in_any_order_and_can_be_stored(
    seed: int, count_of: int, rows: int, dims: int
) -> None:
    reference = small_reference(dims=dims)
    panes = windows(reference, count_of, rows, seed)
    blessed = bless(reference, panes)
    assert np.array_equal(blessed.pane, panes.sum(axis=0))
    assert same(blessed, bless(reference, panes[::-1]))
    assert same(blessed, from_parquet_bytes(to_parquet_bytes(blessed)))


def test_latency_is_compared_from_now_on_and_labels_stay() -> None:
    reference = small_reference()
    blessed = bless(reference, windows(reference))
    assert (blessed.source, blessed.events) == (BLESSED, 800)
    assert blessed.counts("latency").sum() == blessed.counts("quality").sum() == 800
    assert np.array_equal(blessed.correct, reference.correct)
    assert np.array_equal(blessed.labelled, reference.labelled)


def test_waves_keep_their_covariance_about_the_new_mean() -> None:
    reference = small_reference()
    blessed = bless(reference, windows(reference))
    layout = layout_of(reference.scale)
    intervals = []
    for each in (reference, blessed):
        rows = int(each.pane[layout.waved])
        mean = each.pane[layout.waves] / rows
        intervals.append(each.wave_products / rows - np.outer(mean, mean))
        of_100 = null_interval(each.pane[layout.waves], each.wave_products, rows, np.array([100]), WAVE_UNIT)
        assert 0 < of_100[0, 0] < of_100[0, 1] < 0.5
    np.testing.assert_allclose(intervals[1], intervals[0], atol=0.01)


def test_a_cohort_by_class_is_the_pane_of_its_class() -> None:
    reference = small_reference()
    panes = windows(reference)
    blessed = bless(reference, panes, "site/class", "north/2")
    assert (blessed.level, blessed.cohort) == ("site/class", "north/2")
    assert np.array_equal(blessed.by_class[2], blessed.pane)
    assert not np.delete(blessed.by_class, 2, axis=0).any()
    assert np.array_equal(bless(reference, panes, "site", "north").by_class, reference.by_class)


@pytest.mark.parametrize("cohort", ["north", "north/x", "north/5", "north/-1", "north/2/3", "north/²"])
def test_a_cohort_that_names_no_class_is_refused(cohort: str) -> None:
    reference = small_reference()
    with pytest.raises(BundleError, match="name its class by number"):
        bless(reference, windows(reference), "site/class", cohort)


def test_windows_that_do_not_fit_are_refused() -> None:
    reference = small_reference()
    width = layout_of(reference.scale).width
    for panes in (np.zeros((3, width), np.int64), np.zeros((0, width), np.int64), windows(reference)[:, 1:]):
        with pytest.raises(BundleError, match="another scale"):
            bless(reference, panes)
    wrong = windows(reference)
    wrong[0, 5] += 1
    with pytest.raises(BundleError, match="do not add up"):
        bless(reference, wrong)
