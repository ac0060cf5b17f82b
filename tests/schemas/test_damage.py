"""Each truncation and each changed byte of a message is noticed; no bytes at all make a reader fail."""

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import messages
from schemas.envelope import seal, unseal
from schemas.errors import Reason, Rejected
from schemas.wire import Header, decode
from schemas.wire_pb2 import Ack, Feedback, Gap, Gaps, Hello, Hole, Inferences, Request, Requests, Sample, Status
from tests.factories import NOON, STREAM, as_bytes, header, headers, payload

SMALL: dict[Callable[..., Message], Message] = {
    messages.read_gaps: Gaps(
        schema=1, stream=STREAM, gaps=[Gap(first_seq=3, last_seq=9, reason="full", device_time=NOON)]
    ),
    messages.read_sample: Sample(
        schema=1, stream=STREAM, seq=7, request_id=STREAM, outcome="delivered", content_type="image/png", sample=b"raw"
    ),
    messages.read_hello: Hello(
        schema=1,
        stream=STREAM,
        next_seq=70,
        device_time=NOON,
        site="north",
        hardware="pi",
        agent="1",
        model="digits",
        attributes={"lens": "wide", "housing": "b"},
    ),
    messages.read_status: Status(schema=1, stream=STREAM, next_seq=70, device_time=NOON, outbox_records=3),
    messages.read_feedback: Feedback(schema=1, stream=STREAM, seq=7, kind="corrected", class_id=3, device_time=NOON),
    messages.read_ack: Ack(schema=1, stream=STREAM, through=4, holes=[Hole(first_seq=5, last_seq=6)], ahead=9),
    messages.read_requests: Requests(
        schema=1,
        requests=[Request(request_id=STREAM, stream=STREAM, seq=7, sample_digest=STREAM * 2, max_bytes=1000)],
    ),
}
readers = pytest.mark.parametrize(("reader", "message"), SMALL.items(), ids=lambda x: getattr(x, "__name__", ""))


def rejected(reader: Callable[[bytes], Any], sealed: bytes) -> bool:
    try:
        reader(sealed)
    except Rejected:
        return True
    return False


@settings(deadline=None, max_examples=30)
@given(headers(), st.integers(1, 255))
def test_no_cut_or_changed_message_is_read(one: Header, mask: int) -> None:
    sealed = payload(one)
    cut = [sealed[:length] for length in range(len(sealed))]
    changed = [sealed[:at] + bytes([sealed[at] ^ mask]) + sealed[at + 1 :] for at in range(len(sealed))]
    decoded = decode([*cut, *changed, sealed])
    assert decoded.headers == (one,)
    assert as_bytes(decoded.columns) == as_bytes(decode([sealed]).columns)
    assert all(refused.span is None for refused in decoded.refused)


def test_no_other_value_of_any_byte_of_a_small_message_is_read() -> None:
    sealed = payload(header(count=1, top_k=1, dims=1, site="n", model="m"))
    for at in range(len(sealed)):
        others = [sealed[:at] + bytes([value]) + sealed[at + 1 :] for value in range(256) if value != sealed[at]]
        assert decode(others).headers == ()


@readers
def test_small_messages_are_read_as_they_were_written(reader: Callable[[bytes], Any], message: Message) -> None:
    read = reader(seal(message))
    read.ClearField("crc")
    assert read == message
    text = json_format.MessageToJson(message).encode()
    assert reader(text) == message


@readers
def test_no_cut_or_changed_small_message_is_read(reader: Callable[[bytes], Any], message: Message) -> None:
    sealed = seal(message)
    for at in range(len(sealed)):
        assert rejected(reader, sealed[:at])
        for bit in range(8):
            assert rejected(reader, sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :])


@readers
def test_bytes_after_the_end_are_noticed(reader: Callable[[bytes], Any], message: Message) -> None:
    assert rejected(reader, seal(message) + b"\0")
    assert rejected(reader, seal(message) * 2)


@settings(deadline=None, max_examples=200)
@given(body=st.binary(max_size=80), start=st.sampled_from((b"", payload(header())[:-6], payload(header())[:60])))
def test_any_bytes_with_a_right_checksum_are_read_or_rejected(body: bytes, start: bytes) -> None:
    whole = start + body
    sealed = whole + struct.pack("<2sI", b"\xfd\x01", zlib.crc32(whole))
    decoded = decode([sealed, payload(header())])
    assert decoded.headers[-1] == header()
    rows = sum(each.count for each in decoded.headers)
    assert len(decoded.columns.entropy) == rows
    assert len(decoded.columns.sample_digest) == 32 * rows
    for reader in SMALL:
        rejected(reader, sealed)


def fields_of(kind: type[Message]) -> list[str]:
    return [field.json_name for field in kind.DESCRIPTOR.fields]


NAMES = sorted({name for each in (Inferences, *map(type, SMALL.values())) for name in fields_of(each)})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(("AAAA", "EMBEDDING_I8", "NaN", "Infinity", "1", "-1", "1e3", "/+==", "="))
)
TREES = st.dictionaries(
    st.sampled_from(NAMES), st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=5), max_size=6
)


@settings(deadline=None, max_examples=300)
@given(TREES)
def test_any_json_object_is_read_or_rejected(tree: dict[str, Any]) -> None:
    text = json.dumps({"schema": 1} | tree).encode()
    decode([text])
    for reader in SMALL:
        rejected(reader, text)


@pytest.mark.parametrize(
    "text",
    [
        b"{" * 200_000,
        b'{"a":' * 40_000,
        b'{"gaps":' + b"[" * 200_000,
        b'{"gaps":[' + b'{"gaps":[' * 20_000,
        b'{"schema":1,"schema":1}',
        b'{"schema":1,"count":' + b"9" * 5000 + b"}",
        b'{"schema":1,"count":1e400}',
        b'{"schema":1,"count":NaN}',
        b'{"schema":1,"count":Infinity}',
        b'{"schema":NaN}',
        b'{"schema":1,"deviceTime":"9223372036854775808"}',
        b'{"schema":1,"embeddingCodec":-1}',
        b'{"schema":1,"no_such_field":1}',
        b'{"schema":1,"site":"\\ud800"}',
        b'{"schema":1,"site":"\xff"}',
        b"{}",
        b"{\x00}",
        b'{"schema":1}}',
    ],
    ids=lambda text: text[:24].decode(errors="replace"),
)
def test_json_that_is_no_message_is_rejected(text: bytes) -> None:
    assert [refused.error.reason for refused in decode([text]).refused] in ([Reason.MALFORMED], [Reason.BAD_SHAPE])
    for reader in SMALL:
        assert rejected(reader, text)


def test_a_list_is_no_message() -> None:
    assert decode([b"[" * 200_000]).headers == ()


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_rejected(seed: int) -> None:
    noise = np.random.default_rng(seed).bytes(1000)
    assert decode([noise]).headers == ()
    assert all(rejected(reader, noise) for reader in SMALL)


def test_nothing_larger_than_the_limit_is_opened() -> None:
    sealed = seal(SMALL[messages.read_sample])
    with pytest.raises(Rejected, match="oversize"):
        unseal(Sample, sealed, len(sealed) - 1)
    assert unseal(Sample, sealed, len(sealed)).seq == 7
