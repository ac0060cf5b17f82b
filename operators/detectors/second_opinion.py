"""Second opinions: detectors of the river library, behind the same protocol.

They compare what comes with what came before, not with the reference, and promise no false-alarm interval.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, Kind, places
from schemas.errors import SettingsError

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Opinions = NDArray[Any]
"""(…, F) objects of river, None for a nominal feature."""


class Sequential(Protocol):
    """What river's detectors have in common."""

    drift_detected: bool

    def update(self, x: float) -> object:
        """Take one value."""
        ...


class SecondOpinion:
    """One detector of river for each ordinal feature and cohort.

    It is told one value of each window: the mean of its bins' mid-ranks in the reference, in [0, 1], which is ½
    without drift. A window without events tells it nothing. Nominal features have no ranks and no opinion.
    Cohorts cost a Python object and a call each: some 1,000 of them, not 100,000.

    Attributes:
        name: in settings, rows and SQL.
    """

    def __init__(
        self, name: str, features: Sequence[Feature], reference_stack: Ints, make: Callable[[], Sequential]
    ) -> None:
        """Rank the bins of a reference.

        Args:
            name: of the detector.
            features: as they stand in a stack.
            reference_stack: (width,) int64.
            make: a new detector of river.
        """
        self.name = name
        self._features = tuple(features)
        self._make = make
        self._ranks = [_doubled_ranks(reference_stack[place]) for place in places(self._features)]
        self._rows = [int(reference_stack[place].sum()) for place in places(self._features)]

    def begin(self) -> Opinions:
        """(F,) new detectors."""
        made = np.full(len(self._features), None)
        for f, feature in enumerate(self._features):
            if feature.kind is Kind.ORDINAL and self._rows[f]:
                made[f] = self._make()
        return made

    def fold(self, state: Opinions, stacks: Ints, dispersion: Doubles) -> tuple[Opinions, Doubles]:  # noqa: ARG002 (river has no use for it)
        """Add windows to a state, which stays as it was; see `Detector.fold`.

        Returns:
            The state, and (T, …, F) evidence: +∞ in windows at which drift is detected, 0 in all others.
        """
        evidence = np.zeros((*stacks.shape[:-1], len(self._features)))
        after = np.empty(evidence.shape[1:], object)
        shared = np.broadcast_to(state, after.shape)
        for place in np.ndindex(after.shape):
            after[place] = copy.deepcopy(shared[place])
        means = self._means(stacks)
        for place in zip(*np.nonzero(np.isfinite(means)), strict=True):
            opinion: Any = after[place[1:]]
            opinion.update(float(means[place]))
            if opinion.drift_detected:
                evidence[place] = np.inf
        return after, evidence

    def _means(self, stacks: Ints) -> Doubles:
        """(T, …, F) mean mid-rank of each window; nan where there is none."""
        means = np.full((*stacks.shape[:-1], len(self._features)), np.nan)
        for f, (feature, place) in enumerate(zip(self._features, places(self._features), strict=True)):
            events = stacks[..., place].sum(axis=-1)
            if feature.kind is Kind.ORDINAL and self._rows[f]:
                total = (stacks[..., place] * self._ranks[f]).sum(axis=-1)  # whole numbers: no rounding
                means[..., f] = np.where(events > 0, total / np.maximum(events, 1) / (2 * self._rows[f]), np.nan)
        return means


def require_river(name: str) -> Any:
    """River's module of detectors.

    Raises:
        SettingsError: river is not installed.
    """
    try:
        from river import drift  # optional: the extra `opinions`
    except ImportError as error:
        raise SettingsError(f"{name} needs river: pip install 'gleaner-edge[opinions]'") from error
    return drift


def _doubled_ranks(counts: Ints) -> Ints:
    """Twice the rows below each bin and once its own: 2·N times the mid-rank."""
    return 2 * np.cumsum(counts) - counts
