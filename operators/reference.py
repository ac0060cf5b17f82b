"""What a model was accepted on, as counts that can be merged.

A window of the fleet is compared with this. It holds no rows: neither images nor embeddings of the
validation part can be read back from it.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.panes import Columns, count, layout_of, positions
from operators.scale import BINS, Scale
from operators.space import WAVES, Floats, Space
from schemas.errors import BundleError

Ints = NDArray[np.int64]

VALIDATION: Final = "validation"
BLESSED: Final = "blessed"

_UNCOUNTED: Final = ("latency", "quality")
"""Features that say nothing of validation rows: they never travelled."""

_BLOCK_ROWS: Final = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The counts of the rows that a model was accepted on, on their scale.

    Attributes:
        model: name of the bundle.
        version: its counter.
        source: `validation`, or `blessed` where somebody blessed windows of production.
        scale: bins of all that is watched.
        pane: (width,) int64: of all rows. A feature whose counts are all zero was not counted.
        by_class: (slots, width) int64: of the rows of each predicted class. Of validation rows they add up to `pane`.
        labelled: (16,) int64: rows of each confidence bin whose true class is known; empty where
            nobody knows any. Always of validation rows.
        correct: (16,) int64: those of them whose prediction was right; empty as `labelled`.
        wave_products: (64, 64) int64: Σ of products of waves; empty without an embedding.
        level, cohort: what a blessed reference is for; empty where it is the whole model.
    """

    model: str
    version: int
    source: str
    scale: Scale
    pane: Ints
    by_class: Ints
    labelled: Ints
    correct: Ints
    wave_products: Ints
    level: str = ""
    cohort: str = ""

    @property
    def rows(self) -> int:
        """How many inferences."""
        return int(self.pane[layout_of(self.scale).rows])

    @property
    def events(self) -> int:
        """How many of them are evidence."""
        return int(self.pane[layout_of(self.scale).events])

    def counts(self, name: str) -> Ints:
        """The counts of one feature."""
        return self.pane[layout_of(self.scale).at[name]]


def build(*, model: str, version: int, scale: Scale, columns: Columns, truth: Ints | None = None) -> Reference:
    """The reference of n validation rows; exact, and the same in any order of them.

    Every row is evidence, since nobody repeats a sample there, and latency and quality stay uncounted. Embeddings are
    counted of the rows in `columns.waved` alone: those that the space was fitted to lie nearer to its
    centroids, and along its directions, than any later ones will.

    Args:
        model: name of the bundle.
        version: its counter.
        scale: of the model.
        columns: of the rows, as the server would see them; at least one.
        truth: (n,) true classes, where they are known.

    Raises:
        BundleError: there are no rows.
    """
    if not len(columns.class_id):
        raise BundleError(f"{model} {version}: a reference needs rows")
    position = positions(scale, columns)
    slot = scale.class_slots(columns.class_id)
    by_class = count(scale, columns, position, np.ones(len(slot), bool), slot, scale.classes)
    unseen = count(scale, columns, position, columns.waved, slot, scale.classes)
    layout = layout_of(scale)
    for name in _UNCOUNTED:
        by_class[:, layout.at[name]] = 0
    for name in scale.of_embedding:
        by_class[:, layout.at[name]] = unseen[:, layout.at[name]]
    labelled, correct = _judged(scale, columns, truth)
    return Reference(
        model=model,
        version=version,
        source=VALIDATION,
        scale=scale,
        pane=by_class.sum(axis=0),
        by_class=by_class,
        labelled=labelled,
        correct=correct,
        wave_products=_wave_products(scale.space, columns),
    )


def _judged(scale: Scale, columns: Columns, truth: Ints | None) -> tuple[Ints, Ints]:
    """Rows of each confidence bin, and those of them that are right."""
    if truth is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    place = np.searchsorted(scale.confidence_edges, columns.confidence, side="right")
    right = columns.class_id == truth
    return np.bincount(place, minlength=BINS), np.bincount(place[right], minlength=BINS)


def _wave_products(space: Space | None, columns: Columns) -> Ints:
    """Σ v·vᵀ over the waves v of the rows that have them: exact, since float64 holds every partial sum."""
    if space is None or columns.located is None:
        return np.empty((0, 0), np.int64)
    total = np.zeros((WAVES, WAVES), np.int64)
    cells: Floats = columns.located.cells[columns.waved]
    for at in range(0, len(cells), _BLOCK_ROWS):
        values = space.wave_values(cells[at : at + _BLOCK_ROWS]).astype(np.float64)
        total += (values.T @ values).astype(np.int64)
    return total


def merge(a: Reference, b: Reference) -> Reference:
    """The reference of the rows of both; exact, and the same in any order.

    Raises:
        BundleError: they are of different models, one of them alone is labelled or blessed, or they count on
            different scales.
    """
    if _kind(a) != _kind(b) or not same_scale(a.scale, b.scale):
        raise BundleError(
            f"references of {a.model} {a.version} and {b.model} {b.version} do not go together: "
            "other models, labelled and not, blessed and not, or different scales"
        )
    return replace(
        a,
        pane=a.pane + b.pane,
        by_class=a.by_class + b.by_class,
        labelled=a.labelled + b.labelled,
        correct=a.correct + b.correct,
        wave_products=a.wave_products + b.wave_products,
    )


def _kind(r: Reference) -> tuple[object, ...]:
    return r.model, r.version, r.source, r.level, r.cohort, len(r.correct)


def same_scale(a: Scale, b: Scale) -> bool:
    """Whether what was counted on one scale can be added to what was counted on the other."""
    return a is b or _same(a, b)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if is_dataclass(a) and type(a) is type(b):
        return all(_same(getattr(a, each.name), getattr(b, each.name)) for each in fields(a))
    return bool(a == b)
