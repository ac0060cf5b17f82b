"""The nemesis: what it does to the world in each round, drawn from the seed."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.faults.ambush import Ambush
from tests.faults.damage import DAMAGE
from tests.faults.outages import OUTAGES, no_broker
from tests.faults.times import CLOCKS
from tests.faults.world import World

Action = Callable[[World, random.Random], int]
"""Does something bad; gives how many processes it killed."""
ACTIONS: Final[tuple[Action, ...]] = (*OUTAGES, *DAMAGE, *CLOCKS)
_LULL_S: Final = (0.2, 0.8)
_AMBUSHES: Final = 0.6
_GAPS_EVERY: Final = 20  # so that no run is without


@dataclass(slots=True)
class Nemesis:
    """Does something bad in each round; the same seed does the same.

    Attributes:
        ambush: lets processes die at fail points.
        kills: processes that were killed.
        done: action → how often.
    """

    seed: int
    ambush: Ambush
    kills: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def round(self, world: World, number: int) -> str:
        """One round: something bad under load, then a lull; gives what it was."""
        rng = random.Random(f"{self.seed}/{number}")
        if number % _GAPS_EVERY == 1:
            name, points, killed = no_broker.__name__, "", no_broker(world, rng)
        elif rng.random() < _AMBUSHES:
            points, killed = self.ambush.lay(world, rng)
            name = "ambush"
        else:
            action = rng.choice(ACTIONS)
            name, points, killed = action.__name__, "", action(world, rng)
        self.done[name] += 1
        self.kills += killed
        time.sleep(rng.uniform(*_LULL_S))
        return f"{name} {points}"
