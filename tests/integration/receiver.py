"""A tiny server for tests of the device: hears what a fleet sends, and acknowledges what it is told to."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from schemas import wire
from schemas.envelope import SCHEMA, seal
from schemas.messages import read_gaps, read_hello, read_sample
from schemas.topics import Down, Up, down_topic, parse_up
from schemas.wire_pb2 import Ack, Hello, Hole, Request, Requests, Sample

WAIT_S = 20.0


class Receiver:
    def __init__(self, port: int, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
        self.lock = threading.Lock()
        self.batches: list[tuple[str, range]] = []
        self.headers: list[wire.Header] = []
        self.digests: dict[int, bytes] = {}
        self.hellos: list[Hello] = []
        self.samples: list[Sample] = []
        self.gaps: set[int] = set()
        self.content_types: set[str] = set()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="receiver", protocol=protocol)
        self._client.on_message = self._on_message
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_connect = lambda client, *_: client.subscribe("gleaner/v1/+/+/up/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(WAIT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        origin = parse_up(message.topic)
        with self.lock:
            self.content_types.add(getattr(message.properties, "ContentType", None) or "")
            if origin.kind is Up.INFERENCES:
                self._note(origin.device, message.payload)
            elif origin.kind is Up.HELLO:
                self.hellos.append(read_hello(message.payload))
            elif origin.kind is Up.SAMPLES:
                self.samples.append(read_sample(message.payload))
            elif origin.kind is Up.GAPS:
                for gap in read_gaps(message.payload).gaps:
                    self.gaps |= set(range(gap.first_seq, gap.last_seq + 1))

    def _note(self, device: str, payload: bytes) -> None:
        decoded = wire.decode([payload])
        assert not decoded.refused
        header, digests = decoded.headers[0], decoded.columns.sample_digest
        self.headers.append(header)
        self.batches.append((device, range(header.first_seq, header.first_seq + header.count)))
        for place in range(header.count):
            self.digests[header.first_seq + place] = digests[place * 32 : place * 32 + 32]

    def seen(self) -> list[int]:
        """All numbers, in the order they came, repeats included."""
        with self.lock:
            return [seq for _, batch in self.batches for seq in batch]

    def ack(self, device: str, stream: bytes, through: int, holes: Iterable[range] = (), ahead: int = -1) -> None:
        message = Ack(schema=SCHEMA, stream=stream, through=through, ahead=ahead)
        message.holes.extend(Hole(first_seq=hole[0], last_seq=hole[-1]) for hole in holes)
        self._client.publish(down_topic(device, Down.ACK), seal(message), qos=1)

    def ask(self, device: str, requests: Iterable[Request]) -> None:
        self._client.publish(down_topic(device, Down.REQUESTS), seal(Requests(schema=SCHEMA, requests=requests)), qos=1)


def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; fail where it does not come to hold."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
