"""Page and Hinkley's test as a second opinion: the values have drifted away from their mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.detectors.second_opinion import SecondOpinion, require_river
from operators.features import Feature


class PageHinkley(SecondOpinion):
    """Cumulated deviation from the running mean (Page, 1954, Biometrika; Hinkley, 1971, Biometrika), by river.

    Silent for the first 30 windows. River's threshold of 50 is for values of any size; ranks lie in [0, 1].
    """

    def __init__(
        self,
        features: Sequence[Feature],
        reference_stack: NDArray[np.int64],
        delta: float = 0.005,
        threshold: float = 1.0,
    ) -> None:
        """Prepare a detector for each ordinal feature.

        Args:
            features: as they stand in a stack.
            reference_stack: (width,) int64.
            delta: change of the mean rank that is tolerated, in [0, 1].
            threshold: cumulated change of the mean rank at which it alarms, above 0.

        Raises:
            SettingsError: river is not installed.
        """
        drift = require_river("page_hinkley")
        super().__init__(
            "page_hinkley", features, reference_stack, lambda: drift.PageHinkley(delta=delta, threshold=threshold)
        )
