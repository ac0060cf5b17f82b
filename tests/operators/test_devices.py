"""Devices: a hello's attributes come to the lake as a map, in one order, and a status has none."""

from operators.decode import decode
from operators.dedup import dedup
from schemas.envelope import seal
from schemas.topics import Up
from schemas.wire_pb2 import Hello, Status
from tests.factories import STREAM, log


def test_attributes_are_told_by_name_whatever_their_order_on_the_wire() -> None:
    named = {"lens": "wide", "housing": "IP 67/b"}
    hellos = [
        Hello(schema=1, stream=STREAM, attributes=dict(each)) for each in (named.items(), reversed(named.items()))
    ]
    messages = [("cam-1", Up.HELLO, seal(each)) for each in (*hellos, Hello(schema=1, stream=STREAM))]
    messages.append(("cam-1", Up.STATUS, seal(Status(schema=1, stream=STREAM))))
    rows = dedup({}, decode(log(messages), {})).devices
    told = [("housing", "IP 67/b"), ("lens", "wide")]
    assert rows["attributes"].to_pylist() == [told, told, [], None]
    assert rows["event"].to_pylist() == ["hello"] * 3 + ["status"]


def test_a_hello_with_attributes_that_can_not_be_is_a_reject() -> None:
    bad = Hello(schema=1, stream=STREAM, attributes={"Lens": "wide"})
    unique = dedup({}, decode(log([("cam-1", Up.HELLO, seal(bad))]), {}))
    assert unique.devices.num_rows == 0
    (row,) = unique.rejects.to_pylist()
    assert (row["reason"], row["payload"]) == ("out_of_range", seal(bad))


def test_a_hello_by_hand_may_have_them_too() -> None:
    text = b'{"schema": 1, "stream": "AAECAwQFBgcICQoLDA0ODw==", "attributes": {"lens": "wide"}}'
    rows = dedup({}, decode(log([("cam-1", Up.HELLO, text)]), {})).devices
    assert rows["attributes"].to_pylist() == [[("lens", "wide")]]
