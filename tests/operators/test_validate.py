"""Validate: rows that the model can't have produced are marked, their neighbours are not."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.validate import ModelShape, code_of, faults_of, reason_of
from schemas.embedding import Codec
from schemas.errors import Reason
from schemas.wire import TIMES, Header, decode
from tests.factories import LABELS, header, headers, payload

KNOWN = {("digits", 3): ModelShape(labels=LABELS, codec=Codec.I8, dims=4)}
LARGEST = float(np.finfo(np.float32).max)


def faults(*payloads: bytes, models: Any = KNOWN) -> list[Reason | None]:
    decoded = decode(payloads)
    assert not decoded.refused
    found = faults_of(decoded.headers, decoded.columns, models)
    assert found.dtype == np.int8
    return [reason_of(code) if code else None for code in found.tolist()]


def second_of_three(field: str, dtype: str, value: float, width: int = 1, **changes: Any) -> bytes:
    """A message of three rows, of which the second has `value` somewhere in a column."""
    column = np.zeros(3 * width, dtype)
    column[width : 2 * width][-1] = value
    filled: Any = column.tobytes() if field == "embedding" else column
    return payload(header(count=3, **changes), 0, **{field: filled})


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_code_of_its_own(reason: Reason) -> None:
    assert reason_of(code_of(reason)) == reason
    assert 0 < code_of(reason) < 128


@pytest.mark.parametrize(
    ("field", "value", "width", "reason"),
    [
        ("scores", np.nan, 2, Reason.NOT_FINITE),
        ("scores", np.inf, 2, Reason.NOT_FINITE),
        ("scores", -np.inf, 2, Reason.NOT_FINITE),
        ("scores", -0.01, 2, Reason.OUT_OF_RANGE),
        ("scores", 1.01, 2, Reason.OUT_OF_RANGE),
        ("scores", 1.000001, 2, None),
        ("scores", 1e-45, 2, None),
        ("entropy", np.nan, 1, Reason.NOT_FINITE),
        ("entropy", np.inf, 1, Reason.NOT_FINITE),
        ("entropy", -1.0, 1, Reason.OUT_OF_RANGE),
        ("entropy", -1e-7, 1, None),
        ("embedding_scale", np.nan, 1, Reason.NOT_FINITE),
        ("embedding_scale", np.inf, 1, Reason.NOT_FINITE),
        ("embedding_scale", LARGEST, 1, Reason.NOT_FINITE),
        ("embedding_scale", LARGEST / 128, 1, None),
        ("embedding_scale", -1.0, 1, Reason.NOT_FINITE),
        ("embedding_scale", 0.0, 1, None),
    ],
)
def test_numbers_that_make_no_sense(field: str, value: float, width: int, reason: Reason | None) -> None:
    assert faults(second_of_three(field, "<f4", value, width)) == [None, reason, None]


@pytest.mark.parametrize("codec", [Codec.F32, Codec.F16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite(codec: Codec, value: float) -> None:
    dtype = {Codec.F32: "<f4", Codec.F16: "<f2"}[codec]
    odd = second_of_three("embedding", dtype, value, 4, codec=codec)
    models = {("digits", 3): ModelShape(labels=LABELS, codec=codec, dims=4)}
    assert faults(odd, models=models) == [None, Reason.NOT_FINITE, None]


@pytest.mark.parametrize(
    ("value", "reason"), [(LABELS - 1, None), (LABELS, Reason.UNKNOWN_CLASS), (65_535, Reason.UNKNOWN_CLASS)]
)
def test_a_class_that_the_model_does_not_have(value: int, reason: Reason | None) -> None:
    sealed = second_of_three("class_ids", "<u2", value, 2)
    assert faults(sealed) == [None, reason, None]
    assert faults(sealed, models={}) == [None] * 3


@pytest.mark.parametrize("change", [{"codec": Codec.F32}, {"codec": Codec.PCA_I8}, {"dims": 5}, {"dims": 0}])
def test_an_embedding_that_the_model_does_not_make(change: dict[str, Any]) -> None:
    assert faults(payload(header(**change))) == [Reason.EMBEDDING_MISMATCH] * 2
    assert faults(payload(header(**change, model_version=4))) == [None] * 2


@pytest.mark.parametrize(("base", "delta"), [(TIMES[1], 1), (0, -1), (TIMES[1], 2**31 - 1), (0, -(2**31))])
def test_a_time_that_the_lake_can_not_hold(base: int, delta: int) -> None:
    sealed = payload(header(device_time_us=base), device_time_delta_us=np.array([0, delta], np.int32))
    assert faults(sealed) == [None, Reason.OUT_OF_RANGE]


@settings(deadline=None)
@given(st.lists(headers(), max_size=6), st.sampled_from((np.nan, np.inf, -3.0)), st.data())
def test_a_row_is_judged_as_if_it_had_come_alone(all_headers: list[Header], odd: float, data: st.DataObject) -> None:
    payloads = []
    for seed, each in enumerate(all_headers):
        entropy = np.zeros(each.count, np.float32)
        entropy[data.draw(st.integers(0, each.count - 1))] = data.draw(st.sampled_from((0.0, odd)))
        payloads.append(payload(each, seed, entropy=entropy))
    assert faults(*payloads) == [fault for one in payloads for fault in faults(one)]


def test_no_rows_have_no_faults() -> None:
    assert faults() == []
