"""Dedup: each record has one fate, the first that the log tells, however it is resent, reordered or cut."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import decode
from operators.dedup import MAX_KEPT_PAYLOAD, Unique, dedup
from operators.records import Records
from operators.seen import MAX_HOLES, Seen
from operators.streams import MAX_STREAMS, MAX_WORDS, Device, Streams
from operators.validate import ModelShape
from schemas.embedding import Codec
from schemas.envelope import seal
from schemas.errors import Reason
from schemas.messages import read_sample
from schemas.topics import Up, up_topic
from schemas.wire import MAX_SEQ, Limits
from schemas.wire_pb2 import Feedback, Gap, Gaps, Hello, Inferences, Sample, Status
from tests.factories import LABELS, NOON, STREAM, Message, header, inferences, log, payload

KNOWN = {("digits", 3): ModelShape(labels=LABELS, codec=Codec.I8, dims=4)}
OTHER = bytes(16)
Record = tuple[str, str, int]  # device, stream, seq
Fates = dict[Record, tuple[str, int]]  # → (what became of it, offset of the message that decided)


@dataclass(frozen=True)
class Claim:
    """One message, and what it makes of the records it holds."""

    device: str
    stream: bytes
    first: int
    fates: tuple[str, ...]
    sealed: bytes
    kind: Up = Up.INFERENCES

    @property
    def records(self) -> list[Record]:
        return [(self.device, self.stream.hex(), self.first + place) for place in range(len(self.fates))]


def rows(device: str, stream: bytes, first: int, kinds: Sequence[str]) -> Claim:
    """A message of inferences, each row good or faulty in its own way; a number always has the same content."""
    of = header(stream=stream, first_seq=first, count=len(kinds))
    scores = np.array([[np.nan if kind == "not_finite" else 0.5, 0.2] for kind in kinds], np.float32)
    classes = np.array([[LABELS if kind == "unknown_class" else 1, 2] for kind in kinds], np.uint16)
    digests = b"".join(hashlib.sha256(str(first + place).encode()).digest() for place in range(len(kinds)))
    same = {"sample_digest": digests, "device_time_delta_us": np.zeros(len(kinds), np.int32)}
    sealed = payload(of, first, scores=scores.ravel(), class_ids=classes.ravel(), **same)
    return Claim(device, stream, first, tuple(kinds), sealed)


def newer(device: str, stream: bytes, first: int, count: int) -> Claim:
    """A message of a schema to come, whole, whose records are known."""
    message = Inferences(schema=2, stream=stream, first_seq=first, count=count, model="?")
    return Claim(device, stream, first, ("schema_newer",) * count, seal(message))


def given_up(device: str, stream: bytes, first: int, count: int) -> Claim:
    """A gap that the device declares."""
    gap = Gap(first_seq=first, last_seq=first + count - 1, reason="full", device_time=NOON)
    return Claim(device, stream, first, ("gap",) * count, seal(Gaps(schema=1, stream=stream, gaps=[gap])), kind=Up.GAPS)


DEVICES, STREAMS, FIRST = st.sampled_from(("cam-1", "cam-2")), st.sampled_from((STREAM, OTHER)), st.integers(0, 25)
KINDS = st.lists(st.sampled_from(("row", "row", "row", "not_finite", "unknown_class")), min_size=1, max_size=6)
CLAIMS = (
    st.builds(rows, DEVICES, STREAMS, FIRST, KINDS)
    | st.builds(newer, DEVICES, STREAMS, FIRST, st.integers(1, 4))
    | st.builds(given_up, DEVICES, STREAMS, FIRST, st.integers(1, 4))
)


def records_of(claims: Sequence[Claim], first_offset: int = 0) -> Records:
    return log([(claim.device, claim.kind, claim.sealed) for claim in claims], first_offset)


def wanted(claims: Sequence[Claim]) -> Fates:
    fates: Fates = {}
    for offset, claim in enumerate(claims):
        for record, fate in zip(claim.records, claim.fates, strict=True):
            fates.setdefault(record, (fate, offset))
    return fates


def told(all_unique: Sequence[Unique]) -> list[tuple[Record, tuple[str, int]]]:
    """Every fate in the tables, doubles and all."""
    found = []
    for unique in all_unique:
        for row in unique.inferences.to_pylist():
            found.append(((row["device"], row["stream"], row["seq"]), ("row", row["log_offset"])))
        for table in (unique.rejects, unique.gaps):
            for row in table.to_pylist():
                fate = row["reason"] if table is unique.rejects else "gap"
                for seq in range(row["first_seq"], row["last_seq"] + 1):
                    found.append(((row["device"], row["stream"], seq), (fate, row["log_offset"])))
    return found


def seen_of(device: Device) -> dict[str, Seen]:
    return {name: stream.seen for name, stream in device.streams.items()}


def run(claims: Sequence[Claim], cuts: Sequence[int] = ()) -> tuple[list[Unique], Streams]:
    streams: Streams = {}
    edges = [0, *sorted({min(cut, len(claims)) for cut in cuts}), len(claims)]
    batches = [records_of(claims[a:b], a) for a, b in itertools.pairwise(edges)]
    return [dedup(streams, decode(batch, KNOWN)) for batch in batches], streams


@settings(deadline=None, max_examples=200)
@given(st.lists(CLAIMS, max_size=12), st.data())
def test_each_record_has_exactly_one_fate(claims: list[Claim], data: st.DataObject) -> None:
    resent = claims + data.draw(st.lists(st.sampled_from(claims), max_size=6) if claims else st.just([]))
    order = data.draw(st.permutations(resent))
    all_unique, streams = run(order, data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    found = told(all_unique)
    assert len(found) == len(dict(found))
    assert dict(found) == wanted(order)
    sent = sum(len(claim.fates) for claim in order)
    assert sum(unique.duplicates for unique in all_unique) == sent - len(found)
    assert sum(unique.deferred + unique.forks for unique in all_unique) == 0
    for device, known in streams.items():
        for stream, seen in seen_of(known).items():
            taken = set(range(seen.through + 1)) | {n for a, b in seen.ahead for n in range(a, b + 1)}
            assert taken == {seq for d, s, seq in dict(found) if (d, s) == (device, stream)}


@settings(deadline=None)
@given(st.lists(CLAIMS, max_size=12), st.lists(st.integers(0, 12), max_size=6))
def test_where_the_log_is_cut_changes_no_table(claims: list[Claim], cuts: list[int]) -> None:
    def tables(all_unique: list[Unique], name: str) -> list[Any]:
        return sorted((row for each in all_unique for row in getattr(each, name).to_pylist()), key=repr)

    whole, one = run(claims)
    parts, other = run(claims, cuts)
    for name in ("inferences", "rejects", "gaps"):
        assert tables(whole, name) == tables(parts, name)
    assert one == other


@settings(deadline=None, max_examples=12)
@given(st.permutations(range(0, 400, 2)), st.randoms(use_true_random=False))
def test_a_stream_in_pieces_is_whole_once_the_device_has_resent_what_was_not_acknowledged(
    order: list[int], random: Any
) -> None:
    every = {seq: inferences(first_seq=seq, count=1) for seq in [*range(1, 400, 2), *order]}
    streams: Streams = {}
    missing, found = list(order) + list(range(1, 400, 2)), []
    for _ in range(400):
        unique = dedup(streams, decode(log([every[seq] for seq in missing]), KNOWN))
        found += unique.inferences["seq"].to_pylist()
        seen = unique.acks["cam-1", STREAM.hex()]
        assert len(seen.ahead) <= MAX_HOLES
        assert unique.inferences.num_rows + unique.duplicates + unique.deferred == len(missing)
        durable = set(range(seen.through + 1)) | {n for a, b in seen.ahead for n in range(a, b + 1)}
        assert durable == set(found)
        missing = [seq for seq in every if seq not in durable]
        random.shuffle(missing)
        if not missing:
            break
    assert sorted(found) == list(range(400))
    assert seen_of(streams["cam-1"]) == {STREAM.hex(): Seen(399)}


def test_rows_that_make_no_sense_become_rejects_without_their_neighbours() -> None:
    kinds = ["row", "not_finite", "not_finite", "unknown_class", "row"]
    ((unique,), _) = run([rows("cam-1", STREAM, 10, kinds)])
    assert unique.inferences["seq"].to_pylist() == [10, 14]
    assert [(row["reason"], row["first_seq"], row["last_seq"]) for row in unique.rejects.to_pylist()] == [
        ("not_finite", 11, 12),
        ("unknown_class", 13, 13),
    ]
    assert unique.acks["cam-1", STREAM.hex()].ahead == ((10, 14),)


def test_a_whole_message_of_another_model_is_one_reject() -> None:
    sent = payload(header(codec=Codec.F16, count=5))
    ((unique,), _) = run([Claim("cam-1", STREAM, 0, (), sent)])
    (row,) = unique.rejects.to_pylist()
    assert (row["reason"], row["first_seq"], row["last_seq"], row["payload"]) == ("embedding_mismatch", 0, 4, sent)


def test_damage_settles_nothing() -> None:
    streams: Streams = {}
    damaged = ("cam-1", Up.INFERENCES, payload(header())[:-1] + b"?")
    unique = dedup(streams, decode(log([damaged]), KNOWN))
    assert (streams, dict(unique.acks)) == ({}, {})
    (row,) = unique.rejects.to_pylist()
    assert (row["reason"], row["stream"], row["first_seq"]) == ("crc_mismatch", None, None)
    assert row["payload"] == damaged[2]


def test_a_large_payload_is_kept_in_part() -> None:
    unique = dedup({}, decode(log([("cam-1", Up.INFERENCES, b"x" * (MAX_KEPT_PAYLOAD + 1))]), KNOWN))
    assert len(unique.rejects["payload"][0].as_py()) == MAX_KEPT_PAYLOAD


def test_the_same_numbers_of_another_device_or_stream_are_other_records() -> None:
    claims = [rows(device, stream, 0, ["row"]) for device in ("cam-1", "cam-2") for stream in (STREAM, OTHER)]
    ((unique,), _) = run(claims)
    assert (unique.inferences.num_rows, unique.duplicates) == (4, 0)


def test_a_gap_of_any_length_is_one_row() -> None:
    gap = Gap(first_seq=3, last_seq=MAX_SEQ - 1, reason="disk lost", device_time=NOON)
    message = ("cam-1", Up.GAPS, seal(Gaps(schema=1, stream=STREAM, gaps=[gap])))
    unique = dedup({}, decode(log([inferences(count=3), message, message]), KNOWN))
    assert unique.acks["cam-1", STREAM.hex()] == Seen(MAX_SEQ - 1)
    assert [(row["first_seq"], row["last_seq"], row["reason"]) for row in unique.gaps.to_pylist()] == [
        (3, MAX_SEQ - 1, "disk lost")
    ]


def streams_of(count: int, device: str = "cam-1") -> list[Message]:
    return [inferences(device, stream=place.to_bytes(16, "big"), count=1) for place in range(count)]


def test_a_device_with_too_many_streams_is_told_apart_and_its_known_ones_go_on() -> None:
    streams: Streams = {}
    unique = dedup(streams, decode(log([*streams_of(MAX_STREAMS + 2), *streams_of(1, "cam-2")]), KNOWN))
    assert unique.inferences.num_rows == MAX_STREAMS + 1
    assert unique.rejects["reason"].to_pylist() == [str(Reason.TOO_MANY_STREAMS)] * 2
    assert {device: len(known.streams) for device, known in streams.items()} == {"cam-1": MAX_STREAMS, "cam-2": 1}
    known = bytes(16)
    more = dedup(streams, decode(log([inferences(stream=known, first_seq=1, count=2)]), KNOWN))
    assert more.inferences.num_rows == 2


@pytest.mark.parametrize("make", [newer, given_up])
def test_gaps_and_newer_messages_of_too_many_streams_are_not_lost_silently(make: Any) -> None:
    streams: Streams = {}
    dedup(streams, decode(log(streams_of(MAX_STREAMS)), KNOWN))
    unique = dedup(streams, decode(records_of([make("cam-1", b"f" * 16, 0, 2)]), KNOWN))
    assert unique.rejects["reason"].to_pylist() == [str(Reason.TOO_MANY_STREAMS)]
    assert unique.gaps.num_rows == 0


def test_a_hello_is_answered_with_what_is_known() -> None:
    streams: Streams = {}
    hello = ("cam-1", Up.HELLO, seal(Hello(schema=1, stream=STREAM, next_seq=9, site="north", device_time=NOON)))
    assert dedup(streams, decode(log([hello]), KNOWN)).acks == {("cam-1", STREAM.hex()): Seen()}
    assert streams == {}
    dedup(streams, decode(log([inferences(count=4)]), KNOWN))
    unique = dedup(streams, decode(log([hello]), KNOWN))
    assert unique.acks == {("cam-1", STREAM.hex()): Seen(3)}
    (row,) = unique.devices.to_pylist()
    assert (row["event"], row["next_seq"], row["site"], row["outbox_records"]) == ("hello", 9, "north", None)


def test_the_other_messages_become_their_rows() -> None:
    messages = [
        ("cam-1", Up.STATUS, seal(Status(schema=1, stream=STREAM, next_seq=5, outbox_records=2, ring_bytes=7))),
        ("cam-1", Up.FEEDBACK, seal(Feedback(schema=1, stream=STREAM, seq=3, kind="corrected", class_id=8))),
        ("cam-1", Up.SAMPLES, seal(Sample(schema=1, stream=STREAM, request_id=STREAM, outcome="evicted"))),
    ]
    unique = dedup({}, decode(log(messages), KNOWN))
    (status,), (feedback,) = unique.devices.to_pylist(), unique.feedback.to_pylist()
    assert (status["event"], status["outbox_records"], status["ring_bytes"], status["site"]) == ("status", 2, 7, None)
    assert (feedback["kind"], feedback["class_id"], feedback["seq"], feedback["log_offset"]) == ("corrected", 8, 3, 1)
    assert [read_sample(receipt.payload).outcome for receipt in unique.replies] == ["evicted"]


def test_a_message_is_its_topics_whatever_it_says() -> None:
    records = Records(
        partition=0,
        offsets=[0],
        received_us=[NOON],
        topics=[up_topic("cam-7", Up.INFERENCES)],
        payloads=[payload(header(site="cam-1"))],
    )
    assert set(dedup({}, decode(records, KNOWN)).inferences["device"].to_pylist()) == {"cam-7"}


def test_a_message_too_large_to_be_read_settles_its_records_once_and_is_kept() -> None:
    large = inferences(first_seq=0, count=40)
    streams: Streams = {}
    small = Limits(payload_bytes=1024)
    first, again = (dedup(streams, decode(log([large], place), KNOWN, small)) for place in range(2))
    (row,) = first.rejects.to_pylist()
    assert (row["reason"], row["first_seq"], row["last_seq"], row["payload"]) == ("oversize", 0, 39, large[2])
    assert first.acks["cam-1", STREAM.hex()] == Seen(39)
    assert (again.rejects.num_rows, again.duplicates) == (0, 40)


def test_a_word_of_feedback_that_comes_again_is_one_row() -> None:
    def word(**changes: Any) -> Message:
        said = {"schema": 1, "stream": STREAM, "seq": 3, "kind": "corrected", "class_id": 8, "device_time": NOON}
        return "cam-1", Up.FEEDBACK, seal(Feedback(**said | changes))

    streams: Streams = {}
    messages = [word(), word(), word(seq=4), word(kind="confirmed"), word(class_id=7), word(device_time=NOON + 1)]
    assert dedup(streams, decode(log(messages), KNOWN)).feedback.num_rows == 5
    assert dedup(streams, decode(log(messages), KNOWN)).feedback.num_rows == 0
    other = ("cam-2", Up.FEEDBACK, messages[0][2])
    assert dedup(streams, decode(log([other]), KNOWN)).feedback.num_rows == 1
    many = [word(seq=100 + place) for place in range(MAX_WORDS)]
    dedup(streams, decode(log(many), KNOWN))
    assert len(streams["cam-1"].words) == MAX_WORDS
    assert dedup(streams, decode(log([messages[0]]), KNOWN)).feedback.num_rows == 1
