"""The whole service while its store says no: nothing is acknowledged, nothing is lost, nobody restarts it."""

import time
from pathlib import Path

import pytest

from tests.integration import minio
from tests.integration.http_proxy import Fault, proxied
from tests.integration.mosquitto import Broker
from tests.integration.service import ask, service, until
from tests.integration.test_flow_end_to_end import DEVICE, FAST, Device

pytestmark = [pytest.mark.integration, pytest.mark.minio]


def _settings(mosquitto: Broker, store: minio.Minio, endpoint: str, key: Path) -> tuple[str, ...]:
    return (
        f"mqtt.port={mosquitto.port}",
        *FAST,
        f"lake.url={store.bucket}",
        f"lake.endpoint=http://{endpoint}",
        f"lake.access_key={store.bucket.access_key}",
        f"lake.secret_key_file={key}",
    )


def _seqs(store: minio.Minio) -> list[int]:
    query = f"select seq from inferences where device = '{DEVICE}' order by seq"
    return [seq for (seq,) in ask(store.bucket, query)]


def test_rows_wait_for_an_overloaded_store_and_are_acknowledged_once_they_are_in_it(
    mosquitto: Broker, tmp_path: Path
) -> None:
    data, key = tmp_path / "data", tmp_path / "key"
    with minio.running(tmp_path / "store") as store, proxied(store.bucket.endpoint) as proxy:
        key.write_text(store.bucket.secret_key)
        settings = _settings(mosquitto, store, proxy.endpoint, key)
        with service(data, "ingest", settings=settings):
            until(lambda: "event=connected" in (data / "ingest.log").read_text(), "ingest is connected")
            with service(data, "run", settings=settings) as run:
                device = Device(mosquitto)
                device.send_rows(0)
                until(lambda: device.acks and device.acks[-1].through == 1, "what came before is acknowledged")
                proxy.fault = Fault.OVERLOADED
                for first in range(2, 20, 2):
                    device.send_rows(first)
                    time.sleep(0.1)
                until(lambda: "takes no rows" in (data / "run.log").read_text(), "the service says so")
                assert set(range(max(ack.through for ack in device.acks) + 1)) <= set(_seqs(store))
                assert device.acks[-1].through < 19
                proxy.fault = Fault.NONE
                until(lambda: device.acks[-1].through == 19, "all of it is acknowledged")
                device.close()
                assert run.poll() is None
        assert _seqs(store) == list(range(20))


def test_a_key_that_is_refused_is_waited_for_from_the_start(mosquitto: Broker, tmp_path: Path) -> None:
    data, key = tmp_path / "data", tmp_path / "key"
    with minio.running(tmp_path / "store") as store:
        key.write_text("not-the-key-at-all")
        settings = _settings(mosquitto, store, store.bucket.endpoint, key)
        with service(data, "ingest", settings=settings):
            until(lambda: "event=connected" in (data / "ingest.log").read_text(), "ingest is connected")
            with service(data, "run", settings=settings) as run:
                device = Device(mosquitto)
                device.send_rows(0)
                until(lambda: "waiting for the store" in (data / "run.log").read_text(), "the service says so")
                assert device.acks == []
                key.write_text(store.bucket.secret_key)
                until(lambda: device.acks and device.acks[-1].through == 1, "it is acknowledged")
                device.close()
                assert run.poll() is None
        assert _seqs(store) == [0, 1]
