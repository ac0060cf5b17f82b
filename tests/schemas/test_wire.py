"""Inferences on the wire: what is written is read, and nothing else."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.embedding import Codec
from schemas.envelope import seal
from schemas.errors import Reason
from schemas.wire import MAX_ROWS, MAX_SEQ, TIMES, Header, Limits, Span, decode, encode, row_widths
from schemas.wire_pb2 import Inferences
from tests.factories import STREAM, as_bytes, columns, header, headers, joined, payload

GARBAGE = st.binary(max_size=40) | st.just(b"{") | st.just(b"")


def parsed(of: Header) -> Inferences:
    return Inferences.FromString(payload(of))


def resealed(**changes: Any) -> bytes:
    """A message with fields of the attacker's choice and a checksum that is right."""
    message = parsed(header())
    message.ClearField("crc")
    for name, value in changes.items():
        setattr(message, name, value)
    return seal(message)


def reason(sealed: bytes, limits: Limits = Limits()) -> Reason:
    decoded = decode([sealed], limits)
    assert (decoded.headers, decoded.places) == ((), ())
    return decoded.refused[0].error.reason


@settings(deadline=None)
@given(st.lists(headers(), max_size=6))
def test_messages_of_any_shapes_are_read_together_as_they_were_written(all_headers: list[Header]) -> None:
    parts = [columns(each, seed) for seed, each in enumerate(all_headers)]
    decoded = decode([encode(each, part) for each, part in zip(all_headers, parts, strict=True)])
    assert decoded.headers == tuple(all_headers)
    assert decoded.places == tuple(range(len(all_headers)))
    assert decoded.refused == ()
    assert as_bytes(decoded.columns) == joined(parts)


@settings(deadline=None)
@given(st.lists(headers() | GARBAGE, max_size=8))
def test_garbage_leaves_the_messages_around_it_alone(mixed: list[Header | bytes]) -> None:
    good = {place: each for place, each in enumerate(mixed) if isinstance(each, Header)}
    decoded = decode([payload(each) if isinstance(each, Header) else each for each in mixed])
    assert decoded.places == tuple(good)
    assert decoded.headers == tuple(good.values())
    assert {refused.place for refused in decoded.refused} == set(range(len(mixed))) - good.keys()
    assert as_bytes(decoded.columns) == joined([columns(each) for each in good.values()])


@settings(deadline=None)
@given(headers())
def test_the_json_form_is_read_as_the_binary_one(one: Header) -> None:
    binary = payload(one)
    text = json_format.MessageToJson(Inferences.FromString(binary)).encode()
    a, b = decode([binary]), decode([text])
    assert (a.headers, as_bytes(a.columns)) == (b.headers, as_bytes(b.columns))


@settings(deadline=None)
@given(headers())
def test_a_row_takes_the_bytes_that_row_widths_tells(one: Header) -> None:
    assert [len(column) for column in as_bytes(columns(one)).values()] == [
        one.count * width for width in row_widths(one.top_k, one.codec, one.dims)
    ]


def test_no_payloads_are_no_rows() -> None:
    decoded = decode([])
    assert decoded.headers == ()
    assert set(as_bytes(decoded.columns).values()) == {b""}


def test_columns_have_their_types() -> None:
    read = decode([payload(header(codec=codec)) for codec in Codec]).columns
    assert read.class_ids.dtype == np.uint16
    assert read.scores.dtype == np.float32
    assert read.sample_bytes.dtype == np.uint32
    assert read.embedding_scale.dtype == np.float32
    assert read.device_time_delta_us.dtype == np.int32


@pytest.mark.parametrize(
    ("field", "short"),
    [("entropy", np.zeros(1, np.float32)), ("sample_digest", b"x" * 63), ("embedding", b""), ("scores", np.zeros(5))],
)
def test_columns_that_do_not_fit_their_header_are_not_written(field: str, short: Any) -> None:
    with pytest.raises(ValueError, match="these columns make no message"):
        encode(header(), replace(columns(header()), **{field: short}))


