"""Topics: where a message of a device goes, and whom a topic names.

`gleaner/v1/{shard}/{device}/{up|down}/{kind}`. The shard is a function of the
device id, so a set of shards can be subscribed by a process of its own.
"""

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from schemas.errors import Reason, Rejected

SHARDS = 256
MAX_TOPIC_CHARS = 256
_DEVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SHARD = re.compile(r"gleaner/v1/([0-9a-f]{2})/")
_TOPIC = re.compile(r"gleaner/v1/([0-9a-f]{2})/([^/]+)/(up|down)/([a-z]+)")


class Up(StrEnum):
    """What a device sends."""

    INFERENCES = "inferences"
    SAMPLES = "samples"
    GAPS = "gaps"
    HELLO = "hello"
    FEEDBACK = "feedback"
    STATUS = "status"


class Down(StrEnum):
    """What a device is sent."""

    ACK = "ack"
    REQUESTS = "requests"
    MODEL = "model"


_UP_KINDS = frozenset(kind.value for kind in Up)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a message, and of which kind it is; from the topic alone."""

    device: str
    kind: Up


def is_device_id(device: str) -> bool:
    """Whether `device` is a valid device id: 1 to 63 of a-z, 0-9 and inner dashes."""
    return _DEVICE.fullmatch(device) is not None


@lru_cache(maxsize=4096)
def is_name(name: str) -> bool:
    """Whether `name` may name a model or a site (it becomes part of a path, where SQL takes `null` for none)."""
    return _NAME.fullmatch(name) is not None and name != "null"


def shard_of(device: str) -> int:
    """The shard of a device: CRC-32 of its id modulo 256, in 0 … 255."""
    return zlib.crc32(device.encode()) % SHARDS


def up_topic(device: str, kind: Up) -> str:
    """The topic on which `device` sends `kind`."""
    return f"gleaner/v1/{shard_of(device):02x}/{device}/up/{kind}"


def down_topic(device: str, kind: Down) -> str:
    """The topic on which `device` is sent `kind`."""
    return f"gleaner/v1/{shard_of(device):02x}/{device}/down/{kind}"


@lru_cache(maxsize=1 << 16)
def parse_up(topic: str) -> Origin:
    """The device and kind that an `up` topic names.

    Raises:
        Rejected: `bad_topic`, or `wrong_shard` where the shard is not the device's.
    """
    found = _TOPIC.fullmatch(topic) if len(topic) <= MAX_TOPIC_CHARS else None
    if found is None or found[3] != "up" or not is_device_id(found[2]):
        raise Rejected(Reason.BAD_TOPIC, "not gleaner/v1/{shard}/{device}/up/{kind}")
    if found[4] not in _UP_KINDS:
        raise Rejected(Reason.BAD_TOPIC, f"nothing is sent as {found[4][:20]!r}")
    if int(found[1], 16) != shard_of(found[2]):
        raise Rejected(Reason.WRONG_SHARD, f"this device belongs to {shard_of(found[2]):02x}")
    return Origin(found[2], Up(found[4]))


def partition_of(topic: str, partitions: int) -> int:
    """The log partition of a topic: that of its shard, or 0 where it names none.

    By what the topic says, even where the device belongs to another shard: so whoever
    subscribes to the shards of a partition is sent nothing that another has to write.
    """
    found = _SHARD.match(topic)
    return int(found[1], 16) % partitions if found else 0
