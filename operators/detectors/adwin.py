"""ADWIN as a second opinion: two parts of the recent past have different means."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.detectors.second_opinion import SecondOpinion, require_river
from operators.features import Feature


class Adwin(SecondOpinion):
    """Adaptive windowing (Bifet and Gavaldà, 2007, SIAM SDM), by river.

    It keeps the longest stretch of windows whose mean has not changed, and says so when it cuts it. Each window is one
    value to it, so it takes dozens of them to be sure, however many events they hold. It is asked after every
    window; river's own setting is every 32 values, which are hours here.
    """

    def __init__(self, features: Sequence[Feature], reference_stack: NDArray[np.int64], delta: float = 0.002) -> None:
        """Prepare a detector for each ordinal feature.

        Args:
            features: as they stand in a stack.
            reference_stack: (width,) int64.
            delta: ADWIN's bound on the chance of a false cut at one place, in (0, 1).

        Raises:
            SettingsError: river is not installed.
        """
        drift = require_river("adwin")
        super().__init__("adwin", features, reference_stack, lambda: drift.ADWIN(delta=delta, clock=1))
