"""Ambushes: processes die at fail points, one after the other until all points had their turn."""

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from tests.faults import fail_points
from tests.faults.damage import fresh_copy, lose_recovery
from tests.faults.fleet import PARTITIONS, PROCESSES
from tests.faults.points import arm
from tests.faults.world import World

_REACH_S: Final = 8.0
_SOON: Final = 3
_MOST_TIMES: Final = {"load": 4, "start": PARTITIONS, "healing": 1, "overflow": 2, "acks": 2, "restore": 1}


@dataclass(frozen=True, slots=True)
class Trap:
    """A fail point that is armed in a process."""

    kind: str
    process: str
    point: str

    @property
    def provoked_by(self) -> str:
        """What makes the process come by."""
        return fail_points.provoked_by(self.point)


@dataclass(slots=True)
class Ambush:
    """Lays traps; the same seed lays the same.

    Attributes:
        store: kind of the store, which has points of its own.
        tries: fail point → how often it was armed.
    """

    seed: int
    store: str
    tries: Counter[str] = field(default_factory=Counter)
    _decks: dict[str, deque[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = random.Random(f"{self.seed}/decks")
        for kind in fail_points.KINDS:
            names = list(fail_points.names(kind, self.store))
            rng.shuffle(names)
            self._decks[kind] = deque(names)

    def lay(self, world: World, rng: random.Random) -> tuple[str, int]:
        """Let processes die at the next point of their deck; gives the points, and how many were killed."""
        before = len(world.hits())
        traps = self._next(rng)
        killed = 0
        for trap in traps:
            self.tries[trap.point] += 1
            arm(world.armed(trap.process), trap.point, rng.randint(1, _MOST_TIMES[trap.provoked_by]))
            killed += _provoke(world, trap, rng)
        _await(world, traps)
        for trap in traps:
            self._put_back(world, trap)
        return " ".join(trap.point for trap in traps), killed + len(world.hits()) - before

    def _next(self, rng: random.Random) -> list[Trap]:
        """One for each kind; the dataflow, and ingest, are spared where a device needs them to come by its point."""
        processes = {"ingest": "ingest", "run": "run", "devices": rng.choice(PROCESSES)}
        traps = {kind: Trap(kind, process, self._decks[kind][0]) for kind, process in processes.items()}
        match traps["devices"].provoked_by:
            case "acks":
                del traps["run"]
            case "restore":
                traps = {"devices": replace(traps["devices"], process=PROCESSES[-1])}
        return list(traps.values())

    def _put_back(self, world: World, trap: Trap) -> None:
        """A point that was hit goes to the end of its deck, one that was not is soon tried again."""
        deck = self._decks[trap.kind]
        deck.popleft()
        if world.armed(trap.process).exists():
            world.armed(trap.process).unlink(missing_ok=True)
            deck.insert(_SOON, trap.point)
        else:
            deck.append(trap.point)


def _await(world: World, traps: list[Trap]) -> None:
    end = time.monotonic() + _REACH_S
    while time.monotonic() < end and any(world.armed(trap.process).exists() for trap in traps):
        time.sleep(0.02)


def _provoke(world: World, trap: Trap, rng: random.Random) -> int:
    """See to it that the process comes by the point soon; gives how many processes were killed for that."""
    match trap.provoked_by:
        case "start":
            return world.processes[trap.process].down()
        case "healing":
            return lose_recovery(world, rng)
        case "restore":
            return fresh_copy(world)
        case "overflow":
            return _overflow(world, trap)
    return 0


def _overflow(world: World, trap: Trap) -> int:
    """Keep the broker away until small outboxes overflow."""
    broker = world.processes["broker"]
    broker.held = True
    killed = broker.down()
    _await(world, [trap])
    broker.held = False
    return killed
