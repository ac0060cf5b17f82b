"""What a world goes through in a few seconds so that one thing that could be broken surely matters."""

import random
import time
from collections.abc import Callable
from typing import Final

from tests.faults.check import Verdict
from tests.faults.damage import lose_recovery, wipe_outbox
from tests.faults.outages import no_broker, wipe_broker
from tests.faults.points import arm
from tests.faults.proxy import DOWN
from tests.faults.rest import frozen
from tests.faults.world import World

Scenario = Callable[[World], Verdict]
_SEED: Final = 1
_REACH_S: Final = 6.0


def calm(world: World) -> Verdict:
    """Nothing: some seconds of load."""
    time.sleep(3.0)
    return Verdict()


def resends(world: World) -> Verdict:
    """Answers to the devices are lost, so that they send again what has arrived."""
    time.sleep(1.0)
    for _ in range(3):
        world.to_devices.swallow(DOWN, 0.8)
        time.sleep(0.4)
    return Verdict()


def broker_away(world: World) -> Verdict:
    """The broker is away for so long that small outboxes give up records that nobody else has."""
    no_broker(world, random.Random(_SEED))
    time.sleep(1.0)
    return Verdict()


def broker_wiped(world: World) -> Verdict:
    """What the broker and the log have not passed on is lost with them."""
    ingest = world.processes["ingest"]
    for _ in range(2):
        ingest.held = True
        ingest.down()
        time.sleep(1.0)
        wipe_broker(world, random.Random(_SEED))
        ingest.held = False
        time.sleep(1.5)
    return Verdict()


def ingest_killed(world: World) -> Verdict:
    """Ingest dies some times while messages come."""
    for _ in range(3):
        time.sleep(1.0)
        world.processes["ingest"].down()
    time.sleep(1.5)
    return Verdict()


def dies_at(*points: str) -> Scenario:
    """The dataflow dies at each of these points."""

    def scenario(world: World) -> Verdict:
        for point in points:
            time.sleep(0.7)
            arm(world.armed("run"), point, 1)
            _reached(world)
        time.sleep(1.0)
        return Verdict()

    return scenario


def _reached(world: World) -> bool:
    """Whether the dataflow came by the armed point in good time; one that is broken may not come so far."""
    end = time.monotonic() + _REACH_S
    while world.armed("run").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not world.armed("run").exists()


def store_slow(world: World) -> Verdict:
    """The dataflow dies with rows that are committed and not in the lake; what devices have heard by then is judged."""
    arm(world.armed("run"), "put.before", 1)
    _reached(world)
    return frozen(world)


def recovery_lost(world: World) -> Verdict:
    """The recovery store is lost."""
    time.sleep(2.0)
    lose_recovery(world, random.Random(_SEED))
    time.sleep(2.0)
    return Verdict()


def outbox_wiped(world: World) -> Verdict:
    """Devices begin anew."""
    time.sleep(1.5)
    for seed in range(2):
        wipe_outbox(world, random.Random(seed))
    time.sleep(2.0)
    return Verdict()
