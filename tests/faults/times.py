"""Wrong clocks: the wall clock of a process jumps and comes back."""

import random
import time

from tests.faults.fleet import PROCESSES
from tests.faults.world import World

_SERVER_S = (1.5, -5.0, -3600.0)
_DEVICE_S = (30.0, -30.0, 10 * 86_400.0, -400 * 86_400.0)


def server_clock(world: World, rng: random.Random) -> int:
    """Ingest's clock jumps: a little ahead, or back."""
    return _jump(world, "ingest", rng.choice(_SERVER_S), rng)


def device_clock(world: World, rng: random.Random) -> int:
    """The clock of a process of devices jumps by seconds, days or a year."""
    return _jump(world, rng.choice(PROCESSES), rng.choice(_DEVICE_S), rng)


def _jump(world: World, process: str, seconds: float, rng: random.Random) -> int:
    world.skew(process, seconds)
    time.sleep(rng.uniform(1.0, 2.0))
    world.skew(process, 0.0)
    return 0


CLOCKS = (server_clock, device_clock)
