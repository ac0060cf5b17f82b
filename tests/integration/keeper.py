"""A server in miniature: keeps each row it is sent once, and acknowledges what it has, with its holes."""

import threading
from collections import Counter, defaultdict
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_publisher.ranges import runs
from schemas import wire
from schemas.envelope import SCHEMA, seal
from schemas.errors import Rejected
from schemas.messages import read_hello
from schemas.topics import Down, Up, down_topic, parse_up
from schemas.wire_pb2 import Ack, Hole

WAIT_S = 20.0


class Keeper:
    def __init__(self, port: int) -> None:
        self.rows: dict[str, dict[int, str]] = defaultdict(dict)
        self.refused: Counter[str] = Counter()
        self.attributes: dict[str, dict[str, str]] = {}
        self.wrong_topics = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="keeper", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_connect = lambda client, *_: client.subscribe("gleaner/v1/+/+/up/#", 1)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Keeper":
        self._client.loop_start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            origin = parse_up(message.topic)
        except Rejected:
            self.wrong_topics += 1
            return
        if origin.kind is Up.HELLO:
            self.attributes[origin.device] = dict(read_hello(message.payload).attributes)
        if origin.kind is not Up.INFERENCES:
            return
        decoded = wire.decode([message.payload])
        if decoded.refused:
            self.refused[origin.device] += 1
            return
        header, digests = decoded.headers[0], decoded.columns.sample_digest
        for place in range(header.count):
            digest = digests[32 * place : 32 * place + 32].hex()
            kept = self.rows[origin.device].setdefault(header.first_seq + place, digest)
            assert kept == digest
        self._acknowledge(origin.device, header.stream)

    def _acknowledge(self, device: str, stream: bytes) -> None:
        ranges = runs(self.rows[device])
        through = ranges[0][1] if ranges[0][0] == 0 else -1
        ahead = ranges[-1][1]
        message = Ack(schema=SCHEMA, stream=stream, through=through, ahead=ahead)
        for first, last in runs(set(range(through + 1, ahead + 1)) - set(self.rows[device])):
            message.holes.append(Hole(first_seq=first, last_seq=last))
        self._client.publish(down_topic(device, Down.ACK), seal(message), qos=1)
