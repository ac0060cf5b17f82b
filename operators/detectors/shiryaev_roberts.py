"""The Shiryaev-Roberts detector over mixtures of likelihood ratios: its false-alarm interval is a setting.

For each tilt, M_t = LR_t · (M_{t-1} + 1): the sum, over all windows s at which the change could have begun, of the
likelihood ratios of the windows s … t (Shiryaev, 1963; Roberts, 1966). Where nothing changes,
E[M_T] ≤ E[T] for every stopping time T, so that M reaches A after A windows or more on average, whatever the
tilts; this holds for weighted means of such M too (Shin, Ramdas and Rinaldo, 2023, "E-detectors",
New England Journal of Statistics in Data Science).

The logarithms of ratios are whole steps of 2⁻²⁰ nats. Sums of counts times steps are exact in a double up
to 2⁵³, in any order of adding, so that evidence is the same to the last bit for one window or
many, one cohort or many, and every linear algebra library.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, places
from operators.tilts import STANDARD_ERRORS, tilts
from schemas.errors import SettingsError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS_PER_NAT: Final = 1 << 20


class ShiryaevRoberts:
    """Evidence that counts no longer follow the reference.

    State is (…, components) float64, ln M of each tilt of each feature; cohorts stand along the leading axes.
    A window without events of a feature leaves that feature's M as it is.

    Attributes:
        features: as they stand in a stack.
        components: for each feature, where its tilts stand in a state.
        log_weights: (components,) float64: ln of the weight of each tilt in its feature's mean.
    """

    name = "shiryaev_roberts"

    def __init__(
        self,
        features: Sequence[Feature],
        reference_stack: Ints,
        reference_rows: int,
        cap_nats: float = math.inf,
        standard_errors: float = STANDARD_ERRORS,
    ) -> None:
        """Make the tilts of a reference.

        Args:
            features: at least one.
            reference_stack: (width,) int64; a feature that it did not count is not watched, its evidence stays -inf.
            reference_rows: independent events in it, at least 1; fewer than its counts where frames repeat.
            cap_nats: no single tilt makes a feature's evidence larger than this, so that it falls again soon after the
                world is as before; above the limit of an alarm. It only lowers M, so the interval holds.
            standard_errors: by how many standard errors the reference may be off, see `tilts.allowance`.

        Raises:
            SettingsError: the stack does not fit the features, or it has no rows.
        """
        self.features = tuple(features)
        self.places = tuple(places(self.features))
        _check(self.features, reference_stack, reference_rows)
        counts = [reference_stack[place] for place in self.places]
        made = [
            tilts(feature, own, min(reference_rows, int(own.sum())), standard_errors)
            for feature, own in zip(self.features, counts, strict=True)
        ]
        ends = np.cumsum([0] + [len(tilt.weights) for tilt in made]).tolist()
        self.components = tuple(slice(a, b) for a, b in pairwise(ends))
        self._feature_of = np.repeat(np.arange(len(made)), [len(tilt.weights) for tilt in made])
        # rounded down, so that no tilt gains by it
        self._steps = [np.floor(tilt.log_ratios.T * STEPS_PER_NAT) for tilt in made]
        self.log_weights = np.log(np.concatenate([tilt.weights for tilt in made]))
        self._cap = cap_nats - self.log_weights

    def begin(self) -> Doubles:
        """(components,) of -inf: no evidence, M = 0."""
        return np.full(len(self._feature_of), -np.inf)

    def fold(self, state: Doubles, stacks: Ints, dispersion: Doubles) -> tuple[Doubles, Doubles]:
        """Add windows to a state; see `Detector.fold`.

        Returns:
            The state, and (T, …, F) the logarithm of each feature's mean M over its tilts, by weight; -inf
            before the first event.
        """
        trace = self.log_ratios(stacks, dispersion)
        seen = self._events(stacks) > 0
        complete = np.logical_and.reduce(seen, axis=tuple(range(1, seen.ndim))).tolist()
        for grown, events, all_seen in zip(trace, seen, complete, strict=True):
            grown += np.logaddexp(state, 0.0)
            np.minimum(grown, self._cap, out=grown)
            if not all_seen:
                np.copyto(grown, state, where=~events[..., self._feature_of])
            state = grown
        trace = trace + self.log_weights
        evidence = [np.logaddexp.reduce(trace[..., own], axis=-1) for own in self.components]
        return state.copy(), np.stack(evidence, axis=-1)

    def log_ratios(self, stacks: Ints, dispersion: Doubles) -> Doubles:
        """(T, …, components) ln LR of each window and tilt, in nats.

        Divided by the dispersion: the counts of φ times repeated events are those of n / φ
        independent ones (quasi-likelihood: Wedderburn, 1974). Where events are independent after all, it
        keeps the mean of LR at 1 or below (Jensen), if φ was known before the window.
        """
        found = np.empty((*stacks.shape[:-1], len(self._feature_of)))
        for f, (place, own) in enumerate(zip(self.places, self.components, strict=True)):
            steps = stacks[..., place].astype(np.float64) @ self._steps[f]
            np.divide(steps, dispersion[..., f, None] * STEPS_PER_NAT, out=found[..., own])
        return found

    def _events(self, stacks: Ints) -> Ints:
        """(T, …, F): events of each feature in each window."""
        return np.stack([stacks[..., place].sum(axis=-1) for place in self.places], axis=-1)


def _check(features: tuple[Feature, ...], stack: Ints, rows: int) -> None:
    width = sum(feature.bins for feature in features)
    if not features or stack.shape != (width,):
        raise SettingsError(f"a reference of {stack.shape} counts does not fit features of {width} bins together")
    if rows < 1 or stack.min() < 0:
        raise SettingsError("a reference needs at least one row, and no count below 0")
