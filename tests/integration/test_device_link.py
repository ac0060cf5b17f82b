"""A real agent, a real broker, and a tiny server that acknowledges on command."""

import hashlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from edge_publisher import netpbm
from edge_publisher.agent import Agent
from edge_publisher.link import CONTENT_TYPE, Link
from edge_publisher.model import Model
from edge_publisher.sensor import Sample
from edge_publisher.settings import BrokerSettings, SendingSettings
from schemas.topics import Up
from schemas.wire_pb2 import Request
from tests.edge_publisher.models import in_memory
from tests.integration.mosquitto import Broker, await_port, free_port, running
from tests.integration.receiver import Receiver, until

pytestmark = pytest.mark.integration

QUICK = SendingSettings(batch_rows=4, batch_seconds=0.1, ack_timeout_s=60.0)


def broker_settings(port: int, protocol: str = "auto") -> BrokerSettings:
    return BrokerSettings(host="127.0.0.1", port=port, protocol=protocol, backoff_first_s=0.05, backoff_most_s=0.2)


def frames(count: int, seed: int = 0) -> list[Sample]:
    images = np.random.default_rng(seed).integers(0, 256, (count, 64, 64)).astype(np.uint8)
    return [Sample(data=netpbm.write(image), content_type=netpbm.PGM, array=image) for image in images]


@contextmanager
def agent_on(
    port: int, folder: Path, *, sending: SendingSettings = QUICK, protocol: str = "auto", device: str = "cam-1"
) -> Iterator[Agent]:
    link = Link(device, broker_settings(port, protocol))
    agent = Agent(
        device=device,
        site="north",
        model=Model(in_memory()),
        folder=folder,
        link=link,
        sending=sending,
        attributes={"lens": "wide"},
    )
    stop = threading.Event()
    server = threading.Thread(target=agent.serve, args=(stop,))
    server.start()
    try:
        yield agent
    finally:
        stop.set()
        server.join()
        agent.close()


