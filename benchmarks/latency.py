"""How long it takes from a device's publish until it knows that its rows are durable.

    python -m benchmarks.latency [--seconds S] [--rate MESSAGES_PER_SECOND] [--quick]

Mosquitto, ingest and the dataflow run as an operator runs them. Messages of 16 inferences are published at a
steady rate; the time of each ends with the acknowledgement that covers it, which is sent once the lake holds its rows.
Once with the settings as they come, whose epoch of five seconds is most of it, and once with an epoch of one.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.figures import figure
from benchmarks.fleet import DEVICES, messages_of, write_bundle
from pipelines.settings import load
from schemas.messages import read_ack
from schemas.topics import parse_up
from tests.integration.mosquitto import running
from tests.integration.service import ask, service, until

_ROWS = 16


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None:
        sys.stderr.write("skipped: mosquitto is not here\n")
        return
    for epoch_s in (load().flow.epoch.total_seconds(), 1.0):
        sys.stderr.write(f"publishing for {asked.seconds:.0f} s with an epoch of {epoch_s:.0f} s …\n")
        with tempfile.TemporaryDirectory(prefix="gleaner-bench-") as folder:
            waits = _waits(Path(folder), epoch_s, asked)
        params = {"epoch_s": epoch_s, "rate": asked.rate, "rows_per_message": _ROWS, "messages": len(waits)}
        for name, place in (("p50", 49), ("p99", 98)):
            figure(f"publish_to_durable_{name}", statistics.quantiles(waits, n=100)[place], "s", **params)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Publish to durable row, as JSON lines.")
    parser.add_argument("--seconds", type=float, default=40.0, help="of publishing, for each setting")
    parser.add_argument("--rate", type=float, default=50.0, help="messages of 16 inferences in a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    asked = parser.parse_args()
    if asked.quick:
        asked.seconds /= 4
    return asked


class Fleet:
    """Publishes for all devices over one connection, and hears what they are told.

    Attributes:
        waits: seconds of each message from its publish to the acknowledgement that covers it.
    """

    def __init__(self, port: int) -> None:
        self.waits: list[float] = []
        self._lock = threading.Lock()
        self._sent: dict[str, list[tuple[int, float]]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, "fleet", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_ack
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("gleaner/v1/+/+/down/ack", qos=1)
        self._client.loop_start()

    def publish(self, rate: float, messages: int, seed: int) -> None:
        """Publish so many messages, `rate` of them in a second."""
        began = time.monotonic()
        for number, (topic, payload) in enumerate(messages_of(np.random.default_rng(seed), messages, _ROWS)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            with self._lock:
                waiting = self._sent.setdefault(parse_up(topic).device, [])
                waiting.append((self._last_seq(number), time.monotonic()))
            self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    @staticmethod
    def _last_seq(number: int) -> int:
        """The last seq in the message: all devices send in turn, and each counts its own."""
        return (number // DEVICES + 1) * _ROWS - 1

    def _on_ack(self, _client: Any, _userdata: Any, message: Any) -> None:
        now, through = time.monotonic(), read_ack(message.payload).through
        device = message.topic.split("/")[3]
        with self._lock:
            waiting = self._sent.get(device, [])
            while waiting and waiting[0][0] <= through:
                self.waits.append(now - waiting.pop(0)[1])


def _waits(folder: Path, epoch_s: float, asked: argparse.Namespace) -> list[float]:
    """The waits of all messages; every row must be in the lake."""
    messages, data = int(asked.seconds * asked.rate), folder / "data"
    write_bundle(data / "models" / "bench-1", asked.seed)
    with running(folder / "broker", settings=("max_inflight_messages 200",)) as broker:
        settings = (f"mqtt.port={broker.port}", f"flow.epoch={epoch_s}")
        with service(data, "ingest", settings=settings):
            until(lambda: "event=connected" in (data / "ingest.log").read_text(), "ingest is connected")
            with service(data, "run", settings=settings):
                until(lambda: "event=running" in (data / "run.log").read_text(), "the dataflow runs")
                fleet = Fleet(broker.port)
                fleet.publish(asked.rate, messages, asked.seed)
                until(lambda: len(fleet.waits) == messages, "every message is acknowledged")
                fleet.close()
        rows = ask(data / "lake", "select count(*), count(distinct (stream, seq)) from inferences")
    if rows != [(messages * _ROWS, messages * _ROWS)]:
        raise SystemExit(f"the lake holds {rows} of {messages * _ROWS} rows: these figures would mean nothing")
    return fleet.waits


if __name__ == "__main__":
    main()
