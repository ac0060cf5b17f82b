"""Where the fail points are, by the kind of process that has them."""

from collections.abc import Callable
from typing import Final

from tests.faults.disk_points import around_commits, around_fsyncs
from tests.faults.points import around


def install(kind: str) -> None:
    """Put the points of a process into the code it is about to run."""
    _INSTALL[kind]()


def _ingest() -> None:
    from paho.mqtt.client import Client

    from pipelines import ingest
    from pipelines.log import LogWriter

    around_commits({".sqlite": "log.commit"})
    around(LogWriter, "append", "log.append")
    around(ingest, "_acknowledge", "puback.all")
    around(Client, "ack", "puback.one")


def _run() -> None:
    from pipelines import healing, publisher, sinks, sources
    from pipelines.commands import MqttCommands
    from pipelines.lake import Lake

    around_fsyncs(_FSYNCS)
    around(Lake, "stage", "stage")
    around(Lake, "roll_back", "roll-back")
    around(Lake, "_mark", "mark")
    around(sources.LogPart, "snapshot", "source.snapshot")
    around(sinks.LakePart, "snapshot", "sink.snapshot")
    around(publisher.Publisher, "submit", "submit")
    around(publisher.Publisher, "_publish", "publish")
    around(publisher, "send_acks", "acks")
    around(MqttCommands, "send", "acks.one")
    around(sources.LogSource, "build_part", "recover.source")
    around(sinks.LakeSink, "build_part", "recover.sink")
    around(healing.Healing, "begin", "heal.begin")
    around(healing, "_set_aside", "heal.set-aside")
    around(healing.Healing, "leave_out", "heal.leave-out")
    around(healing.Healing, "_finish", "heal.finish")
    _around_files()


def _around_files() -> None:
    """Points before and after each file that a publish gives its final name."""
    from pipelines.lake import Lake

    original = Lake.__init__

    def opened(self: Lake, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        around(self.store, "put_new", "put")

    Lake.__init__ = opened  # type: ignore[assignment, method-assign]


def _devices() -> None:
    from edge_publisher import gaps, outbox
    from edge_publisher.link import Link
    from edge_publisher.outbox import Outbox
    from edge_publisher.ring import Ring
    from edge_publisher.sender import Sender

    around_commits({"outbox.sqlite3": "outbox.commit", "ring.sqlite3": "ring.commit"})
    around(Link, "_send", "published")
    around(Sender, "on_ack", "ack")
    around(Ring, "put", "ring.put")
    around(Outbox, "append", "outbox.append")
    around(gaps, "lose", "shed")
    around(Outbox, "_free", "free")
    around(outbox, "renumber", "renumber")


def names(kind: str, store: str) -> tuple[str, ...]:
    """The points of a kind of process; a store of another kind has none of a folder's."""
    own = (*_NAMES[kind], *(_IN_A_FOLDER if (kind, store) == ("run", "folder") else ()))
    return tuple(f"{name}.{side}" for name in own for side in ("before", "after"))


def provoked_by(point: str) -> str:
    """What makes a process come by a point: `load`, its `start`, `healing`, an `overflow` of small outboxes,
    `acks` that it hears, or the `restore` of an outbox.
    """
    return next((how for how, starts in _PROVOKED.items() if point.startswith(starts)), "load")


_PROVOKED: Final = {
    "start": ("recover.", "roll-back."),
    "healing": ("heal.begin", "heal.set-aside", "heal.finish", "fsync.healing"),
    "overflow": ("shed.",),
    "acks": ("ack.", "free."),
    "restore": ("renumber.",),
}
_FSYNCS: Final = {
    ("parquet.py", "write_file"): "fsync.staged-file",
    ("lake.py", "_sync_tree"): "fsync.staged-folders",
    ("folder_store.py", "put"): "fsync.marker",
    ("folder_store.py", "put_new"): "fsync.published",
    ("healing.py", "_save"): "fsync.healing",
}
_IN_A_FOLDER: Final = ("fsync.marker", "fsync.published")
_INSTALL: Final[dict[str, Callable[[], None]]] = {"ingest": _ingest, "run": _run, "devices": _devices}
KINDS: Final = tuple(_INSTALL)
_NAMES: Final = {
    "ingest": ("log.commit", "log.append", "puback.all", "puback.one"),
    "run": (
        "fsync.staged-file",
        "fsync.staged-folders",
        "fsync.healing",
        "stage",
        "roll-back",
        "mark",
        "source.snapshot",
        "sink.snapshot",
        "submit",
        "publish",
        "put",
        "acks",
        "acks.one",
        "recover.source",
        "recover.sink",
        "heal.begin",
        "heal.set-aside",
        "heal.leave-out",
        "heal.finish",
    ),
    "devices": (
        "outbox.commit",
        "outbox.append",
        "ring.put",
        "ring.commit",
        "published",
        "ack",
        "free",
        "shed",
        "renumber",
    ),
}
