"""The demo's processes: broker, ingest, dataflow, and a process of devices for each site."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from pipelines.demo.broker import broker_command
from pipelines.demo.plan import SITES, DemoPlan, fleet, settings_toml
from pipelines.models import digits
from schemas.errors import Unavailable

_START_S: Final = 30.0
_STOP_S: Final = 20.0
_HEAD_START_S: Final = 4.0


class World(AbstractContextManager["World"]):
    """Everything that runs; leaving it ends every process.

    Attributes:
        config: the server's settings file.
        broker: `mosquitto` or `embedded`.
        start_at: unix time at which the cameras start.
        told: site → the last line that its devices told.
        drained: the sites whose devices have nothing left to send.
    """

    def __init__(self, plan: DemoPlan) -> None:
        """Prepare the folder; start nothing yet."""
        self._plan = plan
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._files: list[IO[str]] = []
        self._port, self._ingest_port, self._run_port = free_ports(3)
        self.broker, self._broker_command = broker_command(plan.broker, self._port, plan.folder)
        protocol = "auto" if self.broker == "mosquitto" else "3.1.1"
        self._address = {"host": "127.0.0.1", "port": self._port, "protocol": protocol}
        self.config = plan.folder / "gleaner.toml"
        self.config.write_text(settings_toml(plan, self._address, self._ingest_port, self._run_port))
        images, labels = digits.heldout(plan.seed)
        np.savez(plan.folder / "images.npz", images=images, labels=labels)
        self.start_at = 0.0
        self.told: dict[str, dict[str, Any]] = {}
        self.drained: set[str] = set()

    def start(self) -> None:
        """Start the servers, wait until they serve, then the devices.

        Raises:
            Unavailable: a process ended, or took too long.
        """
        self._start("broker", self._broker_command)
        self._wait("broker", lambda: _answers(self._port))
        gleaner = [sys.executable, "-m", "pipelines.cli", "--config", str(self.config)]
        self._start("ingest", [*gleaner, "ingest"])
        self._wait("ingest", lambda: _metrics(self._ingest_port).get("gleaner_connected") == 1)
        self._start("run", [*gleaner, "run"])
        self.start_at = time.time() + _HEAD_START_S
        for site in SITES:
            file = self._plan.folder / f"fleet-{site}.json"
            file.write_text(json.dumps(fleet(self._plan, site, self._address, self.start_at), indent=1))
            devices = self._start(
                site, [sys.executable, "-m", "edge_publisher.cli", "--quiet", "simulate", "--config", str(file)]
            )
            threading.Thread(target=self._listen, args=(site, devices), daemon=True).start()
        self._wait("run", lambda: _metrics(self._run_port).get("gleaner_connected") == 1)

    def check(self) -> None:
        """Raise `Unavailable` if a process has ended that should run."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise Unavailable(f"{name} ended with status {process.returncode}: {_tail(self._log(name))}")

    def metrics(self) -> dict[str, float]:
        """The dataflow's counters now, labels joined to the name with slashes."""
        return _metrics(self._run_port)

    def stop(self) -> None:
        """Stop the dataflow cleanly, then the devices, then the rest."""
        for name in ("run", *SITES, "ingest", "broker"):
            self._end(name)

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        self.stop()
        for file in self._files:
            file.close()

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[str]:
        errors = self._log(name).open("w")
        self._files.append(errors)
        out = subprocess.PIPE if name in SITES else errors
        process = subprocess.Popen(command, stdout=out, stderr=errors, text=True, start_new_session=True)
        self._processes[name] = process
        return process

    def _wait(self, name: str, ready: Any) -> None:
        deadline = time.monotonic() + _START_S
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} was not ready in {_START_S:.0f} s: {_tail(self._log(name))}")
            time.sleep(0.05)

    def _listen(self, site: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            told = json.loads(line)
            self.told[site] = told
            if told["event"] == "drained":
                self.drained.add(site)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log(self, name: str) -> Path:
        return self._plan.folder / f"{name}.log"


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    with_sockets = [socket.socket() for _ in range(count)]
    for each in with_sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in with_sockets]
    for each in with_sockets:
        each.close()
    return ports


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _metrics(port: int) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {"/".join((sample.name, *sample.labels.values())): sample.value for sample in samples}


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return " | ".join(lines[-3:]) or f"see {path}"
