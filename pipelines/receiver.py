"""Receiver: one connection to the broker, whose messages are acknowledged when told.

One thread does it all: what is acknowledged came through this very connection, so an
id of an older one can never acknowledge a message that is not on disk.
"""

import json
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from pipelines.log import Message
from pipelines.mqtt import open_client, session_present
from pipelines.settings import Mqtt
from pipelines.stop import Stop
from schemas.errors import BrokerUnavailable

_QUIET_S: Final = 0.05
_TURN_S: Final = 1.0
_ANSWER_S: Final = 10.0
_GOODBYE_S: Final = 0.5


@dataclass(slots=True)
class Group:
    """Messages that will go to disk together.

    Attributes:
        messages: what to log.
        ids: packet ids to acknowledge, in the order of receipt.
        size: of the payloads in bytes.
    """

    messages: list[Message] = field(default_factory=list)
    ids: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0

    def take(self, message: paho.MQTTMessage) -> None:
        """Add one received message."""
        self.messages.append(Message(_topic(message), bytes(message.payload), _properties(message)))
        self.ids.append((message.mid, message.qos))
        self.size += len(message.payload)

    def clear(self) -> None:
        """Hold nothing any more."""
        self.messages.clear()
        self.ids.clear()
        self.size = 0


class Receiver:
    """A connection that subscribes; close it to hang up cleanly.

    Attributes:
        group: what was received and is not acknowledged yet.
        session_kept: whether the broker still knew this client when it connected.
        subscribed: whether the broker has taken the subscription.
    """

    def __init__(self, mqtt: Mqtt, name: str, filters: Sequence[str], stop: Stop) -> None:
        """Connect, and ask for the messages of `filters`.

        Raises:
            BrokerUnavailable: nobody answers, or the answer was no.
            Stopped: the stop was asked for while it connected.
        """
        self._client = open_client(mqtt, name, manual_ack=True, keep_session=True, stop=stop)
        self._stop, self._broker = stop, f"{mqtt.host}:{mqtt.port}"
        self.session_kept = session_present(self._client)
        self.group, self.subscribed = Group(), False
        self._refused: tuple[str, ...] = ()
        self._answer_by = time.monotonic() + _ANSWER_S
        self._client.on_message = lambda _client, _userdata, message: self.group.take(message)

        def on_subscribe(_client: Any, _userdata: Any, _mid: int, codes: list[Any], _properties: Any) -> None:
            self._refused = tuple(f for f, code in zip(filters, codes, strict=False) if code.is_failure)
            self.subscribed = not self._refused

        self._client.on_subscribe = on_subscribe
        self._client.subscribe([(each, 1) for each in filters])

    def receive(self, most: int, most_bytes: int, wait_s: float) -> None:
        """Read what is there into the group.

        Args:
            most: messages.
            most_bytes: of payload; what is read ends with the message that reaches it.
            wait_s: how long to wait for more after the first, in seconds.

        Raises:
            BrokerUnavailable: the connection is gone, or the broker does not let us subscribe.
        """
        deadline, messages = time.monotonic() + _TURN_S, self.group.messages
        while len(messages) < most and self.group.size < most_bytes and not self._stop.is_set():
            held = len(messages)
            self._check(self._client.loop_read())
            if not held and messages:
                deadline = time.monotonic() + wait_s
            left = deadline - time.monotonic()
            if len(messages) == held and (left <= 0 or not (self._readable(min(left, _QUIET_S)) or messages)):
                break
        self.flush(0.0)
        self._check(self._client.loop_misc())
        self._check_subscription()

    def acknowledge(self) -> None:
        """Tell the broker that it may forget what the group holds."""
        for mid, qos in self.group.ids:
            self._client.ack(mid, qos)
        self.flush(0.0)
        self.group.clear()

    def flush(self, seconds: float) -> None:
        """Write what is to be written, and wait no longer than this for a broker that does not read."""
        end = time.monotonic() + seconds
        while self._client.want_write() and (socket := self._client.socket()) is not None:
            left = max(0.0, end - time.monotonic())
            if not select.select([], [socket], [], left)[1] or self._client.loop_write():
                return

    def close(self) -> None:
        """Hang up: what was acknowledged is told, what was not stays with the broker. Takes half a second at most."""
        self._client.disconnect()
        self.flush(_GOODBYE_S)

    def _readable(self, seconds: float) -> bool:
        socket = self._client.socket()
        if socket is None:
            raise self._away("the connection was lost")
        return _pending(socket) or bool(select.select([socket], [], [], seconds)[0])

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._away("the connection was lost")

    def _check_subscription(self) -> None:
        if self._refused:
            raise self._away(f"it refused the subscription to {self._refused[0]}; check its access list")
        if not self.subscribed and time.monotonic() > self._answer_by:
            raise self._away("it does not answer the subscription")

    def _away(self, why: str) -> BrokerUnavailable:
        return BrokerUnavailable(f"no MQTT broker at {self._broker}: {why}")


def _pending(socket: Any) -> bool:
    """Whether a TLS socket has bytes that `select` does not see."""
    return hasattr(socket, "pending") and socket.pending() > 0


def _topic(message: paho.MQTTMessage) -> str:
    """The topic; empty where the broker let one pass that is no UTF-8, so that it is rejected like any other."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""


def _properties(message: paho.MQTTMessage) -> str | None:
    content_type = getattr(getattr(message, "properties", None), "ContentType", None)
    return _as_json(content_type) if content_type else None


@lru_cache(maxsize=256)
def _as_json(content_type: str) -> str:
    return json.dumps({"content_type": content_type})
