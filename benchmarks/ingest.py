"""How fast ingest takes messages to disk, next to a bare paho client that only counts them.

    python -m benchmarks.ingest [--messages N] [--runs R] [--quick]

Mosquitto collects N messages of one inference for two absent sessions; then each receiver drains its own,
one after the other, in turns. So the receiver is the bound, not the sender. The ratio of ingest to the
bare client is told for each pair of runs; the median counts. Publishing and starting Python are not part of it.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.figures import figure
from benchmarks.fleet import messages_of
from benchmarks.receive_once import BARE, FILTER
from pipelines.log import LogReader, partitions_of
from pipelines.mqtt import open_client
from pipelines.settings import Settings, load
from tests.integration.mosquitto import running

_BROKER = ("max_queued_messages 0", "max_inflight_messages 2000", "set_tcp_nodelay true")
_SENT_AT_ONCE = 1000


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None:
        sys.stderr.write("skipped: mosquitto is not here\n")
        return
    messages = list(messages_of(np.random.default_rng(asked.seed), asked.messages, 1))
    with tempfile.TemporaryDirectory(prefix="gleaner-bench-") as name:
        folder = Path(name)
        with running(folder / "broker", settings=_BROKER) as broker:
            settings = load(None, [f"mqtt.port={broker.port}"])
            for session in (f"{settings.mqtt.client_id}-ingest", BARE):
                _subscribe(settings, session)
            runs = [_pair(folder / f"{run}", settings, messages, run % 2 == 0) for run in range(asked.runs)]
    params = {"messages": asked.messages, "payload_bytes": len(messages[0][1]), "runs": asked.runs, "seed": asked.seed}
    for kind in ("bare", "ingest"):
        wall = statistics.median(run[kind]["wall_s"] for run in runs)
        cpu = statistics.median(run[kind]["cpu_s"] for run in runs)
        figure("received_messages_per_second", asked.messages / wall, "1/s", receiver=kind, **params)
        figure("cpu_microseconds_per_message", cpu / asked.messages * 1e6, "µs", receiver=kind, **params)
    ratios = [run["bare"]["wall_s"] / run["ingest"]["wall_s"] for run in runs]
    figure("ingest_to_bare_paho", statistics.median(ratios), "", **params)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Messages that ingest takes, as JSON lines.")
    parser.add_argument("--messages", type=int, default=50_000, help="of one inference")
    parser.add_argument("--runs", type=int, default=4, help="of each; the median counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a fifth of the messages, twice")
    asked = parser.parse_args()
    if asked.quick:
        asked.messages, asked.runs = asked.messages // 5, 2
    return asked


def _subscribe(settings: Settings, session: str) -> None:
    """Begin a session that collects messages while nobody is connected."""
    client = open_client(settings.mqtt, session, keep_session=True)
    client.on_subscribe = lambda told, *_: told.disconnect()
    client.subscribe(FILTER, qos=1)
    client.loop_forever()


def _pair(
    folder: Path, settings: Settings, messages: list[tuple[str, bytes]], bare_first: bool
) -> dict[str, dict[str, float]]:
    """Both receivers over the same messages."""
    sys.stderr.write(f"publishing {len(messages):,} messages …\n")
    _publish(settings.mqtt.port, messages)
    order = ("bare", "ingest") if bare_first else ("ingest", "bare")
    return {kind: _drain(kind, folder, settings.mqtt.port, len(messages)) for kind in order}


def _publish(port: int, messages: list[tuple[str, bytes]]) -> None:
    client = Client(CallbackAPIVersion.VERSION2, "sender", protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(_SENT_AT_ONCE)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for start in range(0, len(messages), _SENT_AT_ONCE):
        sent = [client.publish(topic, payload, qos=1) for topic, payload in messages[start : start + _SENT_AT_ONCE]]
        for each in sent:
            each.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def _drain(kind: str, folder: Path, port: int, messages: int) -> dict[str, float]:
    """One receiver, in a process of its own."""
    settings = [f"data_dir={folder / kind}", f"mqtt.port={port}"]
    command = [sys.executable, "-m", "benchmarks.receive_once", kind, str(messages), *settings]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if kind == "ingest" and _logged(folder / kind / "log") < messages:
        raise SystemExit("the log does not hold what was published: these figures would mean nothing")
    return told


def _logged(folder: Path) -> int:
    """Different messages in the log."""
    found = set()
    for partition in range(partitions_of(folder)):
        with closing(LogReader(folder, partition)) as reader:
            found |= {payload for batch in reader.read(0, 1 << 30, 1 << 40)[0] for payload in batch.payloads}
    return len(found)


if __name__ == "__main__":
    main()