@contextmanager
def receiver_on(port: int, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> Iterator[Receiver]:
    receiver = Receiver(port, protocol)
    try:
        yield receiver
    finally:
        receiver.close()


def test_what_is_accepted_arrives_and_is_freed_by_the_acknowledgement_only(mosquitto: Broker, tmp_path: Path) -> None:
    with receiver_on(mosquitto.port) as receiver, agent_on(mosquitto.port, tmp_path / "a") as agent:
        accepted = [agent.observe(sample) for sample in frames(10)]
        until(lambda: len(receiver.seen()) == 10)
        assert agent.outbox.count() == 10  # the broker has acknowledged, Gleaner has not
        assert {each.seq: each.digest for each in accepted if each} == receiver.digests
        hello = receiver.hellos[0]
        assert (hello.stream, hello.site, hello.model, hello.model_version) == (
            agent.outbox.stream,
            "north",
            "linear",
            1,
        )
        assert dict(hello.attributes) == {"lens": "wide"}
        assert receiver.content_types == {CONTENT_TYPE}
        receiver.ack("cam-1", bytes(16), through=9)  # of another stream
        receiver.ack("cam-1", agent.outbox.stream, through=5)
        until(lambda: agent.outbox.count() == 4)
        receiver.ack("cam-1", agent.outbox.stream, through=9)
        until(agent.sender.is_drained)


def test_exactly_the_holes_are_sent_again(mosquitto: Broker, tmp_path: Path) -> None:
    with receiver_on(mosquitto.port) as receiver, agent_on(mosquitto.port, tmp_path / "a") as agent:
        for sample in frames(20):
            agent.observe(sample)
        until(lambda: len(receiver.seen()) == 20)
        first_time = len(receiver.batches)
        for _ in range(3):  # repeated acknowledgements do not repeat the answer
            receiver.ack("cam-1", agent.outbox.stream, through=3, holes=[range(6, 8), range(11, 12)], ahead=19)
        until(lambda: len(receiver.seen()) >= 23)
        receiver.ack("cam-1", agent.outbox.stream, through=19)
        until(agent.sender.is_drained)
        assert [batch for _, batch in receiver.batches[first_time:]] == [range(6, 8), range(11, 12)]
        assert agent.sender.counts.resent_batches == 2


def test_silence_sends_all_again_until_it_is_acknowledged(mosquitto: Broker, tmp_path: Path) -> None:
    impatient = replace(QUICK, ack_timeout_s=0.3)
    with (
        receiver_on(mosquitto.port) as receiver,
        agent_on(mosquitto.port, tmp_path / "a", sending=impatient) as agent,
    ):
        for sample in frames(6):
            agent.observe(sample)
        until(lambda: sorted(receiver.seen())[:12] == sorted(2 * list(range(6))))
        receiver.ack("cam-1", agent.outbox.stream, through=5)
        until(agent.sender.is_drained)


def test_requests_are_answered_from_the_ring_as_often_as_asked(mosquitto: Broker, tmp_path: Path) -> None:
    with receiver_on(mosquitto.port) as receiver, agent_on(mosquitto.port, tmp_path / "a") as agent:
        sample = frames(1)[0]
        accepted = agent.observe(sample)
        assert accepted is not None
        known = {"stream": accepted.stream, "seq": accepted.seq, "sample_digest": accepted.digest}
        asked = [
            Request(request_id=b"a" * 16, max_bytes=100_000, **known),
            Request(request_id=b"b" * 16, max_bytes=100, **known),
            Request(request_id=b"c" * 16, stream=accepted.stream, seq=7, sample_digest=bytes(32)),
        ]
        until(lambda: bool(receiver.hellos))  # greeted after it had subscribed
        receiver.ask("cam-1", asked)
        until(lambda: len(receiver.samples) == 3)
        receiver.ask("cam-1", asked[:1])
        until(lambda: len(receiver.samples) == 4)
        outcomes = [(bytes(answer.request_id[:1]), answer.outcome) for answer in receiver.samples]
        assert outcomes == [(b"a", "delivered"), (b"b", "too_large"), (b"c", "evicted"), (b"a", "delivered")]
        for answer in (receiver.samples[0], receiver.samples[3]):
            assert hashlib.sha256(answer.sample).digest() == accepted.digest
            assert answer.content_type == netpbm.PGM


def test_a_broker_that_comes_later_and_goes_between_gets_everything(tmp_path: Path) -> None:
    port, samples = free_port(), frames(9)
    with agent_on(port, tmp_path / "a") as agent:
        for sample in samples[:3]:
            agent.observe(sample)
        for part in (samples[3:6], samples[6:]):
            with running(tmp_path / "mosquitto", port=port) as _broker, receiver_on(port) as receiver:
                for sample in part:
                    agent.observe(sample)
                expected = set(range(agent.outbox.next_seq))
                until(lambda wanted=expected, seen=receiver.seen: set(seen()) == wanted)
            # Nothing was acknowledged, and the next broker begins without our session.
            (tmp_path / "mosquitto" / "mosquitto.db").unlink(missing_ok=True)
            until(lambda: not agent.link.connected)
        assert agent.outbox.count() == 9


def test_batches_are_as_small_as_the_broker_wants_them(tmp_path: Path) -> None:
    with (
        running(tmp_path / "mosquitto", settings=("max_packet_size 2000",)) as broker,
        receiver_on(broker.port) as receiver,
        agent_on(broker.port, tmp_path / "a", sending=replace(QUICK, batch_rows=64)) as agent,
    ):
        until(lambda: agent.link.connected)
        for sample in frames(40):
            agent.observe(sample)
        until(lambda: set(receiver.seen()) == set(range(40)))
        assert len(receiver.batches) > 1


def test_a_record_above_the_brokers_limit_becomes_a_declared_gap(tmp_path: Path) -> None:
    with (
        running(tmp_path / "mosquitto", settings=("max_packet_size 400",)) as broker,
        receiver_on(broker.port) as receiver,
        agent_on(broker.port, tmp_path / "a") as agent,
    ):
        agent.observe(frames(1)[0])
        until(lambda: receiver.gaps == {0})
        assert agent.outbox.count() == 0
        receiver.ack("cam-1", agent.outbox.stream, through=0)
        until(agent.sender.is_drained)


def test_the_agent_goes_on_where_it_was_killed(mosquitto: Broker, tmp_path: Path) -> None:
    with receiver_on(mosquitto.port) as receiver:
        with agent_on(mosquitto.port, tmp_path / "a") as agent:
            stream = agent.outbox.stream
            for sample in frames(5):
                agent.observe(sample)
            until(lambda: len(receiver.seen()) == 5)
        with agent_on(mosquitto.port, tmp_path / "a") as agent:
            agent.observe(frames(1)[0])
            until(lambda: receiver.seen() == [*range(5), *range(6)])
            assert agent.outbox.stream == stream
            receiver.ack("cam-1", stream, through=5)
            until(agent.sender.is_drained)


@pytest.fixture
def amqtt(tmp_path: Path) -> Iterator[int]:
    """The port of an embedded broker that speaks 3.1.1 only, in a process of its own."""
    pytest.importorskip("amqtt", reason="amqtt is not installed")
    port, script = free_port(), tmp_path / "broker.py"
    script.write_text(
        "import asyncio\n"
        "from amqtt.broker import Broker\n"
        "async def main():\n"
        f"    listeners = {{'default': {{'type': 'tcp', 'bind': '127.0.0.1:{port}'}}}}\n"
        "    plugins = {'amqtt.plugins.authentication.AnonymousAuthPlugin': {'allow_anonymous': True}}\n"
        "    broker = Broker({'listeners': listeners, 'plugins': plugins})\n"
        "    await broker.start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with (tmp_path / "amqtt.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(script)], stdout=log, stderr=log)
        try:
            await_port(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(amqtt: int, tmp_path: Path) -> None:
    with (
        receiver_on(amqtt, MQTTProtocolVersion.MQTTv311) as receiver,
        agent_on(amqtt, tmp_path / "a") as agent,
    ):
        for sample in frames(5):
            agent.observe(sample)
        until(lambda: set(receiver.seen()) == set(range(5)))
        assert agent.link.protocol == "3.1.1"
        receiver.ack("cam-1", agent.outbox.stream, through=4)
        until(agent.sender.is_drained)


def test_no_broker_is_said_in_clear_words(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    link = Link("cam-1", broker_settings(port))
    with caplog.at_level(logging.WARNING):
        link.poll(0.0)
    assert f"no broker at 127.0.0.1:{port}" in caplog.text
    assert not link.connected
    assert not link.publish(Up.STATUS, b"")


def test_without_a_subscriber_it_says_so_once_and_sends_all_when_there_is_one(
    mosquitto: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sending = replace(QUICK, ack_timeout_s=0.2)
    with caplog.at_level(logging.INFO), agent_on(mosquitto.port, tmp_path / "a", sending=sending) as agent:
        for sample in frames(12):
            agent.observe(sample)
        until(lambda: agent.link.routing.unrouted > 3)
        batches = agent.sender.counts.batches
        until(lambda: agent.link.routing.unrouted > 6)  # hellos: the records wait
        assert agent.sender.counts.batches == batches
        with receiver_on(mosquitto.port) as receiver:
            until(lambda: set(receiver.seen()) == set(range(12)))
            receiver.ack("cam-1", agent.outbox.stream, through=11)
            until(agent.sender.is_drained)
    told = [record.message for record in caplog.records if "does not pass on" in record.message]
    assert len(told) == len(set(told)) > 0
    assert "passes on gleaner/v1/" in caplog.text
