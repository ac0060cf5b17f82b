"""The world: a broker, ingest, the dataflow, a store and a fleet, kept running whatever happens to them."""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.faults import disks
from tests.faults.bundles import write_bundles
from tests.faults.clock import SKEW
from tests.faults.devices import QUIET
from tests.faults.fleet import PARTITIONS, PROCESSES
from tests.faults.inject import MUTANT
from tests.faults.points import ARMED, HITS
from tests.faults.ports import port
from tests.faults.processes import Process, dies_with_us
from tests.faults.proxy import Proxy
from tests.faults.stores import Store

_REPOSITORY: Final = Path(__file__).parents[2]
_PATIENCE_S: Final = 30.0
_POLL_S: Final = 0.02
_RULES: Final = (
    "metrics.run_port=0",
    "metrics.ingest_port=0",
    f"log.partitions={PARTITIONS}",
    "log.tick=0.1",
    "flow.epoch=0.3",
    "drift.window=2",
    "drift.round=1",
    "drift.grace=1",
    "drift.false_alarm_days=0.001",
    "select.round=1",
    "select.labels_per_hour=36000",
    "select.labels_per_device_hour=7200",
    "select.bytes_per_hour=1000000000",
    "requests.retry=1",
    "requests.expire=10",
)


class World:
    """Everything that is needed to have records travel from devices into a lake, in one folder.

    Args:
        root: an empty folder.
        seed: of what the devices observe.
        store: where the lake lies.
        mutant: name of what is broken on purpose; nothing, if empty.
        with_disks: whether the log, the staging and a device process get small disks of their own.

    Attributes:
        processes: by name, in the order in which they start.
        full: the folders that can be filled up.
        lake_is_old: whether the lake was put back to what it was, and was not at rest since.
    """

    def __init__(self, root: Path, seed: int, store: Store, mutant: str = "", with_disks: bool = True) -> None:
        self.root, self.seed, self.store, self.mutant = root, seed, store, mutant
        self.data = root / "data"
        self.lake_is_old = False
        for name in ("ledger", "acks", "armed", "skew", "broker", "copies", "said"):
            (root / name).mkdir(parents=True, exist_ok=True)
        write_bundles(root / "models")
        wanted = (self.data / "log", self.data / "staging", root / "devices" / PROCESSES[0]) if with_disks else ()
        self.full = tuple(folder for folder in wanted if disks.mount(folder))
        self._broker_port = port()
        self.to_devices, self.to_servers = Proxy(self._broker_port), Proxy(self._broker_port)
        self.settings = (
            f"data_dir={self.data}",
            f"models.path={root / 'models'}",
            f"mqtt.port={self.to_servers.port}",
            *_RULES,
            *store.settings,
        )
        self.processes = {process.name: process for process in self._all()}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_up, daemon=True)

    def __enter__(self) -> "World":
        try:
            for process in self.processes.values():
                process.held = process.name != "broker" and process is not self.store.process
            self._keeper.start()
            self.store.prepare()
            self.processes["ingest"].held = False
            until((self.data / "log" / f"{PARTITIONS - 1:03d}.sqlite").exists, "the log is there")
            for process in self.processes.values():
                process.held = False
            until(self._is_heard, "a device heard of its records")
        except AssertionError as error:
            self.close()
            said = "\n".join(f"{name}: {self.said(name)}" for name in self.processes)
            raise AssertionError(f"{error}\n{said}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and give the disks back."""
        self._closing.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        for process in reversed(self.processes.values()):
            process.held = True
            process.down()
        self.to_devices.close()
        self.to_servers.close()
        for folder in self.full:
            disks.unmount(folder)

    def quiet(self, yes: bool) -> None:
        """Let the devices observe nothing new, or go on."""
        if yes:
            (self.root / QUIET).touch()
        else:
            (self.root / QUIET).unlink(missing_ok=True)

    def armed(self, process: str) -> Path:
        """The file that arms a fail point of a process."""
        return self.root / "armed" / process

    def skew(self, process: str, seconds: float) -> None:
        """Set the wall clock of a process wrong; 0 sets it right."""
        (self.root / "skew" / process).write_text(str(seconds))

    def hits(self) -> list[str]:
        """The fail points that were hit, in order."""
        path = self.root / "hits"
        return path.read_text().split() if path.exists() else []

    def wipe_broker(self) -> None:
        """Take from the broker, which must be down, all that it remembers."""
        (self.root / "broker" / "mosquitto.db").unlink(missing_ok=True)

    def said(self, process: str, lines: int = 12) -> str:
        """The last that a process said."""
        path = self.root / "said" / f"{process}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _is_heard(self) -> bool:
        return any(path.stat().st_size for path in (self.root / "acks").iterdir())

    def _keep_up(self) -> None:
        while not self._closing.wait(_POLL_S):
            for process in self.processes.values():
                process.keep_up()

    def _all(self) -> list[Process]:
        store = [self.store.process] if self.store.process is not None else []
        broker = Process("broker", dies_with_us([_mosquitto(), "-c", str(self._broker_file())]), self._log("broker"))
        options = [part for setting in self.settings for part in ("--set", setting)]
        servers = [self._injected(name, name, "pipelines.cli", *options, name) for name in ("ingest", "run")]
        about = str(self.to_devices.port), str(self.seed)
        fleet = [
            self._injected(name, "devices", "tests.faults.devices", str(self.root), name, *about) for name in PROCESSES
        ]
        return [*store, broker, *servers, *fleet]

    def _injected(self, name: str, kind: str, module: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", "tests.faults.inject", kind, module, *arguments]
        environment = {
            ARMED: str(self.armed(name)),
            HITS: str(self.root / "hits"),
            SKEW: str(self.root / "skew" / name),
            MUTANT: self.mutant,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(_REPOSITORY),
        }
        return Process(name, command, self._log(name), environment)

    def _log(self, name: str) -> Path:
        return self.root / "said" / f"{name}.log"

    def _broker_file(self) -> Path:
        path = self.root / "broker" / "mosquitto.conf"
        lines = (
            f"listener {self._broker_port} 127.0.0.1",
            "allow_anonymous true",
            "user root",
            "persistence true",
            f"persistence_location {path.parent}/",
            "max_inflight_messages 200",
            "max_queued_messages 20000",
        )
        path.write_text("\n".join(lines) + "\n")
        return path


def until(true: Callable[[], Any], what: str, seconds: float = _PATIENCE_S) -> None:
    """Return once it is true.

    Raises:
        AssertionError: it does not come to be.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(_POLL_S)


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("mosquitto is not on the PATH: make servers installs it")
    return found
