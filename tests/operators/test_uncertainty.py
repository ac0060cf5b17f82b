"""Uncertainty: the margin of the two best classes, row by row."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.uncertainty import margin_uncertainty, top_two

SCORES = st.lists(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), max_size=12)


def column(scores: list[list[float]]) -> pa.ListArray:
    return pa.array(scores, pa.list_(pa.float32()))


@settings(deadline=None)
@given(SCORES, st.data())
def test_each_row_is_told_as_if_it_were_alone(scores: list[list[float]], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(scores)))
    part = column(scores)[start:]
    first, second = top_two(part)
    assert first.tolist() == [row[0] for row in scores[start:]]
    assert second.tolist() == [row[1] if len(row) > 1 else 0.0 for row in scores[start:]]
    margin = margin_uncertainty(part)
    assert ((margin >= 0) & (margin <= 1)).all()


@pytest.mark.parametrize(
    ("scores", "uncertain"),
    [
        ([0.75, 0.25], 0.5),
        ([0.5, 0.5], 1.0),
        ([1.0, 0.0], 0.0),
        ([1.0], 0.0),
        ([0.25], 0.75),
        ([1.00001], 0.0),
        ([0, 1], 1.0),
    ],
)
def test_known_margins(scores: list[float], uncertain: float) -> None:
    assert margin_uncertainty(column([scores])).tolist() == [uncertain]
    assert margin_uncertainty(column([])).dtype == np.float64
