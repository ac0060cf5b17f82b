"""Commands: what Gleaner tells devices, and people, over one MQTT connection.

Nothing here is stored: an acknowledgement that is lost is told again when the device
resends, a request when its time comes. So sending never waits and never fails. Notices
of alarms are kept by who sends them, until the broker has them: they are delivered.
"""

import threading
from collections.abc import Iterable
from typing import Final, Protocol

import paho.mqtt.client as paho
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from operators.requests import Request
from operators.seen import Ranges, Seen
from pipelines import metrics
from pipelines.backoff import Backoff
from pipelines.mqtt import check, open_client
from pipelines.settings import Mqtt
from schemas.envelope import seal
from schemas.errors import BrokerUnavailable, Refused, Unavailable
from schemas.messages import MAX_REQUESTS
from schemas.topics import Down, down_topic
from schemas.wire_pb2 import Ack, Hole, Requests
from schemas.wire_pb2 import Request as WireRequest

_GOODBYE_S: Final = 1.0
_GLANCE_S: Final = 0.2
_LATER: Final = frozenset({0x80, 0x83, 0x97})  # unspecified error, of the implementation, quota exceeded
log = structlog.get_logger()


class Commands(Protocol):
    """Where commands to devices go."""

    def send(self, topic: str, payload: bytes) -> None:
        """Send, or forget."""

    def deliver(self, topic: str, payload: bytes, stopping: threading.Event) -> None:
        """Send, and come back once the broker has acknowledged it, or soon after `stopping` is set.

        Raises:
            Unavailable: it is not known whether the broker has it.
            Refused: the broker will not have it.
        """


class Silence:
    """No devices to talk to: for replays and benchmarks."""

    def send(self, topic: str, payload: bytes) -> None:
        """Forget."""

    def deliver(self, topic: str, payload: bytes, stopping: threading.Event) -> None:
        """Forget."""


class MqttCommands:
    """Commands over MQTT; connects in the background and again after each loss."""

    def __init__(self, mqtt: Mqtt) -> None:
        """Start connecting.

        Raises:
            SettingsError: a file that the settings name can't be used.
        """
        check(mqtt)
        self._mqtt = mqtt
        self._client: paho.Client | None = None
        self._refused: dict[int, ReasonCode] = {}  # message id → why, of the ids whose last message was refused
        self._stop, self._gone = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._connect, name="commands", daemon=True)
        self._thread.start()

    def send(self, topic: str, payload: bytes) -> None:
        """Send while connected, forget otherwise."""
        client = self._client
        if client is not None and client.is_connected():
            client.publish(topic, payload, qos=1)

    def deliver(self, topic: str, payload: bytes, stopping: threading.Event) -> None:
        """Publish, not retained, and wait for the PUBACK; a connection that is lost meanwhile sends it again.

        Raises:
            Unavailable: no connection, the broker has no room, or the stop came first.
            Refused: an MQTT 5 broker said why not. A 3.1.1 broker acknowledges even what it does not allow.
        """
        client = self._client
        if client is None or not client.is_connected():
            raise BrokerUnavailable(f"no MQTT broker at {self._mqtt.host}:{self._mqtt.port}")
        told = client.publish(topic, payload, qos=1)
        try:
            while not told.is_published():
                if stopping.is_set():
                    raise Unavailable("the broker has not acknowledged it yet")
                told.wait_for_publish(_GLANCE_S)
        except (ValueError, RuntimeError) as error:
            raise BrokerUnavailable(f"the MQTT client takes nothing now: {error}") from error
        why = self._refused.get(told.mid)
        if why is not None:
            kind = Unavailable if why.value in _LATER else Refused
            raise kind(f"the broker refuses {topic}: {why}; may this user publish there?")

    def close(self) -> None:
        """Disconnect; a broker that does not answer is not waited for, and its thread ends with the process."""
        self._stop.set()
        self._thread.join(_GOODBYE_S)
        if self._client is not None:
            self._gone.clear()
            if self._client.disconnect() == paho.MQTT_ERR_SUCCESS and self._gone.wait(_GOODBYE_S):
                self._client.loop_stop()

    def _connect(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                client = open_client(self._mqtt, f"{self._mqtt.client_id}-commands")
            except BrokerUnavailable as error:
                log.warning("no broker for commands", why=str(error))
                self._stop.wait(backoff.next_s())
                continue
            client.reconnect_delay_set(1, 30)
            client.on_connect = lambda *_: metrics.CONNECTED.set(1)
            client.on_disconnect = self._on_disconnect
            client.on_publish = self._on_publish
            client.loop_start()
            self._client = client
            metrics.CONNECTED.set(1)
            return

    def _on_publish(self, _client: object, _data: object, mid: int, code: ReasonCode, _properties: object) -> None:
        """Note the broker's word on a message; comes before the message counts as published."""
        if code.is_failure:
            self._refused[mid] = code
        else:
            self._refused.pop(mid, None)

    def _on_disconnect(self, *_: object) -> None:
        metrics.CONNECTED.set(0)
        self._gone.set()


def send_acks(commands: Commands, acks: Iterable[tuple[tuple[str, str], Seen]]) -> None:
    """Tell each device what of its stream is durable."""
    for (device, stream), seen in acks:
        commands.send(
            down_topic(device, Down.ACK), seal(_ack(bytes.fromhex(stream), seen.through, seen.ahead, seen.holes))
        )
        metrics.ACKS.inc()


def send_requests(commands: Commands, requests: Iterable[Request], max_bytes: int) -> None:
    """Ask each device for its samples."""
    by_device: dict[str, list[WireRequest]] = {}
    for request in requests:
        row = request.selection.candidate.row
        by_device.setdefault(row["device"], []).append(
            WireRequest(
                request_id=request.selection.request_id,
                stream=bytes.fromhex(row["stream"]),
                seq=row["seq"],
                sample_digest=row["sample_digest"],
                max_bytes=max_bytes,
            )
        )
    for device, asked in by_device.items():
        for start in range(0, len(asked), MAX_REQUESTS):
            payload = seal(Requests(schema=1, requests=asked[start : start + MAX_REQUESTS]))
            commands.send(down_topic(device, Down.REQUESTS), payload)


def _ack(stream: bytes, through: int, ahead: Ranges, holes: Ranges) -> Ack:
    return Ack(
        schema=1,
        stream=stream,
        through=through,
        holes=[Hole(first_seq=first, last_seq=last) for first, last in holes],
        ahead=ahead[-1][1] if ahead else through,
    )
