"""A topic that is no text is taken and logged like any other: it must not stop what comes after it."""

from paho.mqtt.client import MQTTMessage

from operators.decode import decode
from operators.records import Records
from pipelines.receiver import Group
from schemas.errors import Reason
from tests.factories import NOON


def test_a_topic_that_is_not_utf8_becomes_a_reject() -> None:
    message = MQTTMessage(mid=7, topic=b"gleaner/v1/00/\xff\xfe/up/hello")
    message.payload, message.qos = b"hi", 1
    group = Group()
    group.take(message)
    assert group.ids == [(7, 1)]
    (taken,) = group.messages
    records = Records(
        partition=0, offsets=[1], received_us=[NOON], topics=[taken.topic], payloads=[taken.payload], tick_us=None
    )
    assert [refusal.error.reason for refusal in decode(records, {}).refusals] == [Reason.BAD_TOPIC]
