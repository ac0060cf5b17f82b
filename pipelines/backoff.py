"""Waiting between attempts to reach what is not there now."""

import random
from dataclasses import dataclass
from typing import Final

_BACKOFF_S: Final = (0.5, 30.0)


@dataclass(slots=True)
class Backoff:
    """Waiting times between attempts: twice as long each, drawn at random below that."""

    attempt: int = 0

    def next_s(self) -> float:
        """Seconds to wait now (full jitter: Brooker, 2015)."""
        ceiling = min(_BACKOFF_S[1], _BACKOFF_S[0] * 2**self.attempt)
        self.attempt = min(self.attempt + 1, 16)
        return random.uniform(0, ceiling)

    def reset(self) -> None:
        """It was reached: begin with short times again."""
        self.attempt = 0
