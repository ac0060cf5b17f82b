"""What a device may forget is kept whole, even where this version can't read it."""

from operators.decode import decode
from operators.dedup import MAX_KEPT_PAYLOAD, dedup
from schemas.envelope import SCHEMA, seal
from schemas.errors import Reason
from schemas.topics import Up
from schemas.wire_pb2 import Inferences
from tests.factories import header, inferences, log, payload


def test_a_message_of_a_newer_schema_is_kept_to_its_last_byte_once_its_records_are_settled() -> None:
    message = Inferences.FromString(payload(header(count=2000, dims=32)))
    message.schema = SCHEMA + 1
    message.ClearField("crc")
    sent = seal(message)
    unique = dedup({}, decode(log([("cam-1", Up.INFERENCES, sent)]), {}))
    (row,) = unique.rejects.to_pylist()
    assert (row["reason"], row["first_seq"], row["last_seq"]) == (Reason.SCHEMA_NEWER, 0, 1999)
    assert len(sent) > MAX_KEPT_PAYLOAD
    assert row["payload"] == sent


def test_of_garbage_only_the_start_is_kept() -> None:
    device, kind, _ = inferences()
    unique = dedup({}, decode(log([(device, kind, b"x" * 200_000)]), {}))
    assert len(unique.rejects.to_pylist()[0]["payload"]) == MAX_KEPT_PAYLOAD
