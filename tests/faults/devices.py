"""A process with some real agents: `python -m tests.faults.devices ROOT PROCESS PORT SEED`.

It may be killed at any point; started again, it goes on with what is on disk. While
there is a file `quiet` in ROOT, nothing new is observed and all else goes on.
"""

import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_publisher.agent import Agent
from edge_publisher.link import Link
from edge_publisher.model import Model
from edge_publisher.simulation.garbage import GarbageDevice
from schemas import bundle
from schemas.errors import Rejected
from schemas.messages import read_ack
from schemas.topics import Down
from tests.faults.fleet import FLEET, GARBAGE, SENDING, Spec, broker
from tests.faults.ledger import Ledger
from tests.faults.samples import sample
from tests.faults.witness import WitnessedLink

QUIET: Final = "quiet"
_GARBAGE_EVERY_S: Final = 0.15


@dataclass(slots=True)
class Device:
    """An agent, its ledger, and when it observes next."""

    spec: Spec
    agent: Agent
    ledger: Ledger
    seed: int
    due_s: float = 0.0
    rng: random.Random = field(default_factory=random.Random)

    def turn(self) -> None:
        """Observe a burst, if it is time: each record is in the ledger before and after."""
        if time.monotonic() < self.due_s:
            return
        self.due_s = time.monotonic() + self.rng.uniform(0.5, 1.5) * self.spec.every_s
        for n in self.ledger.intend(self.seed, self.rng.randint(1, self.spec.burst)):
            accepted = self.agent.observe(sample(self.seed, self.spec.device, n))
            if accepted is None:
                self.ledger.note({"do": "refused", "n": n})
            else:
                where = {"stream": accepted.stream.hex(), "seq": accepted.seq, "time": accepted.device_time_us}
                self.ledger.note({"do": "ok", "n": n} | where)


class Heard:
    """Writes down each acknowledgement before the agent hears it."""

    def __init__(self, agent: Agent, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._agent = agent
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def on_connected(self, session_present: bool) -> None:
        self._agent.on_connected(session_present)

    def on_message(self, kind: Down, payload: bytes) -> None:
        if kind is Down.ACK:
            self._note(payload)
        self._agent.on_message(kind, payload)

    def _note(self, payload: bytes) -> None:
        try:
            ack = read_ack(payload)
        except Rejected:
            return
        holes = [[hole.first_seq, hole.last_seq] for hole in ack.holes]
        line = {"stream": ack.stream.hex(), "through": ack.through, "ahead": ack.ahead, "holes": holes}
        os.write(self._file, (json.dumps(line) + "\n").encode())


def main(root: Path, process: str, port: int, seed: int) -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    models = {name: Model(bundle.read(root / "models" / name)) for name in {s.model for s in FLEET}}
    devices = [_device(spec, root, models[spec.model], port, seed) for spec in FLEET if spec.process == process]
    served: list[Callable[[], None]] = [lambda d=each: d.agent.serve(stop) for each in devices]  # type: ignore[misc]
    if process in GARBAGE:
        link = WitnessedLink(GARBAGE[process], broker(port))
        link.witness = root / "witness"
        noise = GarbageDevice(GARBAGE[process], link, random.getrandbits(32))
        served.append(lambda: _garbage(noise, root / QUIET, stop))
    threads = [threading.Thread(target=each, daemon=True) for each in served]
    for thread in threads:
        thread.start()
    while not stop.wait(0.01):
        if not (root / QUIET).exists():
            for each in devices:
                each.turn()
    for thread in threads:
        thread.join()


def _device(spec: Spec, root: Path, model: Model, port: int, seed: int) -> Device:
    agent = Agent(
        device=spec.device,
        site=f"site-{spec.device[-1]}",
        model=model,
        folder=root / "devices" / spec.process / spec.device,
        link=Link(spec.device, broker(port)),
        sending=SENDING,
        storage=spec.storage,
    )
    agent.link.downlink = Heard(agent, root / "acks" / f"{spec.device}.jsonl")
    ledger = Ledger(root / "ledger", spec.device)
    if spec.model == "wide":
        ledger.note({"do": "may_shed"})
    return Device(spec, agent, ledger, seed)


def _garbage(device: GarbageDevice, quiet: Path, stop: threading.Event) -> None:
    due = 0.0
    while not stop.is_set():
        device.link.poll(0.05)
        if time.monotonic() >= due and not quiet.exists() and device.publish():
            due = time.monotonic() + _GARBAGE_EVERY_S


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
