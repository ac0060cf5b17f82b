from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.batch import HEADER_BYTES, BatchLimits, first_batch, payload_of
from edge_publisher.outbox import Row
from schemas import embedding, wire
from schemas.embedding import Codec
from tests.edge_publisher.records import KIND, record

STREAM = bytes(range(16))
START = 1_700_000_000_000_000


def rows(numbers: list[int]) -> list[Row]:
    return [Row(number, record(number)) for number in numbers]


@settings(deadline=None)
@given(
    st.sampled_from(list(Codec)),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(0, 1000),
    st.integers(1, 70),
)
def test_what_was_recorded_is_what_a_reader_decodes(
    codec: Codec, top_k: int, dims: int, first: int, count: int
) -> None:
    kind = replace(KIND, codec=codec, top_k=top_k, dims=0 if codec is Codec.NONE else dims)
    batch = [Row(first + i, record(first + i, kind)) for i in range(count)]
    decoded = wire.decode([payload_of(batch, STREAM)])
    assert not decoded.refused
    header, columns = decoded.headers[0], decoded.columns
    assert (header.stream, header.first_seq, header.count, header.codec) == (STREAM, first, count, codec)
    assert (header.model, header.model_version, header.site, header.top_k) == ("linear", 1, "north", top_k)
    numbers = np.arange(first, first + count)
    assert header.device_time_us + int(columns.device_time_delta_us[-1]) == batch[-1].record.device_time_us
    assert (columns.latency_us == numbers).all()
    assert (columns.entropy == (numbers / 8).astype(np.float32)).all()
    assert (columns.sample_bytes == numbers + 100).all()
    assert (columns.class_ids.reshape(count, top_k)[:, 0] == numbers).all()
    assert columns.sample_digest == b"".join(int(number).to_bytes(32, "big") for number in numbers)
    vectors = embedding.decode(columns.embedding, columns.embedding_scale, codec, header.dims)
    if codec is not Codec.NONE:
        assert np.allclose(vectors, (numbers + 1)[:, None], rtol=1e-3)


def test_a_batch_is_cut_at_its_rows_at_a_jump_and_at_a_change() -> None:
    limits = BatchLimits(rows=4)
    assert len(first_batch(rows(list(range(9))), limits)) == 4
    assert len(first_batch(rows([0, 1, 3, 4]), limits)) == 2
    for change in (
        {"model": "x"},
        {"model_version": 2},
        {"site": "x"},
        {"top_k": 1},
        {"codec": Codec.F16},
        {"dims": 3},
    ):
        changed = Row(2, record(2, replace(KIND, **change)))  # type: ignore[arg-type]
        assert len(first_batch([*rows([0, 1]), changed], limits)) == 2
    assert not first_batch([], limits)


@pytest.mark.parametrize(
    ("delta_us", "together"), [(2**31 - 1, 2), (2**31, 1), (-(2**31), 2), (-(2**31) - 1, 1), (-5, 2)]
)
def test_a_batch_is_cut_where_a_time_does_not_fit_32_bits(delta_us: int, together: int) -> None:
    pair = [Row(0, record(0, time_us=START)), Row(1, record(1, time_us=START + delta_us))]
    batch = first_batch(pair, BatchLimits())
    assert len(batch) == together
    assert not wire.decode([payload_of(batch, STREAM)]).refused


@settings(deadline=None)
@given(st.integers(HEADER_BYTES, 9000))
def test_a_payload_never_outgrows_its_limit(payload_bytes: int) -> None:
    kind = replace(KIND, model="m" * 63, site="s" * 63)
    many = [Row(2**62 + i, record(i, kind)) for i in range(100)]
    batch = first_batch(many, BatchLimits(payload_bytes=payload_bytes, rows=100))
    assert not batch or len(payload_of(batch, bytes(16))) <= payload_bytes
    assert len(batch) == min(100, (payload_bytes - HEADER_BYTES) // kind.row_bytes)
