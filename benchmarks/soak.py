"""Whether memory stays flat while the store is stalled for long, and whether the backlog drains after it.

    python -m benchmarks.soak [--minutes M] [--rate MESSAGES_PER_SECOND] [--staging-mb MB]

Mosquitto, MinIO, ingest and the dataflow run as an operator runs them; a publisher sends messages of
16 inferences. After a minute MinIO is stopped with SIGSTOP for M minutes: what is committed waits on
local disk up to the bound given, beyond it the flow pauses and the log grows. Then MinIO goes on, the
publisher ends, and it is waited until the lake holds every message. Resident memory is read each second.
"""

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.figures import figure
from benchmarks.fleet import messages_of, write_bundle
from pipelines.views import connect
from tests.integration import minio, mosquitto
from tests.integration.service import service

_ROWS = 16
_WARM_S = 60.0
_DRAIN_S = 900.0
_MB = 1 << 20


class Publisher(threading.Thread):
    """Publishes at a steady rate until it is told to end."""

    def __init__(self, port: int, rate: float) -> None:
        super().__init__(daemon=True)
        self.sent, self.done = 0, threading.Event()
        self._rate = rate
        self._client = Client(CallbackAPIVersion.VERSION2, "soak", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def run(self) -> None:
        """Publish, one message after the other."""
        began = time.monotonic()
        for topic, payload in messages_of(np.random.default_rng(7), 1 << 30, _ROWS):
            if self.done.is_set():
                break
            self._client.publish(topic, payload, qos=1).wait_for_publish(60)
            self.sent += 1
            time.sleep(max(0.0, began + self.sent / self._rate - time.monotonic()))
        self._client.disconnect()
        self._client.loop_stop()


class Memory(threading.Thread):
    """Reads the resident memory of processes each second."""

    def __init__(self, processes: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.told: dict[str, list[tuple[float, int]]] = {name: [] for name in processes}
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}

    def run(self) -> None:
        """Read, until a process ends."""
        with contextlib.suppress(psutil.NoSuchProcess):
            while True:
                for name, process in self._processes.items():
                    self.told[name].append((time.monotonic(), process.memory_info().rss))
                time.sleep(1)

    def between(self, name: str, begin: float, end: float) -> int:
        """The median in a stretch of time, in bytes."""
        return int(statistics.median(rss for when, rss in self.told[name] if begin <= when <= end))


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="gleaner-soak-") as folder, _world(Path(folder), asked) as world:
        broker, store, processes = world
        publisher, memory = Publisher(broker.port, asked.rate), Memory(processes)
        publisher.start()
        memory.start()
        time.sleep(_WARM_S)
        store.process.send_signal(signal.SIGSTOP)
        stalled = time.monotonic()
        _wait(
            asked.minutes * 60,
            lambda: f"store stalled; {publisher.sent} messages sent, {_staged(Path(folder))} MB staged",
        )
        resumed = time.monotonic()
        _tell_memory(memory, stalled, resumed, asked)
        store.process.send_signal(signal.SIGCONT)
        publisher.done.set()
        publisher.join()
        took = _drained(store, publisher.sent, resumed)
        figure("soak_drained", took, "s", messages=publisher.sent, stalled_minutes=asked.minutes)
        for name in processes:
            figure("soak_peak_memory", max(rss for _, rss in memory.told[name]) / _MB, "MB", process=name)


def _tell_memory(memory: Memory, stalled: float, resumed: float, asked: argparse.Namespace) -> None:
    """Memory in the last minute of the stall, and against the first one."""
    for name in memory.told:
        first = memory.between(name, stalled, stalled + 60)
        last = memory.between(name, resumed - 60, resumed)
        figure("soak_memory", last / _MB, "MB", process=name, first_minute_mb=round(first / _MB, 1), rate=asked.rate)
        figure("soak_memory_growth", last / first, "ratio", process=name, stalled_minutes=asked.minutes)


@contextlib.contextmanager
def _world(folder: Path, asked: argparse.Namespace) -> Iterator[tuple[mosquitto.Broker, minio.Minio, dict[str, int]]]:
    write_bundle(folder / "models" / "bench-1", seed=7)
    with mosquitto.running(folder / "broker") as broker, minio.running(folder / "store") as store:
        settings = (f"mqtt.port={broker.port}", f"lake.staging_bytes={asked.staging_mb * _MB}", *store.settings)
        with service(folder, "ingest", settings=settings) as ingest:
            _wait_for(folder / "log" / "000.sqlite")
            with service(folder, "run", settings=settings) as run:
                yield broker, store, {"ingest": ingest.pid, "run": run.pid}


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.1)


def _wait(seconds: float, tell: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(30.0, end - time.monotonic()))
        sys.stderr.write(f"{tell()}\n")


def _staged(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "staging").rglob("*.parquet")) // _MB


def _drained(store: minio.Minio, messages: int, since: float) -> float:
    """Seconds until the lake holds every record of so many messages, once."""
    while time.monotonic() - since < _DRAIN_S:
        query = "select count(*), count(distinct (device, stream, seq)) from inferences"
        rows, distinct = connect(store.bucket).execute(query).fetchall()[0]
        if rows == messages * _ROWS:
            assert rows == distinct
            return time.monotonic() - since
        time.sleep(2)
    raise SystemExit(f"not drained within {_DRAIN_S:.0f} s: {rows} of {messages * _ROWS} rows")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the store is stalled")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--staging-mb", type=int, default=64, help="what may wait on local disk")
    return parser.parse_args()


if __name__ == "__main__":
    main()
