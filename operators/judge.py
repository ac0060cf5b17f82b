"""Judge: the evidence that each window of one cohort adds, against what it is compared with.

Most features are compared with the model's reference. Those that it has no counts of (latency and quality; for
a model without a bundle, all) are compared with the cohort's own first windows, once those are enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from operators.detectors.shiryaev_roberts import ShiryaevRoberts
from operators.features import Feature, places
from operators.reference import Reference
from operators.scale import Scale
from operators.tilts import standard_errors_for

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
States = tuple[Doubles, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What a cohort is compared with.

    Attributes:
        scale: what is watched.
        reference: of the model, if there is one.
        given: (width,) its stack; that of one class, where the cohort is of one class.
        first_events: events of the first windows that stand in for what the reference has no counts of.
        cap_nats: see `ShiryaevRoberts`.
        interval_events: events of the fleet between two false alarms, see `tilts.standard_errors_for`.
        opinions: names of detectors that are asked beside it.
    """

    scale: Scale
    reference: Reference | None
    given: Ints | None
    first_events: int
    cap_nats: float
    interval_events: float
    opinions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Features that are compared with the same counts.

    Attributes:
        which: (f,) their places among all features.
        columns: (w,) where their counts stand in a stack.
        detector: of them.
    """

    which: Ints
    columns: Ints
    detector: ShiryaevRoberts


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Compares the windows of one cohort.

    Attributes:
        features: all that are watched.
        stack: (width,) int64: the counts that each feature is compared with; zero where there are none yet.
        parts: the features by what they are compared with; none of them may be there yet.
    """

    features: tuple[Feature, ...]
    stack: Ints
    parts: tuple[Part, ...]

    def begin(self) -> States:
        """Before the first window."""
        return tuple(part.detector.begin() for part in self.parts)

    def fold(self, states: States, stacks: Ints, dispersion: Doubles) -> tuple[States, Doubles]:
        """Add windows.

        Args:
            states: after the windows before.
            stacks: (T, width) int64, in the order of time.
            dispersion: (T, F), at least 1.

        Returns:
            The states, and (T, F) ln M of each feature; -inf where it is compared with nothing.
        """
        evidence = np.full((len(stacks), len(self.features)), -np.inf)
        after = []
        for part, state in zip(self.parts, states, strict=True):
            done, found = part.detector.fold(state, stacks[:, part.columns], dispersion[:, part.which])
            evidence[:, part.which] = found
            after.append(done)
        return tuple(after), evidence

    def log_ratios(self, stacks: Ints, dispersion: Doubles, feature: int) -> tuple[Doubles, Doubles]:
        """(T, k) ln LR of each window under each tilt of one feature that is compared, and (k,) ln of their weights."""
        part = next(part for part in self.parts if feature in part.which)
        own = part.detector.components[int(np.flatnonzero(part.which == feature)[0])]
        ratios = part.detector.log_ratios(stacks[:, part.columns], dispersion[:, part.which])
        return ratios[:, own], part.detector.log_weights[own]


def judge_of(basis: Basis, first: Ints | None) -> Judge:
    """The judge of a cohort.

    Args:
        basis: what it is compared with.
        first: (width,) the stack of its first windows, once there are enough.
    """
    features = basis.scale.features
    given = np.zeros(sum(feature.bins for feature in features), np.int64) if basis.given is None else basis.given
    owned = {feature for feature, place in zip(features, places(features), strict=True) if not given[place].any()}
    stack, parts = given.copy(), []
    for chosen, counts in ((set(features) - owned, given), (owned, first)):
        which = tuple(at for at, feature in enumerate(features) if feature in chosen)
        if which and counts is not None:
            columns = _columns(features, which)
            stack[columns] = counts[columns]
            own = tuple(features[at] for at in which)
            detector = _detector(own, counts[columns].tobytes(), basis.cap_nats, basis.interval_events)
            parts.append(Part(np.array(which), columns, detector))
    return Judge(features, stack, tuple(parts))


def _columns(features: Sequence[Feature], which: Sequence[int]) -> Ints:
    stood = list(places(features))
    return np.concatenate([np.arange(stood[at].start, stood[at].stop) for at in which])


@lru_cache(maxsize=4096)
def _detector(features: tuple[Feature, ...], counts: bytes, cap_nats: float, interval_events: float) -> ShiryaevRoberts:
    stack = np.frombuffer(counts, np.int64)
    rows = [max(int(stack[place].sum()), 1) for place in places(features)]
    return ShiryaevRoberts(features, stack, max(rows), cap_nats, standard_errors_for(interval_events, min(rows)))
