"""Decode: every row lands where its message says, and nothing makes it fail."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import Clock, Decoded, decode
from operators.dedup import dedup
from operators.records import Records
from schemas.embedding import CODECS, Codec
from schemas.envelope import seal
from schemas.errors import Reason
from schemas.tables import INFERENCES
from schemas.topics import Up, up_topic
from schemas.wire import TIMES, Header, Limits, row_widths
from schemas.wire_pb2 import Feedback, Gap, Gaps, Hello, Inferences, Sample, Status
from tests.factories import NOON, STREAM, Message, header, headers, inferences, log, payload

DAY = 86_400_000_000
SMALL: dict[Up, Any] = {
    Up.GAPS: Gaps(schema=1, stream=STREAM, gaps=[Gap(first_seq=3, last_seq=9, reason="full")]),
    Up.SAMPLES: Sample(schema=1, stream=STREAM, request_id=STREAM, outcome="evicted"),
    Up.HELLO: Hello(schema=1, stream=STREAM, site="north"),
    Up.STATUS: Status(schema=1, stream=STREAM, outbox_records=4),
    Up.FEEDBACK: Feedback(schema=1, stream=STREAM, kind="confirmed"),
}


def plainly(of: Header, sealed: bytes, device: str, received: int, offset: int, clock: Clock) -> list[dict[str, Any]]:
    """The rows of one message, read value by value."""
    message = Inferences.FromString(sealed)
    codec, k = CODECS[message.embedding_codec], of.top_k
    size = row_widths(k, codec, of.dims)[4]
    found = []
    for i in range(of.count):
        told = of.device_time_us + struct.unpack_from("<i", message.device_time_delta, 4 * i)[0]
        time = max(min(told, received + clock.skew_us), received - clock.horizon_us)
        found.append(
            {
                "date": time // DAY,
                "model": of.model,
                "device": device,
                "stream": of.stream.hex(),
                "seq": of.first_seq + i,
                "time": time,
                "device_time": told,
                "clock_off": time != told,
                "site": of.site,
                "model_version": of.model_version,
                "class_ids": list(struct.unpack_from(f"<{k}H", message.class_ids, 2 * k * i)),
                "scores": list(struct.unpack_from(f"<{k}f", message.scores, 4 * k * i)),
                "entropy": struct.unpack_from("<f", message.entropy, 4 * i)[0],
                "embedding": message.embedding[size * i : size * (i + 1)],
                "embedding_codec": str(codec),
                "embedding_scale": struct.unpack_from("<f", message.embedding_scale, 4 * i)[0]
                if codec.scaled
                else None,
                "sample_digest": message.sample_digest[32 * i : 32 * (i + 1)],
                "sample_bytes": struct.unpack_from("<I", message.sample_bytes, 4 * i)[0],
                "latency_us": struct.unpack_from("<I", message.latency_us, 4 * i)[0],
                "received": received,
                "log_partition": 0,
                "log_offset": offset,
            }
        )
    return found


def plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows with times and dates as numbers."""
    columns = {}
    for name in batch.schema.names:
        column = batch[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        columns[name] = column.cast(pa.int32()) if pa.types.is_date(column.type) else column
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]


def one(kind: Up, bytes_: bytes, **more: Any) -> Decoded:
    return decode(log([("cam-1", kind, bytes_)]), {}, **more)


GARBAGE = st.tuples(st.just("cam-9"), st.sampled_from(Up), st.binary(max_size=30))


@settings(deadline=None)
@given(st.lists(headers() | GARBAGE, max_size=6), st.sampled_from((Clock(), Clock(skew_us=0, horizon_us=0))))
def test_rows_are_those_that_a_plain_reader_finds(mixed: list[Any], clock: Clock) -> None:
    messages: list[Message] = []
    wanted = []
    for place, each in enumerate(mixed):
        if isinstance(each, Header):
            sealed, device = payload(each, place), f"cam-{place % 3}"
            messages.append((device, Up.INFERENCES, sealed))
            wanted += plainly(each, sealed, device, NOON + 1000 * place, place, clock)
        else:
            messages.append(each)
    decoded = decode(log(messages), {}, clock=clock)
    assert decoded.rows.schema == INFERENCES.schema
    decoded.rows.validate(full=True)
    assert plain(decoded.rows) == wanted
    assert sum(segment.count for segment in decoded.segments) == len(wanted) == len(decoded.faults)
    assert len(decoded.refusals) == sum(not isinstance(each, Header) for each in mixed)