@pytest.mark.parametrize(
    "change", [{"model": "Über"}, {"site": ""}, {"top_k": 33}, {"stream": b"short"}, {"device_time_us": -1}]
)
def test_a_header_that_could_not_be_read_is_not_written(change: dict[str, Any]) -> None:
    of = header(**change)
    with pytest.raises(ValueError, match="these columns make no message"):
        encode(of, columns(of))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"count": 4_000_000_000}, Reason.BAD_SHAPE),
        ({"count": MAX_ROWS + 1}, Reason.BAD_SHAPE),
        ({"count": 0}, Reason.BAD_SHAPE),
        ({"count": 3}, Reason.BAD_SHAPE),
        ({"embedding_dims": 4_000_000_000}, Reason.BAD_SHAPE),
        ({"embedding_dims": 5}, Reason.BAD_SHAPE),
        ({"top_k": 4_000_000_000}, Reason.BAD_SHAPE),
        ({"top_k": 0}, Reason.BAD_SHAPE),
        ({"embedding_codec": 5}, Reason.BAD_SHAPE),
        ({"embedding_codec": 2**31 - 1}, Reason.BAD_SHAPE),
        ({"embedding_codec": -1}, Reason.BAD_SHAPE),
        ({"embedding_codec": -(2**31)}, Reason.BAD_SHAPE),
        ({"first_seq": 2**64 - 1}, Reason.OUT_OF_RANGE),
        ({"first_seq": MAX_SEQ - 1}, Reason.OUT_OF_RANGE),
        ({"device_time": -(2**63)}, Reason.OUT_OF_RANGE),
        ({"device_time": TIMES[1] + 1}, Reason.OUT_OF_RANGE),
        ({"model": "../models"}, Reason.BAD_NAME),
        ({"model": "a/b"}, Reason.BAD_NAME),
        ({"site": "north\n"}, Reason.BAD_NAME),
        ({"site": "x" * 64}, Reason.BAD_NAME),
        ({"stream": STREAM + b"x"}, Reason.BAD_SHAPE),
        ({"scores": b""}, Reason.BAD_SHAPE),
        ({"schema": 2}, Reason.SCHEMA_NEWER),
        ({"schema": 2**32 - 1}, Reason.SCHEMA_NEWER),
        ({"schema": 0}, Reason.MALFORMED),
    ],
)
def test_what_an_attacker_with_a_right_checksum_may_say(change: dict[str, Any], why: Reason) -> None:
    assert reason(resealed(**change)) == why


def test_a_number_that_the_wire_chose_allocates_nothing() -> None:
    lies = [resealed(count=4_000_000_000, top_k=2**32 - 1, embedding_dims=2**32 - 1, first_seq=2**64 - 1)]
    lies += [resealed(count=MAX_ROWS, top_k=32, embedding_dims=4096)]
    decode(lies)
    tracemalloc.start()
    decode(lies)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_the_limits_of_a_reader_hold() -> None:
    sealed = payload(header(count=3))
    assert decode([sealed], Limits(rows=3, payload_bytes=len(sealed))).headers == (header(count=3),)
    assert reason(sealed, Limits(rows=2)) == Reason.BAD_SHAPE
    assert reason(sealed, Limits(payload_bytes=len(sealed) - 1)) == Reason.OVERSIZE


def test_a_newer_message_that_arrived_whole_still_says_which_records_it_holds() -> None:
    sealed = resealed(schema=9, first_seq=40, count=7, model="", scores=b"")
    assert decode([sealed]).refused[0].span == Span(STREAM, 40, 7)


@pytest.mark.parametrize(
    "change",
    [{"stream": b""}, {"count": 0}, {"count": MAX_ROWS + 1}, {"count": 2**32 - 1}, {"first_seq": MAX_SEQ}],
)
def test_records_that_can_not_be_are_not_believed(change: dict[str, Any]) -> None:
    assert decode([resealed(**{"schema": 9, "count": 7} | change)]).refused[0].span is None


def test_a_message_that_did_not_arrive_whole_says_nothing_of_its_records() -> None:
    assert decode([payload(header())[:-1] + b"?"]).refused[0].span is None
