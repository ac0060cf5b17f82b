"""Ingest against brokers that stall, forget and refuse, with a log that is full, and several of it at once."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from pipelines import progress
from pipelines.log import LogReader, partitions_of
from pipelines.progress import Progress
from schemas.topics import Up, partition_of, shard_of, up_topic
from tests.factories import header, payload
from tests.integration.mosquitto import Broker, free_port, running
from tests.integration.service import WAIT_S, ask, command, service, stop, until

pytestmark = pytest.mark.integration
TICK = "log.tick=0.2"


@contextmanager
def publisher(broker: Broker) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, client_id="publisher", protocol=MQTTProtocolVersion.MQTTv5)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def named(data: Path, name: str, settings: tuple[str, ...]) -> Iterator["subprocess.Popen[str]"]:
    """An ingest whose talk is in a file of its own."""
    with (data / f"{name}.log").open("a") as log:
        process = subprocess.Popen(command(data, "ingest", settings=settings), stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            stop(process, signal.SIGTERM)


def said(data: Path, name: str = "ingest") -> str:
    return (data / f"{name}.log").read_text()


def connected(data: Path, name: str = "ingest", times: int = 1) -> None:
    until(lambda: said(data, name).count("event=connected") >= times, "ingest is connected")


def logged(folder: Path) -> set[bytes]:
    """The payloads of all messages in the log."""
    found: set[bytes] = set()
    for partition in range(partitions_of(folder)):
        with closing(LogReader(folder, partition)) as reader:
            found |= {each for batch in reader.read(0, 1 << 30, 1 << 40)[0] for each in batch.payloads}
    return found


def test_a_full_log_takes_nothing_from_the_broker_and_goes_on_by_itself(tmp_path: Path, mosquitto: Broker) -> None:
    data = tmp_path / "data"
    settings = (f"mqtt.port={mosquitto.port}", TICK, "log.max_bytes=16777216", "mqtt.receive_maximum=20")
    sent = {f"{number:04d}".encode() + bytes(100_000) for number in range(400)}
    seen: set[bytes] = set()
    with service(data, "ingest", settings=settings) as ingest, publisher(mosquitto) as client:
        connected(data)
        for each in sorted(sent):
            client.publish(up_topic(f"cam-{each[3]}", Up.HELLO), each, qos=1)
        until(lambda: "the log is full" in said(data), "the log is full")
        time.sleep(1)
        assert 100 < len(logged(data / "log")) < 200
        assert said(data).count("the log is full") == 1
        assert ingest.poll() is None

        def all_seen() -> bool:
            seen.update(logged(data / "log"))
            published = Progress(data)
            for partition in range(4):
                published.published(partition, LogReader(data / "log", partition).end())
            return seen == sent

        until(all_seen, "everything has arrived, once there was room for it")
        assert "the log has room again" in said(data)
        assert stop(ingest, signal.SIGTERM) == 0


def test_a_full_log_ends_at_once_with_sigterm(tmp_path: Path, mosquitto: Broker) -> None:
    data = tmp_path / "data"
    settings = (f"mqtt.port={mosquitto.port}", TICK, "log.max_bytes=16777216")
    with service(data, "ingest", settings=settings) as ingest, publisher(mosquitto) as client:
        connected(data)
        for number in range(300):
            client.publish(up_topic(f"cam-{number}", Up.HELLO), bytes(100_000), qos=1)
        until(lambda: "the log is full" in said(data), "the log is full")
        assert stop(ingest, signal.SIGTERM) == 0


@pytest.mark.parametrize("moment", ["connected", "connecting"])
def test_a_broker_that_stands_still_does_not_hold_up_the_end(moment: str, tmp_path: Path, mosquitto: Broker) -> None:
    data = tmp_path / "data"
    settings = (f"mqtt.port={mosquitto.port}", TICK)
    try:
        if moment == "connecting":
            os.kill(mosquitto.process.pid, signal.SIGSTOP)
        with service(data, "ingest", settings=settings) as ingest:
            if moment == "connected":
                connected(data)
                os.kill(mosquitto.process.pid, signal.SIGSTOP)
            else:
                until((data / "log" / "log.json").exists, "ingest has begun")
            assert stop(ingest, signal.SIGTERM) == 0
        assert "Traceback" not in said(data)
    finally:
        os.kill(mosquitto.process.pid, signal.SIGCONT)


def test_what_was_not_logged_stays_with_the_broker(tmp_path: Path, mosquitto: Broker) -> None:
    data = tmp_path / "data"
    settings = (f"mqtt.port={mosquitto.port}", TICK, "log.commit_wait=20", "log.commit_records=100000")
    sent = {f"{number}".encode() for number in range(50)}
    with service(data, "ingest", settings=settings) as ingest, publisher(mosquitto) as client:
        connected(data)
        for each in sent:
            client.publish(up_topic("cam-1", Up.HELLO), each, qos=1).wait_for_publish(WAIT_S)
        assert stop(ingest, signal.SIGTERM) == 0
    with service(data, "ingest", settings=(f"mqtt.port={mosquitto.port}", TICK)):
        until(lambda: logged(data / "log") == sent, "the broker has sent them again, or they were logged")


def test_a_session_that_the_broker_lost_is_told_and_a_first_one_is_not(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    with service(data, "ingest", settings=(f"mqtt.port={port}", TICK)) as ingest:
        with running(tmp_path / "first", port=port):
            connected(data)
        with running(tmp_path / "first", port=port):  # it has saved the session
            connected(data, times=2)
        assert "lost our session" not in said(data)
        with running(tmp_path / "second", port=port):
            connected(data, times=3)
            assert said(data).count("the broker lost our session") == 1
            assert stop(ingest, signal.SIGTERM) == 0
    with running(tmp_path / "third", port=port), service(data, "ingest", settings=(f"mqtt.port={port}", TICK)):
        connected(data, times=4)
        assert said(data).count("the broker lost our session") == 2


class Refusing(threading.Thread):
    """A broker that takes connections and refuses subscriptions, as a strict access list does."""

    CONNACK = bytes((0x20, 3, 0, 0, 0))
    SUBACK_REFUSED = bytes((0x90, 4, 0, 1, 0, 0x87))

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.asked = 0
        self.start()

    def run(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link:
                link.recv(4096)
                link.sendall(self.CONNACK)
                if link.recv(4096)[:1] == b"\x82":
                    self.asked += 1
                    link.sendall(self.SUBACK_REFUSED)
                link.recv(4096)


def test_a_subscription_that_is_refused_is_told_and_tried_again(tmp_path: Path) -> None:
    data, broker = tmp_path / "data", Refusing()
    port = broker.listener.getsockname()[1]
    with service(data, "ingest", settings=(f"mqtt.port={port}", TICK)) as ingest:
        until(lambda: broker.asked >= 3, "it asks again")
        assert "refused the subscription to gleaner/v1/+/+/up/+; check its access list" in said(data)
        assert "event=connected" not in said(data)
        assert ingest.poll() is None
    broker.listener.close()


def test_two_of_them_share_the_fleet_and_one_goes_on_when_the_other_is_killed(
    tmp_path: Path, mosquitto: Broker
) -> None:
    data = tmp_path / "data"
    common = (f"mqtt.port={mosquitto.port}", TICK, "flow.epoch=0.3", "log.partitions=2")
    halves = [(*common, f"mqtt.shards={half:02x}-ff/2") for half in range(2)]
    devices = [f"cam-{number}" for number in range(12)]
    assert {shard_of(device) % 2 for device in devices} == {0, 1}
    sent = 0

    def send(client: Client) -> None:
        nonlocal sent
        for device in devices:
            of = header(first_seq=2 * sent, device_time_us=time.time_ns() // 1000)
            client.publish(up_topic(device, Up.INFERENCES), payload(of, sent), qos=1)
        sent += 1

    def rows(half: int | None = None) -> int:
        own = [d for d in devices if half is None or partition_of(up_topic(d, Up.HELLO), 2) == half]
        names = ", ".join(f"'{device}'" for device in own)
        [(count, distinct)] = ask(
            data / "lake", f"select count(*), count(distinct (device, seq)) from inferences where device in ({names})"
        )
        assert count == distinct
        return int(count) // len(own)

    data.mkdir()
    with ExitStack() as world:
        parts = []
        for half, settings in enumerate(halves):
            parts.append(world.enter_context(named(data, f"half-{half}", settings)))
            connected(data, f"half-{half}")
        world.enter_context(service(data, "run", settings=common))
        until((data / "lake").is_dir, "there is a lake")
        client = world.enter_context(publisher(mosquitto))
        for _ in range(5):
            send(client)
        until(lambda: rows() == 2 * sent, "all rows of both halves are in the lake")
        assert stop(parts[0], signal.SIGKILL) == -signal.SIGKILL
        for _ in range(5):
            send(client)
        until(lambda: rows(1) == 2 * sent, "the other half goes on")
        assert rows(0) < 2 * sent
        world.enter_context(named(data, "again", halves[0]))
        until(lambda: rows() == 2 * sent, "what waited at the broker follows")
        assert set(progress.read(data)) == {0, 1}
