"""The product's detector on the streams of this benchmark: its own operators, nothing written anew.

A stream becomes windows of so many events, windows become counts, and the detector
folds them. The limit is the logarithm of the interval in windows; after an alarm it begins anew.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from operators.detectors.shiryaev_roberts import ShiryaevRoberts
from operators.dispersion import dispersion
from operators.features import Feature, Kind
from operators.fleet_control import combine
from operators.tilts import standard_errors_for

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS: Final = 16
_CHUNKS: Final = (32, 512)  # windows folded at a time: the first after an alarm, and at most


class Counter(Protocol):
    """What turns values into counts.

    Attributes:
        features: that are counted.
    """

    features: tuple[Feature, ...]

    def count(self, values: Doubles, window: int) -> Ints:
        """(…, T, width) counts of whole windows of values (…, n[, d])."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers:
    """A stream of numbers, in bins at the reference's quantiles, or in its few values themselves.

    Attributes:
        edges: (bins - 1,) inner edges, rising.
    """

    edges: Doubles

    @classmethod
    def of(cls, reference: Doubles) -> "Numbers":
        """The bins that suit a reference, shape (n,)."""
        values = np.unique(reference)
        if len(values) <= BINS:
            return cls(edges=values[1:])
        return cls(edges=np.quantile(reference, np.arange(1, BINS) / BINS))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """One ordinal feature."""
        return (Feature("confidence", "confidence", Kind.ORDINAL, len(self.edges) + 1),)

    def count(self, values: Doubles, window: int) -> Ints:
        """(…, T, bins): the counts of whole windows of (…, n) values."""
        bins, whole = len(self.edges) + 1, values.shape[-1] // window
        found = np.searchsorted(self.edges, values[..., : whole * window], side="right")
        place = found.reshape(-1, window) + np.arange(found.size // window)[:, None] * bins
        counted = np.bincount(place.ravel(), minlength=found.size // window * bins)
        return counted.reshape(*values.shape[:-1], whole, bins)


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """A stream of class numbers.

    Attributes:
        classes: that there could be.
    """

    classes: int

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """One nominal feature."""
        return (Feature("prediction_mix", "prediction_mix", Kind.NOMINAL, self.classes),)

    def count(self, values: Ints, window: int) -> Ints:
        """(T, classes): the counts of whole windows of (n,) numbers."""
        whole = len(values) // window
        place = values[: whole * window].reshape(whole, window) + np.arange(whole)[:, None] * self.classes
        return np.bincount(place.ravel(), minlength=whole * self.classes).reshape(whole, self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Features whose windows were counted elsewhere.

    Attributes:
        features: of them.
    """

    features: tuple[Feature, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch:
    """One detector over windows of a fixed number of events.

    Attributes:
        counter: turns values into counts.
        reference: (width,) counts of the world without drift.
        rows: in the reference.
        window: events of one window.
        interval: events between false alarms that are asked for.
    """

    counter: Counter | Fixed
    reference: Ints
    rows: int
    window: int
    interval: float

    @cached_property
    def detector(self) -> ShiryaevRoberts:
        """The detector of this reference."""
        errors = standard_errors_for(self.interval, self.rows)
        return ShiryaevRoberts(self.counter.features, self.reference, self.rows, standard_errors=errors)

    @property
    def limit(self) -> float:
        """Nats at which it alarms."""
        return math.log(self.interval / self.window)

    def asking(self, interval: float) -> "Watch":
        """The same with another interval."""
        return replace(self, interval=interval)

    def alarms(self, values: Doubles, change: int | None = None) -> list[int]:
        """The position of the last event of each window that alarms.

        Args:
            values: a stream (n,) or (n, d).
            change: where the world changes; nothing is read after the first alarm from there on.
        """
        found = []
        for t in self.in_alarm(self.counter.count(values, self.window)):
            found.append((t + 1) * self.window - 1)
            if change is not None and found[-1] >= change:
                break
        return found

    def in_alarm(self, stacks: Ints) -> Iterator[int]:
        """Which of the windows (T, width) alarm."""
        spread = dispersion(stacks, self.counter.features)
        at, state, size = 0, self.detector.begin(), _CHUNKS[0]
        while at < len(stacks):
            chunk = slice(at, at + size)
            after, evidence = self.detector.fold(state, stacks[chunk], spread[chunk])
            high = np.flatnonzero(combine(evidence, self.counter.features) >= self.limit)
            if len(high):
                at, state, size = at + int(high[0]) + 1, self.detector.begin(), _CHUNKS[0]
                yield at - 1
            else:
                at, state, size = at + size, after, min(2 * size, _CHUNKS[1])


def watch(counter: Counter, reference: Doubles, window: int, interval: float) -> Watch:
    """The detector whose reference is these values, (n,) or (n, d), counted like the stream."""
    return Watch(
        counter=counter,
        reference=counter.count(reference, len(reference))[0],
        rows=len(reference),
        window=window,
        interval=interval,
    )


def watch_classes(reference: Ints, window: int, interval: float) -> Watch:
    """The detector for a stream of ten classes, from a reference (n,)."""
    return watch(Classes(classes=10), reference, window, interval)


def watch_numbers(reference: Doubles, window: int, interval: float) -> Watch:
    """The detector for a stream of numbers, from a reference (n,)."""
    return watch(Numbers.of(reference), reference, window, interval)
