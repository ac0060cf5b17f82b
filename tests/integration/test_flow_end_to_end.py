"""Ingest and dataflow over a real broker, with a device made by hand: what arrives, what comes back, in which order."""

import hashlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import NOON, header, payload
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.fleet import write_bundle
from pipelines.log import LogReader
from schemas.envelope import seal
from schemas.errors import Reason
from schemas.messages import read_ack, read_requests
from schemas.topics import Down, Up, down_topic, partition_of, up_topic
from schemas.wire_pb2 import Feedback, Gap, Gaps, Hello, Sample, Status
from tests.integration.mosquitto import Broker, running
from tests.integration.service import WAIT_S, ask, drain, service, stop, until

pytestmark = pytest.mark.integration

DEVICE = "cam-1"
FAST = ("flow.epoch=0.3", "log.tick=0.1")


class Device:
    """A device by hand: publishes what a test says, keeps what it is told."""

    def __init__(self, broker: Broker, name: str = DEVICE) -> None:
        self.name, self.acks, self.requests = name, [], []
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)
        self._client.subscribe([(down_topic(name, kind), 1) for kind in Down])
        self._client.loop_start()

    def send(self, kind: Up, data: bytes, topic: str | None = None) -> None:
        """Publish and wait for the PUBACK."""
        self._client.publish(topic or up_topic(self.name, kind), data, qos=1).wait_for_publish(WAIT_S)

    def send_rows(self, first_seq: int, count: int = 2, **changes: Any) -> None:
        """Publish inferences that are of now."""
        now = time.time_ns() // 1000
        self.send(
            Up.INFERENCES, payload(header(first_seq=first_seq, count=count, device_time_us=now, **changes), first_seq)
        )

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        with self._lock:
            if message.topic.endswith(Down.ACK):
                self.acks.append(read_ack(message.payload))
            else:
                self.requests += read_requests(message.payload).requests


@pytest.fixture
def broker_settings(mosquitto: Broker) -> tuple[str, ...]:
    return (f"mqtt.port={mosquitto.port}", *FAST)


@pytest.fixture
def device(mosquitto: Broker) -> Iterator[Device]:
    made = Device(mosquitto)
    yield made
    made.close()


@pytest.fixture
def served(tmp_path: Path, broker_settings: tuple[str, ...]) -> Iterator[Path]:
    """The data folder of a running service."""
    data = tmp_path / "data"
    settings = (
        *broker_settings,
        "select.round=0.5",
        "select.labels_per_hour=36000",
        "select.bytes_per_hour=100000000000000",
    )
    write_bundle(data / "models" / "bench-1", seed=1)
    with service(data, "ingest", settings=settings):
        until((data / "log" / "000.sqlite").exists, "the log is there")
        with service(data, "run", settings=(*settings, "requests.retry=1", "requests.expire=60")):
            until(lambda: "event=connected" in (data / "ingest.log").read_text(), "ingest is connected")
            yield data


