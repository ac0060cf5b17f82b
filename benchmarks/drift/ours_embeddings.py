"""Embeddings, counted as the product counts them: on the space that is made when a model is accepted."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.ours import Watch
from operators.features import Feature
from operators.panes import Columns, count, layout_of, narrow, positions
from operators.scale import Scale
from operators.space import Space
from pipelines.models.fit import Rows, accept
from schemas.embedding import Codec

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

GROUPS: Final = ("embedding", "centroid", "centroid_distance", "embedding_norm")
CLASSES: Final = 10
_CONFIDENCE: Final = 0.9
_SECOND: Final = 0.05
_ENTROPY: Final = 0.4
_WAVED: Final = 4  # one row in so many is in the sums of waves, as in the dataflow
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Embeddings:
    """A stream of embeddings in panes; class and scores stay the same, and are not watched.

    Attributes:
        scale: with the space of the embeddings.
    """

    scale: Scale

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Those of the embeddings."""
        return tuple(feature for feature in self.scale.features if feature.group in GROUPS)

    @cached_property
    def place(self) -> slice:
        """Where in a pane they stand."""
        at = layout_of(self.scale).at
        return slice(at[self.features[0].name].start, at[self.features[-1].name].stop)

    def count(self, values: Floats, window: int) -> Ints:
        """(T, width): the counts of whole windows of embeddings (n, d)."""
        whole = len(values) // window
        windows = max(_BLOCK // window, 1)
        parts = [self._panes(values[at * window : (at + windows) * window], window) for at in range(0, whole, windows)]
        return np.concatenate(parts)[:, self.place]

    def _panes(self, values: Floats, window: int) -> Ints:
        n = len(values) // window * window
        columns = Columns(
            class_id=np.zeros(n, np.int64),
            confidence=np.full(n, _CONFIDENCE, np.float32),
            second=np.full(n, _SECOND, np.float32),
            entropy=np.full(n, _ENTROPY, np.float32),
            latency_us=np.full(n, 3_000),
            located=_space(self.scale).locate(values[:n]),
            waved=np.arange(n) % _WAVED == 0,
            sound=np.ones(n, bool),
        )
        group = np.arange(n) // window
        return count(self.scale, columns, positions(self.scale, columns), np.ones(n, bool), group, n // window)


def watch_embeddings(reference: Floats, window: int, interval: float) -> Watch:
    """The detector for a stream of embeddings, from a reference (n, d).

    The space is fitted to some of its rows, and the others are counted, as when a model is accepted.
    """
    n = len(reference)
    rows = Rows(
        class_id=np.zeros(n, np.int64),
        confidence=np.full(n, _CONFIDENCE, np.float32),
        second=np.full(n, _SECOND, np.float32),
        entropy=np.full(n, _ENTROPY, np.float32),
        embeddings=reference,
        codec=Codec.F32,
    )
    accepted = accept(model="digits", version=1, labels=tuple(f"class-{i}" for i in range(CLASSES)), rows=rows)
    counter = Embeddings(scale=accepted.scale)
    counts = accepted.pane[counter.place]
    return Watch(
        counter=counter,
        reference=counts,
        rows=int(counts[: counter.features[0].bins].sum()),
        window=window,
        interval=interval,
    )


def pane_bytes(watched: Watch) -> int:
    """Bytes of a whole pane: also the counts of scores, latency and quality, and the sums of waves."""
    counter = watched.counter
    assert isinstance(counter, Embeddings)
    return narrow(np.zeros(layout_of(counter.scale).width, np.int64)).nbytes


def _space(scale: Scale) -> Space:
    assert scale.space is not None
    return scale.space
