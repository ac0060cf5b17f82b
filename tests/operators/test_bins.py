"""Bins: the same as a binary search, for every kind of number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.bins import bins_of

NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=15)


@given(NUMBERS, st.lists(st.floats(-1e6, 1e6, width=32), max_size=50))
def test_it_is_a_binary_search(edges: list[float], values: list[float]) -> None:
    ascending = np.sort(np.array(edges))
    for kind in (np.float32, np.float64):
        column = np.array([*values, *edges], kind)
        assert bins_of(ascending, column).tolist() == np.searchsorted(ascending, column, side="right").tolist()


def test_an_edge_that_float32_can_not_hold_stays_where_it_is() -> None:
    edges = np.array([0.1, 0.3])
    near = np.nextafter(np.float32(0.1), np.float32(0), dtype=np.float32)
    values = np.array([near, 0.1, 0.3], np.float32)
    assert bins_of(edges, values).tolist() == np.searchsorted(edges, values, side="right").tolist()


@pytest.mark.parametrize("kind", [np.int64, np.uint32])
def test_whole_numbers(kind: type) -> None:
    assert bins_of(np.array([3, 3, 7]), np.array([0, 2, 3, 6, 7, 2**31], kind)).tolist() == [0, 0, 2, 2, 3, 3]


def test_many_blocks() -> None:
    values = np.random.default_rng(1).random(50_000)
    assert np.array_equal(bins_of(np.array([0.5]), values), values >= 0.5)
