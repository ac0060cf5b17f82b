"""The head: the records of a message that is too large to be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import seal
from schemas.errors import Reason
from schemas.head import Span, read_head
from schemas.wire import Limits, decode
from schemas.wire_pb2 import Inferences
from tests.factories import STREAM, header, payload

SMALL = Limits(payload_bytes=100)


@given(st.integers(0, 2**63 - 2**33), st.integers(1, 30), st.integers(0, 2**32 - 1), st.binary(max_size=60))
def test_it_says_what_the_message_says(first: int, count: int, schema: int, more: bytes) -> None:
    message = Inferences(schema=schema, stream=STREAM, first_seq=first, count=count, sample_digest=more, model="m")
    assert read_head(seal(message)) == Span(STREAM, first, count)


@given(st.binary(max_size=80))
def test_anything_else_is_none_or_a_range_that_can_be(data: bytes) -> None:
    span = read_head(data)
    assert span is None or (len(span.stream) == 16 and 1 <= span.count <= min(len(data), 2**63 - 1 - span.first_seq))


def test_a_message_above_the_limit_names_its_records() -> None:
    (refused,) = decode([payload(header(first_seq=7, count=3))], SMALL).refused
    assert (refused.error.reason, refused.span) == (Reason.OVERSIZE, Span(STREAM, 7, 3))


@pytest.mark.parametrize("place", [3, 30, -20, -1])
def test_a_damaged_one_names_nothing(place: int) -> None:
    damaged = bytearray(payload(header(first_seq=7, count=3)))
    damaged[place] ^= 1
    (refused,) = decode([bytes(damaged)], SMALL).refused
    assert refused.span is None


def test_more_rows_than_are_read_are_named_too() -> None:
    message = Inferences(schema=1, stream=STREAM, first_seq=7, count=5000)
    (empty,) = decode([seal(message)]).refused
    message.sample_digest = bytes(32 * 5000)
    (refused,) = decode([seal(message)]).refused
    assert (refused.error.reason, refused.span, empty.span) == (Reason.BAD_SHAPE, Span(STREAM, 7, 5000), None)
