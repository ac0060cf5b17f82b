"""A scale: what is watched of a model's rows, and in which bins; made once, when the model is accepted.

Whatever is counted on the same scale adds up and can be compared: windows, cohorts, the validation
rows that the model was accepted on, and windows of production that were blessed later.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.features import Feature, Kind
from operators.space import DIRECTION_BINS, DISTANCE_BINS, Space

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS: Final = 16
MAX_SLOTS: Final = 64
"""Classes that are counted apart; of a model with more of them, the rarest share the last slot."""

LATENCY_EDGES_US: Final = np.array([2**i * 125 for i in range(BINS - 1)])
"""Inner edges of inference time: octaves from 125 µs to 2 s."""

QUALITY: Final = ("sound", "clock_off", "reject", "gap")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """The bins of everything that is watched.

    Attributes:
        labels: names of the classes; none where the server has no bundle of the model.
        slots: (L,) int64: the slot of each class id, below 64; beyond L the last slot.
        confidence_edges: (15,) float64, not falling: inner edges of the best class's probability.
        margin_edges: (15,) float64, not falling: of p₁ - p₂.
        entropy_edges: (15,) float64, not falling: in nats.
        space: of the embeddings, where there are any.
    """

    labels: tuple[str, ...]
    slots: Ints
    confidence_edges: Doubles
    margin_edges: Doubles
    entropy_edges: Doubles
    space: Space | None

    @property
    def classes(self) -> int:
        """Slots of classes."""
        return int(self.slots.max()) + 1 if len(self.slots) else MAX_SLOTS

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What is watched, in the order of a stack."""
        found = [
            Feature("prediction_mix", "prediction_mix", Kind.NOMINAL, self.classes),
            Feature("confidence", "confidence", Kind.ORDINAL, BINS),
            Feature("margin", "margin", Kind.ORDINAL, BINS),
            Feature("entropy", "entropy", Kind.ORDINAL, BINS),
            Feature("latency", "latency", Kind.ORDINAL, BINS),
            Feature("quality", "quality", Kind.NOMINAL, len(QUALITY)),
        ]
        if self.space is not None:
            directions = range(1, self.space.directions + 1)
            found += [Feature(f"embedding_{i}", "embedding", Kind.ORDINAL, DIRECTION_BINS) for i in directions]
            found += [
                Feature("centroid", "centroid", Kind.NOMINAL, len(self.space.centroids)),
                Feature("centroid_distance", "centroid_distance", Kind.ORDINAL, DISTANCE_BINS),
                Feature("embedding_norm", "embedding_norm", Kind.ORDINAL, DISTANCE_BINS),
            ]
        return tuple(found)

    @property
    def of_embedding(self) -> tuple[str, ...]:
        """Names of the features of the embedding."""
        return tuple(each.name for each in self.features if each.group.startswith(("embedding", "centroid")))

    def class_slots(self, class_id: NDArray[np.integer]) -> Ints:
        """(n,) the slot of each class id."""
        if not len(self.slots):
            return np.minimum(class_id.astype(np.int64), MAX_SLOTS - 1)
        found: Ints = self.slots[np.minimum(class_id, len(self.slots) - 1)]
        return found

    def bin_name(self, feature: Feature, place: int) -> str:
        """What a bin of a feature holds, for people."""
        if feature.name == "quality":
            return QUALITY[place]
        if feature.name == "prediction_mix":
            return self._class_name(place)
        edges = self._edges_of(feature.name)
        if edges is None:
            return f"{place + 1} of {feature.bins}"
        low = f"{edges[place - 1]:.4g}" if place else ""
        high = f"{edges[place]:.4g}" if place < len(edges) else ""
        return f"{low} … {high}".strip()

    def _class_name(self, slot: int) -> str:
        if not self.labels:
            return f"class {slot}" if slot < MAX_SLOTS - 1 else "other classes"
        named = [label for label, of in zip(self.labels, self.slots.tolist(), strict=True) if of == slot]
        return named[0] if len(named) == 1 else "other classes"

    def _edges_of(self, name: str) -> Doubles | None:
        known = {
            "confidence": self.confidence_edges,
            "margin": self.margin_edges,
            "entropy": self.entropy_edges,
            "latency": LATENCY_EDGES_US / 1e6,
        }
        return known.get(name)


def universal() -> Scale:
    """The scale for a model that the server has no bundle of: edges that suit any classifier.

    Confidence and margin have edges at equal steps of log-odds from 0.1 to 0.999, entropy at equal steps of its
    logarithm from 0.005 to 3 nats.
    """
    odds = np.linspace(np.log(0.1 / 0.9), np.log(0.999 / 0.001), BINS - 1)
    shares = 1 / (1 + np.exp(-odds))
    return Scale(
        labels=(),
        slots=np.empty(0, np.int64),
        confidence_edges=shares,
        margin_edges=shares,
        entropy_edges=np.exp(np.linspace(np.log(0.005), np.log(3.0), BINS - 1)),
        space=None,
    )
