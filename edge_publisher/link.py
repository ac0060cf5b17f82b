"""The MQTT link of a device: one connection, its session, and coming back to it.

One thread calls `poll`, and everything happens there: connecting, reading,
publishing, the calls to the `Downlink`. A message that the broker has not
acknowledged is kept and published again on the next connection; what the broker
has acknowledged is *not* durable, so the outbox still keeps it.

MQTT 5 is tried first. A broker that accepts the TCP connection but refuses the
CONNECT, closes, or says nothing, is asked in the other version next, and so in turn;
the version that was answered is kept. In 3.1.1 a broker does not tell how large a
packet may be: there, `sending.payload_bytes` must stay below its limit.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_publisher.backoff import Backoff
from edge_publisher.routing import Routing
from edge_publisher.settings import BrokerSettings
from edge_publisher.uplink import Downlink, TooLarge
from schemas.envelope import MAX_PAYLOAD_BYTES
from schemas.topics import Down, Up, down_topic, up_topic

CONTENT_TYPE: Final = "application/protobuf"
_PACKET_OVERHEAD: Final = 256  # more than topic, properties and lengths of a PUBLISH of ours
_CONNACK_TIMEOUT_S: Final = 5.0
_OTHER: Final = {
    MQTTProtocolVersion.MQTTv5: MQTTProtocolVersion.MQTTv311,
    MQTTProtocolVersion.MQTTv311: MQTTProtocolVersion.MQTTv5,
}
_HEARD: Final = (Down.ACK, Down.REQUESTS)

log = logging.getLogger(__name__)


class Link:
    """The connection of `device`; user name = client id = device id.

    Args:
        device: its id.
        settings: where the broker is.
        backoff: waits between attempts.
        clock: monotonic seconds.

    Attributes:
        downlink: who hears what comes; set it before the first `poll`.
        wanted: False takes the link down and keeps it down.
        routing: whether what is published reaches anybody.
        published_messages, published_bytes: PUBLISH payloads handed to the network, repeats included.
    """

    def __init__(
        self,
        device: str,
        settings: BrokerSettings,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.downlink: Downlink | None = None
        self.wanted = True
        self.routing = Routing(device)
        self.published_messages = 0
        self.published_bytes = 0
        self._device = device
        self._settings = settings
        self._backoff = backoff or Backoff(first_s=settings.backoff_first_s, most_s=settings.backoff_most_s)
        self._clock = clock
        self._client: Client | None = None
        self._connected = False
        self._since = clock()
        self._next_try = clock()
        self._protocol = MQTTProtocolVersion.MQTTv311 if settings.protocol == "3.1.1" else MQTTProtocolVersion.MQTTv5
        self._max_payload_bytes = MAX_PAYLOAD_BYTES
        self._window = settings.max_in_flight
        self._under_way: dict[int, tuple[str, bytes]] = {}
        self._again: list[tuple[str, bytes]] = []

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._connected

    @property
    def protocol(self) -> str:
        """The MQTT version that is spoken or tried: `5` or `3.1.1`."""
        return "5" if self._protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1"

    @property
    def max_payload_bytes(self) -> int:
        """What the broker said it takes, less topic and header; our reader's limit if it said nothing."""
        return self._max_payload_bytes

    def publish(self, kind: Up, payload: bytes) -> bool:
        """Send with QoS 1; see `Uplink.publish`."""
        return self.publish_to(up_topic(self._device, kind), payload)

    def publish_to(self, topic: str, payload: bytes) -> bool:
        """Send to any topic; otherwise as `publish`."""
        if len(payload) > self._max_payload_bytes:
            raise TooLarge(f"{len(payload)} bytes, the broker takes {self._max_payload_bytes}")
        if not self._connected or len(self._under_way) + len(self._again) >= self._window:
            return False
        self._send(topic, payload)
        return True

    def poll(self, timeout_s: float) -> None:
        """Do what is due: connect, read, keep alive; returns after at most about `timeout_s`, a connect aside."""
        if not self.wanted:
            self.close()
            time.sleep(timeout_s)
            return
        if self._client is None and not self._try_connect():
            time.sleep(timeout_s)
            return
        assert self._client is not None
        code = self._client.loop(timeout_s)
        late = not self._connected and self._clock() - self._since > _CONNACK_TIMEOUT_S
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or late:
            self._lost(f"{MQTTErrorCode(code).name}" if code else "no answer to CONNECT")

    def close(self) -> None:
        """Say goodbye and disconnect; what was under way goes out on the next connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError, ValueError):
                client.disconnect()
                client.loop(0.05)
            self._keep_for_later()

    def _try_connect(self) -> bool:
        if self._clock() < self._next_try:
            return False
        self._since = self._clock()
        try:
            client = self._new_client()
            self._dial(client)
        except (OSError, ValueError) as error:
            self._wait(f"no broker at {self._settings.host}:{self._settings.port}: {error}")
            return False
        self._client = client
        return True

    def _new_client(self) -> Client:
        five = self._protocol == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._device,
            clean_session=None if five else False,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(self._settings.max_in_flight)
        client.username_pw_set(self._device, _secret(self._settings.password_file))
        if self._settings.ca_file:
            cert, key = self._settings.cert_file or None, self._settings.key_file or None
            client.tls_set(self._settings.ca_file, cert, key)
        client.on_connect, client.on_publish, client.on_message = self._on_connect, self._on_publish, self._on_message
        return client

    def _dial(self, client: Client) -> None:
        where = (self._settings.host, self._settings.port, self._settings.keepalive_s)
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            client.connect(*where)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        client.connect(*where, clean_start=False, properties=properties)

    def _on_connect(self, client: Client, _data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            log.warning("%s: the broker refuses the connection: %s", self._device, code)
            return
        self._backoff.succeeded()
        self._connected = True
        self.routing.connected()
        limit = getattr(properties, "MaximumPacketSize", None)
        most = MAX_PAYLOAD_BYTES if limit is None else limit - _PACKET_OVERHEAD
        self._max_payload_bytes = max(0, min(MAX_PAYLOAD_BYTES, most))
        self._window = min(self._settings.max_in_flight, getattr(properties, "ReceiveMaximum", 65_535))
        client.subscribe([(down_topic(self._device, kind), 1) for kind in _HEARD])
        log.info("%s: connected by MQTT %s", self._device, self.protocol)
        again, self._again = self._again, []
        for topic, payload in again:
            if len(payload) <= self._max_payload_bytes:
                self._send(topic, payload)
        if self.downlink is not None:
            self.downlink.on_connected(bool(flags.session_present))

    def _on_publish(self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        topic, _ = self._under_way.pop(mid, ("", b""))
        if topic:
            self.routing.note(topic, code.value, str(code))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        kind = message.topic.rpartition("/")[2]
        if self.downlink is not None and kind in _HEARD and message.topic == down_topic(self._device, Down(kind)):
            self.downlink.on_message(Down(kind), bytes(message.payload))

    def _send(self, topic: str, payload: bytes) -> None:
        assert self._client is not None
        properties = None
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = CONTENT_TYPE
        sent = self._client.publish(topic, payload, qos=1, properties=properties)
        self._under_way[sent.mid] = (topic, payload)
        self.published_messages += 1
        self.published_bytes += len(payload)

    def _lost(self, why: str) -> None:
        refused = not self._connected
        self._client = None
        self._keep_for_later()
        self._wait(f"connection lost: {why}")
        if refused and self._settings.protocol == "auto":
            self._protocol = _OTHER[self._protocol]

    def _keep_for_later(self) -> None:
        self._connected = False
        self._again += self._under_way.values()
        self._under_way = {}

    def _wait(self, why: str) -> None:
        wait_s = self._backoff.failed()
        self._next_try = self._clock() + wait_s
        log.warning("%s: %s; next try in %.1f s", self._device, why, wait_s)


def _secret(path: str) -> str | None:
    """The password in a file, without the line end; None where no file is named."""
    return Path(path).read_text().rstrip("\r\n") if path else None
