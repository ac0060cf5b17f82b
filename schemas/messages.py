"""The small messages: opened, checked, and ready to use.

What these functions return is trusted inside: streams have 16 bytes, numbers are
in range, lists are bounded. To send one, fill the class and `seal` it.
"""

from typing import Final

from schemas.attributes import attributes_fault
from schemas.envelope import MAX_PAYLOAD_BYTES, unseal
from schemas.errors import Reason, Rejected
from schemas.wire import DIGEST_BYTES, MAX_SEQ, STREAM_BYTES, TIMES
from schemas.wire_pb2 import Ack, Feedback, Gaps, Hello, Requests, Sample, Status

REQUEST_ID_BYTES: Final = 16
MAX_RANGES: Final = 1024
MAX_REQUESTS: Final = 256
MAX_TEXT_CHARS: Final = 200
OUTCOMES: Final = frozenset({"delivered", "evicted", "too_large"})
FEEDBACK_KINDS: Final = frozenset({"dismissed", "confirmed", "corrected"})


def read_gaps(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Gaps:
    """Records a device gave up: 1 to 1,024 ranges, each the right way round."""
    message = unseal(Gaps, payload, max_bytes)
    _check_stream(message.stream)
    if not 1 <= len(message.gaps) <= MAX_RANGES:  # another kind of message reads as none
        raise Rejected(Reason.BAD_SHAPE, f"{len(message.gaps)} gaps, 1 to {MAX_RANGES} are read")
    for gap in message.gaps:
        if not gap.first_seq <= gap.last_seq < MAX_SEQ:
            raise Rejected(Reason.OUT_OF_RANGE, "a gap that ends before it begins, or beyond 2^63")
        _check_text(gap.reason)
        _check_time(gap.device_time)
    return message


def read_sample(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Sample:
    """A device's answer to one request."""
    message = unseal(Sample, payload, max_bytes)
    _check_stream(message.stream)
    _check_length("request id", message.request_id, REQUEST_ID_BYTES)
    if message.outcome not in OUTCOMES:
        raise Rejected(Reason.OUT_OF_RANGE, f"outcome must be one of {sorted(OUTCOMES)}")
    _check_seq(message.seq)
    _check_text(message.content_type)
    return message


def read_hello(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Hello:
    """Who has connected."""
    message = unseal(Hello, payload, max_bytes)
    _check_stream(message.stream)
    _check_seq(message.next_seq)
    _check_time(message.device_time)
    for text in (message.site, message.hardware, message.agent, message.model):
        _check_text(text)
    fault = attributes_fault(message.attributes)
    if fault:
        raise Rejected(Reason.OUT_OF_RANGE, fault)
    return message


def read_status(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Status:
    """How a device is."""
    message = unseal(Status, payload, max_bytes)
    _check_stream(message.stream)
    _check_time(message.device_time)
    for count in (
        message.next_seq,
        message.outbox_records,
        message.outbox_bytes,
        message.ring_samples,
        message.ring_bytes,
        message.refused_inferences,
        message.unrouted_messages,
        message.outbox_restores,
    ):
        _check_seq(count)
    return message


def read_feedback(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Feedback:
    """What a person at the device said of one inference."""
    message = unseal(Feedback, payload, max_bytes)
    _check_stream(message.stream)
    if message.kind not in FEEDBACK_KINDS:
        raise Rejected(Reason.OUT_OF_RANGE, f"kind must be one of {sorted(FEEDBACK_KINDS)}")
    _check_seq(message.seq)
    _check_time(message.device_time)
    return message


def read_ack(payload: bytes) -> Ack:
    """What a device may forget."""
    message = unseal(Ack, payload)
    _check_stream(message.stream)
    if message.through < -1 or len(message.holes) > MAX_RANGES:
        raise Rejected(Reason.OUT_OF_RANGE, "not an acknowledgement that Gleaner sends")
    for hole in message.holes:
        if not hole.first_seq <= hole.last_seq < MAX_SEQ:
            raise Rejected(Reason.OUT_OF_RANGE, "a hole that ends before it begins, or beyond 2^63")
    return message


def read_requests(payload: bytes) -> Requests:
    """What a device is asked for."""
    message = unseal(Requests, payload)
    if len(message.requests) > MAX_REQUESTS:
        raise Rejected(Reason.BAD_SHAPE, f"more than {MAX_REQUESTS} requests in one message")
    for request in message.requests:
        _check_stream(request.stream)
        _check_length("request id", request.request_id, REQUEST_ID_BYTES)
        _check_length("digest", request.sample_digest, DIGEST_BYTES)
        _check_seq(request.seq)
    return message


def _check_stream(stream: bytes) -> None:
    _check_length("stream", stream, STREAM_BYTES)


def _check_length(what: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise Rejected(Reason.BAD_SHAPE, f"the {what} has {len(value)} bytes, not {length}")


def _check_seq(number: int) -> None:
    if number > MAX_SEQ:
        raise Rejected(Reason.OUT_OF_RANGE, "a number beyond 2^63")


def _check_time(device_time_us: int) -> None:
    if not TIMES[0] <= device_time_us <= TIMES[1]:
        raise Rejected(Reason.OUT_OF_RANGE, "the device time is not between 1970 and 9999")


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise Rejected(Reason.OUT_OF_RANGE, f"texts are printable, at most {MAX_TEXT_CHARS} characters")