def test_rows_rejects_gaps_and_devices_reach_their_tables(served: Path, device: Device) -> None:
    stream = header().stream
    device.send(
        Up.HELLO, seal(Hello(schema=1, stream=stream, site="north", hardware="arm", agent="1.0", model="digits"))
    )
    rows = payload(header(device_time_us=time.time_ns() // 1000))
    device.send(Up.INFERENCES, rows)
    device.send(Up.INFERENCES, rows)
    device.send(Up.INFERENCES, b"garbage")
    device.send(Up.INFERENCES, payload(header()), topic="gleaner/v1/zz/cam-1/up/inferences")
    device.send(Up.INFERENCES, payload(header()), topic="gleaner/v1/00/cam-1/up/inferences")
    device.send(Up.GAPS, seal(Gaps(schema=1, stream=stream, gaps=[Gap(first_seq=2, last_seq=9, reason="outbox_full")])))
    device.send(Up.STATUS, seal(Status(schema=1, stream=stream, next_seq=10, outbox_records=3)))
    device.send(Up.FEEDBACK, seal(Feedback(schema=1, stream=stream, seq=1, kind="dismissed", device_time=NOON)))
    until(lambda: device.acks and device.acks[-1].through == 9, "all ten records are acknowledged")
    lake = served / "lake"
    until(lambda: ask(lake, "select count(*) from feedback") == [(1,)], "the last message is in the lake")
    assert ask(lake, "select device, seq from inferences order by seq") == [(DEVICE, 0), (DEVICE, 1)]
    assert ask(lake, "select first_seq, last_seq, reason from gaps") == [(2, 9, "outbox_full")]
    assert ask(lake, "select reason from rejects order by 1") == [
        (str(Reason.BAD_TOPIC),),
        (str(Reason.CRC_MISMATCH),),
        (str(Reason.WRONG_SHARD),),
    ]
    assert ask(lake, "select event, site, outbox_records from devices order by 1") == [
        ("hello", "north", None),
        ("status", None, 3),
    ]
    assert ask(lake, "select kind, seq from feedback") == [("dismissed", 1)]


def test_an_acknowledgement_names_nothing_that_can_not_be_read(served: Path, device: Device) -> None:
    for first in range(0, 12, 2):
        device.send_rows(first)
        until(lambda last=first + 1: device.acks and device.acks[-1].through >= last, "the rows are acknowledged")
        through = device.acks[-1].through
        rows = {seq for (seq,) in ask(served / "lake", "select seq from inferences")}
        assert set(range(through + 1)) <= rows


def test_holes_are_told_and_healed_by_what_comes_later(served: Path, device: Device) -> None:
    device.send_rows(0)
    device.send_rows(6)
    until(lambda: device.acks and device.acks[-1].ahead == 7, "the rows beyond the hole are acknowledged")
    ack = device.acks[-1]
    assert (ack.through, [(hole.first_seq, hole.last_seq) for hole in ack.holes]) == (1, [(2, 5)])
    device.send_rows(2, count=4)
    until(lambda: device.acks[-1].through == 7, "the hole is closed")
    assert ask(served / "lake", "select count(*), count(distinct seq) from inferences") == [(8, 8)]


def test_a_selected_sample_is_asked_for_and_kept_if_it_is_the_right_one(served: Path, device: Device) -> None:
    raw = b"P5 2 2 255 abcd"
    now = time.time_ns() // 1000
    told = {"sample_digest": hashlib.sha256(raw).digest() * 2, "sample_bytes": np.full(2, len(raw), np.uint32)}
    known = {"model": "bench", "model_version": 1, "dims": 64, "top_k": 3}
    device.send(Up.INFERENCES, payload(header(device_time_us=now, first_seq=2), 1))  # the server has no such model
    device.send(Up.INFERENCES, payload(header(device_time_us=now, **known), **told))
    until(lambda: device.requests, "a sample is asked for")
    request = device.requests[0]
    assert request.seq < 2
    answer = {"schema": 1, "stream": request.stream, "seq": request.seq, "request_id": request.request_id}
    device.send(Up.SAMPLES, seal(Sample(**answer, outcome="delivered", content_type="image/x", sample=b"another one")))
    device.send(Up.SAMPLES, seal(Sample(**answer, outcome="delivered", content_type="image/x", sample=raw + b"!")))
    device.send(Up.SAMPLES, seal(Sample(**answer, outcome="delivered", content_type="image/x", sample=raw)))
    device.send(Up.SAMPLES, seal(Sample(**answer, outcome="delivered", content_type="image/x", sample=raw)))
    device.send(Up.SAMPLES, seal(Sample(**answer | {"request_id": bytes(16)}, outcome="delivered", sample=raw)))
    lake = served / "lake"
    until(lambda: ask(lake, "select count(*) from rejects") == [(3,)], "the wrong answers are rejected")
    assert ask(lake, "select sample, content_type from samples") == [(raw, "image/x")]
    assert ask(lake, "select status from current_selections where status = 'delivered'") == [("delivered",)]
    wrong = [(Reason.DIGEST_MISMATCH,), (Reason.OVERSIZE,), (Reason.UNASKED,)]
    assert ask(lake, "select reason from rejects order by 1") == wrong


def test_what_the_broker_was_told_is_on_disk_survives_kill_9_of_ingest(
    tmp_path: Path, broker_settings: tuple[str, ...], device: Device
) -> None:
    data = tmp_path / "data"
    acknowledged = 0
    for _ in range(4):
        with service(data, "ingest", settings=broker_settings) as process:
            until(lambda: (data / "ingest.log").read_text().count("event=connected") > 0, "ingest is connected")
            (data / "ingest.log").write_text("")
            for _ in range(15):
                device.send_rows(acknowledged)
                acknowledged += 2
            assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    with service(data, "ingest", settings=broker_settings), service(data, "run", settings=broker_settings):
        until(lambda: device.acks and device.acks[-1].through == acknowledged - 1, "everything is acknowledged")
    counted = ask(data / "lake", "select count(*), count(distinct seq) from inferences")
    assert counted == [(acknowledged, acknowledged)]


def test_a_broker_that_restarts_is_found_again(
    tmp_path: Path, mosquitto: Broker, broker_settings: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    with service(data, "ingest", settings=broker_settings) as ingest:
        until(lambda: "event=connected" in (data / "ingest.log").read_text(), "ingest is connected")
        mosquitto.process.terminate()
        mosquitto.process.wait(WAIT_S)
        until(lambda: "no broker" in (data / "ingest.log").read_text(), "ingest says that the broker is gone")
        with running(tmp_path / "again", port=mosquitto.port) as again:
            until(lambda: (data / "ingest.log").read_text().count("event=connected") == 2, "it is connected again")
            sender = Device(again)
            sender.send_rows(0)
            sender.close()
            partition = LogReader(data / "log", partition_of(up_topic(DEVICE, Up.INFERENCES), 4))
            until(lambda: [*_topics(partition)] == [up_topic(DEVICE, Up.INFERENCES)], "the message is in the log")
        assert ingest.poll() is None


def _topics(partition: LogReader) -> Iterator[str]:
    for records in partition.read(0, 1000, 1 << 20)[0]:
        yield from records.topics


def test_the_log_read_again_decides_and_delivers_the_same(
    tmp_path: Path, broker_settings: tuple[str, ...], device: Device
) -> None:
    live, again = tmp_path / "live", tmp_path / "again"
    generous = ("select.round=0.5", "select.labels_per_hour=36000", "select.bytes_per_hour=100000000000000")
    settings = (*broker_settings, *generous, "requests.retry=1", "requests.expire=3")
    known = {"model": "bench", "model_version": 1, "dims": 64, "top_k": 3}
    for data in (live, again):
        write_bundle(data / "models" / "bench-1", seed=1)
    with service(live, "ingest", settings=settings):
        until(lambda: "event=connected" in (live / "ingest.log").read_text(), "ingest is connected")
        with service(live, "run", settings=settings):
            answered = 0
            for first in range(0, 16, 2):
                raw = [f"sample {first + place}".encode() for place in range(2)]
                told = {
                    "sample_digest": b"".join(hashlib.sha256(each).digest() for each in raw),
                    "sample_bytes": np.array([len(each) for each in raw], np.uint32),
                }
                of = header(first_seq=first, device_time_us=time.time_ns() // 1000, **known)
                device.send(Up.INFERENCES, payload(of, first, **told))
                until(lambda seen=answered: len(device.requests) > seen, "a sample is asked for")
                for request in device.requests[answered:]:
                    answered += 1
                    if request.seq % 3:  # every third request is left to expire
                        sample = f"sample {request.seq}".encode()
                        fields = {"stream": request.stream, "seq": request.seq, "request_id": request.request_id}
                        device.send(Up.SAMPLES, seal(Sample(schema=1, **fields, outcome="delivered", sample=sample)))
            counted = "select status, count(*) from current_selections where status <> 'requested' group by 1"
            until(lambda: {"delivered", "expired"} <= dict(ask(live / "lake", counted)).keys(), "requests ended")
    shutil.copytree(live / "log", again / "log")
    for data in (live, again):
        drain(data, *settings)
    for table in ("selections", "samples", "rejects", "inferences", "drift"):
        rows = [ask(data / "lake", f"select * from {table} order by all") for data in (live, again)]
        assert rows[0] == rows[1], table
        assert rows[0] or table in ("rejects", "drift")
