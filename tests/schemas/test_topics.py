"""Topics: any text is one of a device's topics or is rejected, and a shard is its device's."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Reason, Rejected
from schemas.topics import (
    SHARDS,
    Down,
    Origin,
    Up,
    down_topic,
    is_device_id,
    is_name,
    parse_up,
    partition_of,
    shard_of,
    up_topic,
)

DEVICES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
PIECES = st.sampled_from(
    ["gleaner", "v1", "up", "down", "00", "ff", "cam-1", "inferences", "..", "", "+", "#", "$share"]
)
TEXTS = st.text(max_size=80) | st.lists(PIECES | st.text(max_size=4), max_size=8).map("/".join)


@settings(deadline=None)
@given(DEVICES, st.sampled_from(Up))
def test_a_topic_names_its_device_and_kind(device: str, kind: Up) -> None:
    assert parse_up(up_topic(device, kind)) == Origin(device, kind)


@settings(deadline=None, max_examples=400)
@given(TEXTS)
def test_any_text_is_a_topic_of_its_device_or_is_rejected(text: str) -> None:
    try:
        origin = parse_up(text)
    except Rejected as error:
        assert error.reason in (Reason.BAD_TOPIC, Reason.WRONG_SHARD)  # noqa: PT017 - both ways are right
    else:
        assert up_topic(origin.device, origin.kind) == text


@settings(deadline=None)
@given(TEXTS | DEVICES.map(lambda device: up_topic(device, Up.HELLO)), st.integers(1, 64))
def test_any_text_has_a_partition(text: str, partitions: int) -> None:
    assert 0 <= partition_of(text, partitions) < partitions


@settings(deadline=None)
@given(DEVICES, st.integers(1, 64))
def test_all_topics_of_a_device_are_in_one_partition(device: str, partitions: int) -> None:
    topics = [up_topic(device, kind) for kind in Up]
    assert {partition_of(topic, partitions) for topic in topics} == {shard_of(device) % partitions}


@settings(deadline=None)
@given(DEVICES, st.integers(1, 64), st.integers(0, 255))
def test_a_topic_with_a_wrong_shard_is_in_the_partition_of_whoever_receives_it(
    device: str, partitions: int, lie: int
) -> None:
    assert partition_of(f"gleaner/v1/{lie:02x}/{device}/up/hello", partitions) == lie % partitions
    for odd in (f"{lie:02X}g", f"{lie:x}0{lie:x}", "", "+", " 1", "\u0663\u0663"):
        assert partition_of(f"gleaner/v1/{odd}/{device}/up/hello", partitions) == 0


@settings(deadline=None)
@given(DEVICES)
def test_a_shard_is_a_crc_of_the_id(device: str) -> None:
    assert shard_of(device) == zlib.crc32(device.encode("ascii")) % 256 < SHARDS


def test_known_topics() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32
    assert up_topic("123456789", Up.GAPS) == "gleaner/v1/26/123456789/up/gaps"
    assert down_topic("123456789", Down.ACK) == "gleaner/v1/26/123456789/down/ack"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "gleaner/v1/26/123456789/down/ack",
        "gleaner/v1/26/123456789/up/secrets",
        "gleaner/v1/26/123456789/up/hello/",
        "gleaner/v1/26/123456789/up/hello\n",
        "gleaner/v1/26/123456789\n/up/hello",
        "gleaner/v1/26//up/hello",
        "gleaner/v1/26/../up/hello",
        "gleaner/v1/26/a/../b/up/hello",
        "gleaner/v1/26/A/up/hello",
        "gleaner/v1/26/-a/up/hello",
        "gleaner/v1/26/+/up/hello",
        "gleaner/v1/26/a\0/up/hello",
        "gleaner/v1/26/é/up/hello",
        "gleaner/v1/26/\u0661/up/hello",
        "gleaner/v1/2/123456789/up/hello",
        "gleaner/v1/2G/123456789/up/hello",
        "gleaner/v2/26/123456789/up/hello",
        "/gleaner/v1/26/123456789/up/hello",
        "GLEANER/v1/26/123456789/up/hello",
        "gleaner/v1/26/" + "1" * 64 + "/up/hello",
        "gleaner/v1/26/" + "1" * 100_000 + "/up/hello",
    ],
    ids=lambda topic: repr(topic[:40]),
)
def test_what_is_no_topic_of_a_device(topic: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_up(topic)
    assert caught.value.reason == Reason.BAD_TOPIC


def test_another_shard_than_the_devices_is_told_apart() -> None:
    with pytest.raises(Rejected, match="26") as caught:
        parse_up("gleaner/v1/27/123456789/up/hello")
    assert caught.value.reason == Reason.WRONG_SHARD


@pytest.mark.parametrize("name", ["digits", "0", "north_2-b", "a" * 63])
def test_names_that_may_be_part_of_a_path(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a b", "A", "_a", "-a", "a.b", "a=b", "a\n", "a" * 64, "é"]
)
def test_names_that_may_not(name: str) -> None:
    assert not is_name(name)
    assert not is_device_id(name)
