"""A device whose outbox was copied back from a backup, before the real service: nothing overwritten, nothing lost."""

import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_publisher import netpbm
from edge_publisher.agent import Accepted, Agent
from edge_publisher.link import Link
from edge_publisher.model import Model
from edge_publisher.sensor import Sample
from edge_publisher.settings import BrokerSettings, SendingSettings
from tests.edge_publisher.models import in_memory
from tests.integration.mosquitto import Broker
from tests.integration.service import ask, command, service, until

pytestmark = pytest.mark.integration

DEVICE = "cam-1"
FAST = ("flow.epoch=0.3", "log.tick=0.1")


@contextmanager
def agent_on(port: int, folder: Path, batch_seconds: float = 0.1) -> Iterator[Agent]:
    """One life of the device; it is served once the test says so."""
    link = Link(DEVICE, BrokerSettings(host="127.0.0.1", port=port, backoff_first_s=0.05, backoff_most_s=0.2))
    sending = SendingSettings(batch_rows=64, batch_seconds=batch_seconds, ack_timeout_s=5.0)
    agent = Agent(device=DEVICE, site="north", model=Model(in_memory()), folder=folder, link=link, sending=sending)
    try:
        yield agent
    finally:
        agent.close()


@contextmanager
def served(agent: Agent) -> Iterator[None]:
    stop = threading.Event()
    server = threading.Thread(target=agent.serve, args=(stop,))
    server.start()
    try:
        yield
    finally:
        stop.set()
        server.join()


def observe(agent: Agent, count: int, seed: int) -> dict[bytes, Accepted]:
    images = np.random.default_rng(seed).integers(0, 256, (count, 64, 64)).astype(np.uint8)
    samples = [Sample(data=netpbm.write(image), content_type=netpbm.PGM, array=image) for image in images]
    return {each.digest: each for each in map(agent.observe, samples) if each}


@contextmanager
def serving(data: Path, settings: tuple[str, ...]) -> Iterator[None]:
    with service(data, "ingest", settings=settings):
        until(lambda: "connected" in (data / "ingest.log").read_text(), "ingest hears")
        with service(data, "run", settings=settings):
            yield


def rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    return ask(data / "lake", query)


@pytest.mark.parametrize("batch_seconds", [0.01, 4.0], ids=["sent-before-the-answer", "answered-before-it-sends"])
def test_own_records_of_a_restored_outbox_arrive_under_new_numbers_or_as_forks(
    batch_seconds: float, mosquitto: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, folder, backup = tmp_path / "data", tmp_path / "device", tmp_path / "backup"
    settings = (f"mqtt.port={mosquitto.port}", *FAST)
    with serving(data, settings):
        with agent_on(mosquitto.port, folder) as agent, served(agent):
            first = observe(agent, 6, 1)
            until(agent.sender.is_drained, "the first records are durable")
        shutil.copytree(folder, backup)
        with agent_on(mosquitto.port, folder) as agent, served(agent):
            second = observe(agent, 10, 2)
            until(agent.sender.is_drained, "the records that the backup does not know are durable")
        with agent_on(mosquitto.port, backup, batch_seconds) as agent:  # the same outbox, as it was before
            third = observe(agent, 14, 3)
            assert {each.seq for each in third.values()} >= {each.seq for each in second.values()}
            with caplog.at_level(logging.ERROR), served(agent):
                until(agent.sender.is_drained, "the restored device is done")
                restores = agent.outbox.restores
                fourth = observe(agent, 3, 4)
                until(agent.sender.is_drained, "and goes on")
    every = {each[0] for each in rows(data, "select sample_digest from inferences")}
    assert every >= {*first, *second, *fourth}
    forks = rows(data, "select first_seq, last_seq, payload from rejects where reason = 'fork' order by all")
    kept = b"".join(payload for *_, payload in forks if payload)
    assert all(digest in every or digest in kept for digest in third)
    if batch_seconds > 1:
        assert (forks, restores, "it is an old copy" in caplog.text) == ([], 1, True)
        assert every >= set(third)
    else:
        assert sum(last - first + 1 for first, last, _ in forks) == len(second)
    assert rows(data, "select seq, count(*) from inferences group by all having count(*) > 1") == []
    told = _verify(data, settings)
    assert (told["holes"], told["doubled"]) == ([], [])


def _verify(data: Path, settings: tuple[str, ...]) -> dict[str, Any]:
    done = subprocess.run(
        command(data, "verify", "--json", "--settle", "0", settings=settings),
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
