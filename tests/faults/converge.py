"""Whether the world comes to rest: faults have stopped, and all that was accepted is where it belongs."""

import sqlite3
import time
from pathlib import Path
from typing import Final

import duckdb

from pipelines.progress import read
from pipelines.settings import load
from pipelines.views import connect
from schemas.errors import GleanerError
from tests.faults import disks
from tests.faults.received import end_of
from tests.faults.world import World

PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.25
_CALM_S: Final = 2.5  # more than a round of selection and an epoch: what was observed last may yet be asked for
_OPEN: Final = """
select count(*) from (select request_id from selections group by 1 having bool_and(status = 'requested'))"""


def heal(world: World) -> None:
    """Undo whatever the nemesis did: room, clocks, armed points; every process may run."""
    for folder in world.full:
        disks.empty(folder)
    for name, process in world.processes.items():
        world.skew(name, 0.0)
        world.armed(name).unlink(missing_ok=True)
        process.held = False
    world.quiet(True)


def converge(world: World, patience_s: float = PATIENCE_S) -> list[str]:
    """What is not done when the patience ends; nothing, as soon as all is done and stays so."""
    start = calm_since = time.monotonic()
    while time.monotonic() < calm_since + _CALM_S:
        if left := unsettled(world):
            calm_since = time.monotonic()
            if calm_since > start + patience_s:
                return left
        time.sleep(_POLL_S)
    return []


def unsettled(world: World) -> list[str]:
    """What is still on its way."""
    left = [f"{path.parent.name} keeps {_kept(path)}" for path in _outboxes(world) if _kept(path)]
    published = read(world.data)
    for path in sorted((world.data / "log").glob("[0-9][0-9][0-9].sqlite")):
        end, there = end_of(path), published.get(int(path.stem), 0)
        if there < end:
            left.append(f"partition {path.stem} is published to {there} of {end}")
    return left or _open_requests(world)


def _outboxes(world: World) -> list[Path]:
    return sorted((world.root / "devices").rglob("outbox.sqlite3"))


def _kept(outbox: Path) -> str:
    """What an outbox still holds, in words; empty where it is drained."""
    file = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True, timeout=10)
    try:
        counts = file.execute("select (select count(*) from records), (select count(*) from gaps)").fetchone()
    finally:
        file.close()
    return "{} records and {} gaps".format(*counts) if any(counts) else ""


def _open_requests(world: World) -> list[str]:
    try:
        with connect(load(None, world.settings).lake_place) as lake:
            found = lake.execute(_OPEN).fetchone()
    except (GleanerError, duckdb.Error) as error:
        return [f"the lake can't be asked: {error}"]
    return [f"{found[0]} requests are open"] if found and found[0] else []
