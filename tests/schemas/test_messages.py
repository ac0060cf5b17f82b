"""The small messages: what is out of range is rejected, so that what is read can be trusted."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from schemas.envelope import seal
from schemas.errors import Reason, Rejected
from schemas.messages import (
    MAX_RANGES,
    MAX_REQUESTS,
    read_ack,
    read_feedback,
    read_gaps,
    read_hello,
    read_requests,
    read_sample,
    read_status,
)
from schemas.wire import MAX_SEQ
from schemas.wire_pb2 import Ack, Feedback, Gap, Gaps, Hello, Hole, Request, Requests, Sample, Status
from tests.factories import STREAM

ID = STREAM  # as long as one
BEYOND = 2**64 - 1
LONG = "x" * 201


def gaps(**change: Any) -> Gaps:
    return Gaps(schema=1, stream=STREAM, gaps=[Gap(**{"first_seq": 1, "last_seq": 2} | change)])


def sample(**change: Any) -> Sample:
    fields: dict[str, Any] = {"schema": 1, "stream": STREAM, "request_id": ID, "outcome": "delivered"}
    return Sample(**fields | change)


def request(**change: Any) -> Requests:
    usual: dict[str, Any] = {"request_id": ID, "stream": STREAM, "sample_digest": b"d" * 32}
    return Requests(schema=1, requests=[Request(**usual | change)])


def numbered(count: int) -> dict[str, str]:
    """So many attributes, of the longest names and values."""
    return {f"a{number}".ljust(32, "_"): "é" * 64 for number in range(count)}


@pytest.mark.parametrize(
    ("reader", "message", "why"),
    [
        (read_gaps, gaps(first_seq=3), Reason.OUT_OF_RANGE),
        (read_gaps, gaps(last_seq=BEYOND), Reason.OUT_OF_RANGE),
        (read_gaps, gaps(last_seq=MAX_SEQ), Reason.OUT_OF_RANGE),
        (read_gaps, gaps(reason=LONG), Reason.OUT_OF_RANGE),
        (read_gaps, gaps(reason="\x1b[2J"), Reason.OUT_OF_RANGE),
        (read_gaps, gaps(device_time=-1), Reason.OUT_OF_RANGE),
        (read_gaps, Gaps(schema=1, stream=STREAM, gaps=[Gap()] * (MAX_RANGES + 1)), Reason.BAD_SHAPE),
        (read_gaps, Gaps(schema=1, stream=STREAM, gaps=[]), Reason.BAD_SHAPE),
        (read_gaps, Gaps(schema=1, stream=b"", gaps=[Gap()]), Reason.BAD_SHAPE),
        (read_gaps, Gaps(schema=2, stream=STREAM), Reason.SCHEMA_NEWER),
        (read_sample, sample(outcome="lost"), Reason.OUT_OF_RANGE),
        (read_sample, sample(outcome=""), Reason.OUT_OF_RANGE),
        (read_sample, sample(request_id=b"x"), Reason.BAD_SHAPE),
        (read_sample, sample(stream=STREAM * 2), Reason.BAD_SHAPE),
        (read_sample, sample(seq=BEYOND), Reason.OUT_OF_RANGE),
        (read_sample, sample(content_type="a\nb"), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, next_seq=BEYOND), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, site=LONG), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, agent="\u202e"), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, device_time=2**62), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes={"Lens": "wide"}), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes={"a" * 33: ""}), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes={"": "wide"}), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes={"lens": "w" * 65}), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes={"lens": "a\nb"}), Reason.OUT_OF_RANGE),
        (read_hello, Hello(schema=1, stream=STREAM, attributes=numbered(17)), Reason.OUT_OF_RANGE),
        (read_status, Status(schema=1, stream=STREAM, ring_bytes=BEYOND), Reason.OUT_OF_RANGE),
        (read_status, Status(schema=1, stream=STREAM, refused_inferences=BEYOND), Reason.OUT_OF_RANGE),
        (read_status, Status(stream=STREAM), Reason.MALFORMED),
        (read_feedback, Feedback(schema=1, stream=STREAM, kind="liked"), Reason.OUT_OF_RANGE),
        (read_feedback, Feedback(schema=1, stream=STREAM, kind="confirmed", seq=BEYOND), Reason.OUT_OF_RANGE),
        (read_ack, Ack(schema=1, stream=STREAM, through=-2), Reason.OUT_OF_RANGE),
        (read_ack, Ack(schema=1, stream=STREAM, holes=[Hole()] * (MAX_RANGES + 1)), Reason.OUT_OF_RANGE),
        (read_ack, Ack(schema=1, stream=STREAM, holes=[Hole(first_seq=4, last_seq=3)]), Reason.OUT_OF_RANGE),
        (read_ack, Ack(schema=1, stream=STREAM, holes=[Hole(last_seq=BEYOND)]), Reason.OUT_OF_RANGE),
        (read_requests, request(sample_digest=b""), Reason.BAD_SHAPE),
        (read_requests, request(stream=b""), Reason.BAD_SHAPE),
        (read_requests, request(request_id=b""), Reason.BAD_SHAPE),
        (read_requests, request(seq=BEYOND), Reason.OUT_OF_RANGE),
        (read_requests, Requests(schema=1, requests=[Request()] * (MAX_REQUESTS + 1)), Reason.BAD_SHAPE),
    ],
)
def test_what_can_not_be_is_rejected(reader: Callable[[bytes], Message], message: Message, why: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        reader(seal(message))
    assert caught.value.reason == why


def test_the_largest_that_may_travel_is_read() -> None:
    assert read_gaps(seal(gaps(last_seq=MAX_SEQ - 1))).gaps[0].last_seq == MAX_SEQ - 1
    assert len(read_gaps(seal(Gaps(schema=1, stream=STREAM, gaps=[Gap()] * MAX_RANGES))).gaps) == MAX_RANGES
    assert read_sample(seal(sample(seq=MAX_SEQ))).seq == MAX_SEQ
    assert read_ack(seal(Ack(schema=1, stream=STREAM, through=-1))).through == -1
    assert dict(read_hello(seal(Hello(schema=1, stream=STREAM, attributes=numbered(16)))).attributes) == numbered(16)


def test_the_order_of_attributes_changes_no_byte() -> None:
    names = [f"attribute_{number}" for number in range(12)]
    one, other = Hello(schema=1, stream=STREAM), Hello(schema=1, stream=STREAM)
    one.attributes.update(dict.fromkeys(names, "x"))
    other.attributes.update(dict.fromkeys(reversed(names), "x"))
    assert seal(one) == seal(other)


def test_one_kind_of_message_is_not_mistaken_for_another() -> None:
    for kind in (Hello(schema=1, stream=STREAM), Status(schema=1, stream=STREAM), gaps()):
        with pytest.raises(Rejected):
            read_sample(seal(kind))
