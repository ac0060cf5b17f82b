"""Waits between attempts: doubling, with full jitter, so that a fleet does not come back all at once."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Backoff:
    """The next wait is uniform in (0, min(most, first · 2^failures)) (Brooker, 2015: "full jitter").

    Attributes:
        first_s: upper bound of the first wait.
        most_s: upper bound of every wait.
        rng: of the jitter.
    """

    first_s: float
    most_s: float
    rng: random.Random = field(default_factory=random.Random)
    _failures: int = 0

    def failed(self) -> float:
        """Seconds to wait after one more failure."""
        bound = min(self.most_s, self.first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return self.rng.uniform(0.0, bound)

    def succeeded(self) -> None:
        """Begin with short waits again."""
        self._failures = 0
