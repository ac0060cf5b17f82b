"""Detectors: each turns windows of counts, in the order of time, into evidence that the world has changed.

One file for each. What they give is in nats, so that one limit serves for all of them.
"""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")


class Detector(Protocol[State]):
    """What the dataflow asks of a detector.

    Attributes:
        name: in settings, rows and SQL.
    """

    name: str

    def begin(self) -> State:
        """The state before the first window; also the one to go on with after an alarm was answered."""
        ...

    def fold(
        self, state: State, stacks: NDArray[np.int64], dispersion: NDArray[np.float64]
    ) -> tuple[State, NDArray[np.float64]]:
        """Add windows to a state, which stays as it was.

        Args:
            state: after the windows before.
            stacks: (T, …, width) int64, windows in the order of time; further axes are cohorts that
                share a reference.
            dispersion: (T, …, F), at least 1: by how much the counts of each feature vary more than
                those of independent events would.

        Returns:
            The state after the last window, and (T, …, F) evidence in nats after each.
        """
        ...
