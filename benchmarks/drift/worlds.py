"""The kinds of streams that claims are measured on: how they are drawn, and how they are watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.interval import Interval
from benchmarks.drift.ours import Watch, watch_classes, watch_numbers
from benchmarks.drift.ours_embeddings import watch_embeddings
from benchmarks.drift.setting import EMBEDDINGS_WINDOW, NUMBERS_WINDOW
from benchmarks.drift.streams import embeddings, scalars, source

Values = NDArray[np.floating]
Draw = Callable[[np.random.Generator, int], Values]


@dataclass(frozen=True, slots=True)
class World:
    """A kind of stream.

    Attributes:
        draw: (rng, n) → n values of the world without drift.
        watch: (reference, window, interval) → the detector.
        window: events of one window.
    """

    draw: Draw
    watch: Callable[[Values, int, float], Watch]
    window: int


def worlds() -> Mapping[str, World]:
    """All kinds, by the name in tables."""
    return {
        "Beta(8, 2)": World(scalars.confidence, watch_numbers, NUMBERS_WINDOW),
        "Bernoulli(0.2)": World(scalars.yes_or_no, watch_numbers, NUMBERS_WINDOW),
        "digit embeddings": World(embeddings.mixture().draw, watch_embeddings, EMBEDDINGS_WINDOW),
    }


def hostile() -> Mapping[str, World]:
    """Kinds that no claim is about: classes that never come."""
    return {
        "4 of 10 classes": World(scalars.few_classes, watch_classes, NUMBERS_WINDOW),
        "1 of 10 classes": World(scalars.one_class, watch_classes, NUMBERS_WINDOW),
    }


def references(world: World, seed: int, streams: int, rows: int, *purpose: object) -> list[Values]:
    """One reference for each stream, drawn anew."""
    return [world.draw(source(seed, "reference", *purpose, i), rows) for i in range(streams)]


def stationary(world: World, seed: int, streams: int, samples: int, *purpose: object) -> list[Values]:
    """Streams without drift."""
    return [world.draw(source(seed, "stationary", *purpose, i), samples) for i in range(streams)]


def shifted(
    world: World, draw: Draw, seed: int, streams: int, change: int, after: int, *purpose: object
) -> list[Values]:
    """Streams that are without drift up to `change`, and drawn by `draw` from there on."""
    found = []
    for i in range(streams):
        rng = source(seed, "shifted", *purpose, i)
        found.append(np.concatenate([world.draw(rng, change), draw(rng, after)]))
    return found


def false_alarms(watches: list[Watch], streams: list[Values]) -> tuple[Interval, list[int]]:
    """The interval over all streams, and the alarms of each."""
    counts = [len(watch.alarms(stream)) for watch, stream in zip(watches, streams, strict=True)]
    return Interval(sum(counts), sum(len(stream) for stream in streams)), counts