@pytest.mark.parametrize(
    ("told", "time"),
    [
        (NOON, NOON),
        (NOON + 60, NOON + 60),
        (NOON + 61, NOON + 60),
        (NOON - 900, NOON - 900),
        (NOON - 901, NOON - 900),
        (0, NOON - 900),
        (TIMES[1] - 1000000, NOON + 60),
    ],
)
def test_a_devices_clock_is_believed_within_skew_and_horizon(told: int, time: int) -> None:
    still: dict[str, Any] = {"device_time_delta_us": np.zeros(2, np.int32)}
    sealed = payload(header(device_time_us=told), **still)
    rows = plain(one(Up.INFERENCES, sealed, clock=Clock(skew_us=60, horizon_us=900)).rows)
    assert [(row["time"], row["device_time"], row["clock_off"]) for row in rows] == [(time, told, time != told)] * 2
    assert rows[0]["date"] == time // DAY


@pytest.mark.parametrize(("kind", "message"), SMALL.items())
def test_small_messages_are_told_by_kind(kind: Up, message: Any) -> None:
    decoded = one(kind, seal(message))
    found = {
        Up.GAPS: decoded.gaps,
        Up.SAMPLES: decoded.samples,
        Up.HELLO: decoded.hellos,
        Up.STATUS: decoded.statuses,
        Up.FEEDBACK: decoded.feedback,
    }
    assert [each for each, told in found.items() if told] == [kind]
    assert decoded.refusals == ()
    assert found[kind][0][0].device == "cam-1"


@pytest.mark.parametrize("kind", Up)
@pytest.mark.parametrize("other", Up)
def test_a_message_on_the_wrong_topic_never_fails(kind: Up, other: Up) -> None:
    sealed = seal(SMALL[other]) if other in SMALL else payload(header())
    decoded = one(kind, sealed)
    dedup({}, decoded)
    assert kind == other or kind in (Up.HELLO, Up.STATUS) or len(decoded.refusals) == 1


@pytest.mark.parametrize(
    ("topic", "reason", "device"),
    [
        ("", Reason.BAD_TOPIC, None),
        ("gleaner/v1/00/x/y", Reason.BAD_TOPIC, None),
        (up_topic("cam-1", Up.HELLO).replace("cam-1", "cam-2"), Reason.WRONG_SHARD, None),
        (up_topic("cam-1", Up.HELLO), Reason.MALFORMED, "cam-1"),
        ("x" * 65_535, Reason.BAD_TOPIC, None),
    ],
)
def test_a_refusal_says_where_it_came_from(topic: str, reason: Reason, device: str | None) -> None:
    records = Records(partition=3, offsets=[7], received_us=[NOON], topics=[topic], payloads=[b""])
    decoded = decode(records, {})
    (refusal,) = decoded.refusals
    assert (refusal.error.reason, refusal.receipt.device, refusal.receipt.offset) == (reason, device, 7)
    rejects = dedup({}, decoded).rejects.to_pylist()
    assert [(row["reason"], row["device"], row["log_offset"], row["log_partition"]) for row in rejects] == [
        (str(reason), device, 7, 3)
    ]


@pytest.mark.parametrize("kind", Up)
def test_limits_hold_for_every_kind(kind: Up) -> None:
    sealed = seal(SMALL[kind]) if kind in SMALL else payload(header())
    (refusal,) = one(kind, sealed, limits=Limits(payload_bytes=len(sealed) - 1)).refusals
    assert refusal.error.reason == Reason.OVERSIZE


def test_no_records_are_no_rows_and_a_tick_passes() -> None:
    decoded = decode(log([], tick_us=NOON), {})
    assert (decoded.rows.num_rows, decoded.tick_us) == (0, NOON)
    assert decoded.rows.schema == INFERENCES.schema
    assert dedup({}, decoded).tick_us == NOON


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Up), st.binary(max_size=60)), max_size=10))
def test_any_bytes_on_any_topic_are_rows_or_rejects(noise: list[tuple[Up, bytes]]) -> None:
    decoded = decode(log([("cam-1", kind, bytes_) for kind, bytes_ in noise] + [inferences(count=3)]), {})
    unique = dedup({}, decoded)
    assert unique.inferences.num_rows == 3
    assert unique.rejects.num_rows == len(noise)


def test_mixed_codecs_keep_their_own_bytes() -> None:
    batch = decode(log([inferences(seed=s, codec=c, dims=s) for s, c in enumerate(Codec)]), {}).rows
    assert [len(value) for value in batch["embedding"].to_pylist()[::2]] == [0, 4, 4, 3, 4]
    assert [value is None for value in batch["embedding_scale"].to_pylist()[::2]] == [True, True, True, False, False]
