"""Shards: what an ingest process takes is whole partitions, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from pipelines.shards import share_of
from schemas.errors import SettingsError
from schemas.topics import SHARDS, Up, partition_of, up_topic
from tests.schemas.test_topics import DEVICES


def test_the_default_is_the_whole_fleet_with_one_filter() -> None:
    share = share_of("00-ff", 4)
    assert share.filters == ("gleaner/v1/+/+/up/+",)
    assert (share.partitions, share.suffix) == ((0, 1, 2, 3), "")


@given(st.integers(1, 256), st.data())
def test_shares_of_different_partitions_have_no_shard_in_common_and_miss_none(
    partitions: int, data: st.DataObject
) -> None:
    own = data.draw(st.sets(st.integers(0, partitions - 1), min_size=1))
    rest = set(range(partitions)) - own
    shares = [
        share_of(",".join(f"{each:02x}-ff/{partitions}" for each in some), partitions) for some in (own, rest) if some
    ]
    assert set(shares[0].partitions) == own
    if rest:
        assert len({share.suffix for share in shares}) == 2
        filters = [each for share in shares for each in share.filters]
        assert len(filters) == len(set(filters)) == SHARDS


@given(DEVICES, st.sampled_from((2, 3, 8, 256)), st.integers(0, 255))
def test_what_a_share_is_sent_belongs_to_its_partitions(device: str, partitions: int, lie: int) -> None:
    for topic in (
        up_topic(device, Up.HELLO),
        f"gleaner/v1/{lie:02x}/{device}/up/hello",
        f"gleaner/v1/zz/{device}/up/x",
    ):
        takers = []
        for partition in range(partitions):
            share = share_of(f"{partition:02x}-ff/{partitions}", partitions)
            if any(topic_matches_sub(each, topic) for each in share.filters):
                takers.append(partition)
        assert takers in ([partition_of(topic, partitions)], [])
        assert takers or "zz" in topic


@pytest.mark.parametrize(
    ("told", "partitions", "says"),
    [
        ("00-7f", 4, r"partition 0 of 4 needs all of its shards, 00-ff/4: add 80, 84, 88, 8c"),
        ("00", 128, r"partition 0 of 128 needs all of its shards, 00-ff/128: add 80 "),
        ("", 4, "no shard"),
        ("0", 4, "'0' is no shard; say two hex digits"),
        ("0x-ff", 4, "no shard"),
        ("+1", 4, "no shard"),
        ("00-fff", 4, "no shard"),
        ("00-", 4, "no shard"),
        ("00-ff/x", 4, "no shard"),
        ("00-ff/0", 4, "is no shard|holds no shard"),
        ("00-ff/-1", 4, "holds no shard"),
        ("80-7f", 4, "holds no shard"),
        ("00-ff,", 4, "no shard"),
    ],
)
def test_a_set_that_can_not_be_taken_is_refused_and_told_how(told: str, partitions: int, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        share_of(told, partitions)


def test_names_are_short_and_tell_the_partitions() -> None:
    assert share_of("00-ff/4,01-ff/4,03-ff/4", 4).suffix == "-0-1_3"
    assert share_of("00-7f", 256).suffix == "-0-127"
    assert share_of("00-7e/2, 81", 256).filters[-1] == "gleaner/v1/81/+/up/+"
