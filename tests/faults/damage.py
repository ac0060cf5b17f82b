"""Damage to what is on disk: lost or old recovery stores, old lakes, wiped or copied outboxes, full disks."""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults import disks
from tests.faults.fleet import FLEET, PROCESSES, Spec
from tests.faults.ledger import Ledger
from tests.faults.processes import Process
from tests.faults.stores import FolderStore
from tests.faults.world import World

_LATER_S: Final = 2.5
_RESTORED: Final = [each for each in FLEET if each.process == PROCESSES[-1] and each.model == "small"]
"""Devices whose disk is put back: not those with a disk that is filled, for then no number tells what was given up."""


def lose_recovery(world: World, rng: random.Random) -> int:
    """The dataflow's recovery store is gone."""
    with _down(world.processes["run"]):
        shutil.rmtree(world.data / "recovery", ignore_errors=True)
    return 1


def old_recovery(world: World, rng: random.Random) -> int:
    """The recovery store is replaced by a copy from some rounds ago; the first time, the copy is made."""
    recovery, copy = world.data / "recovery", world.root / "copies" / "recovery"
    with _down(world.processes["run"]):
        if copy.exists() and recovery.exists():
            shutil.rmtree(recovery)
            shutil.move(copy, recovery)
        elif recovery.exists():
            shutil.copytree(recovery, copy)
    return 1


def old_lake(world: World, rng: random.Random) -> int:
    """The lake, a folder, is replaced by a copy from some rounds ago; the first time, the copy is made."""
    if not isinstance(world.store, FolderStore):
        return lose_recovery(world, rng)
    lake, copy = world.store.folder, world.root / "copies" / "lake"
    with _down(world.processes["run"]):
        if copy.exists():
            shutil.rmtree(lake)
            shutil.move(copy, lake)
            world.lake_is_old = True
        else:
            shutil.copytree(lake, copy)
    return 1


def wipe_outbox(world: World, rng: random.Random) -> int:
    """A device starts anew, with an empty disk: what it held and had not sent is gone, and nobody is to blame."""
    spec = rng.choice(FLEET)
    with _down(world.processes[spec.process]):
        shutil.rmtree(_folder(world, spec), ignore_errors=True)
        _note(world, spec, "wiped")
    return 1


def old_outbox(world: World, rng: random.Random) -> int:
    """A device's disk is put back to a copy from some rounds ago; the first time, the copy is made."""
    spec = rng.choice(_RESTORED)
    copy = world.root / "copies" / spec.device
    return _put_back(world, spec, copy) if copy.exists() else _copy(world, spec, copy)


def fresh_copy(world: World) -> int:
    """A device's disk is put back to a copy from a moment ago, so that numbers are given twice."""
    spec = _RESTORED[0]
    copy = world.root / "copies" / f"{spec.device}-fresh"
    killed = _copy(world, spec, copy)
    time.sleep(_LATER_S)
    return killed + _put_back(world, spec, copy)


def _copy(world: World, spec: Spec, copy: Path) -> int:
    with _down(world.processes[spec.process]):
        if _folder(world, spec).exists():
            shutil.copytree(_folder(world, spec), copy)
            _note(world, spec, "copied", copy.name)
    return 1


def _put_back(world: World, spec: Spec, copy: Path) -> int:
    with _down(world.processes[spec.process]):
        if copy.exists():
            shutil.rmtree(_folder(world, spec), ignore_errors=True)
            shutil.move(copy, _folder(world, spec))
            _note(world, spec, "restored", copy.name)
    return 1


def full_disk(world: World, rng: random.Random) -> int:
    """A disk has no room for a while."""
    if not world.full:
        return 0
    folder = rng.choice(world.full)
    for spec in FLEET:
        if folder.name == spec.process:
            _note(world, spec, "may_shed")
    disks.fill(folder)
    time.sleep(rng.uniform(1.0, 2.5))
    disks.empty(folder)
    return 0


@contextmanager
def _down(process: Process) -> Iterator[None]:
    """The process is killed, and stays down until the block ends."""
    process.held = True
    process.down()
    try:
        yield
    finally:
        process.held = False


def _folder(world: World, spec: Spec) -> Path:
    return world.root / "devices" / spec.process / spec.device


def _note(world: World, spec: Spec, what: str, copy: str = "") -> None:
    ledger = Ledger(world.root / "ledger", spec.device)
    ledger.note({"do": what, "as": copy})
    ledger.close()


DAMAGE = (lose_recovery, old_recovery, old_lake, wipe_outbox, old_outbox, full_disk)
