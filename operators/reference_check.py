"""Whether a reference can be: a file may be whole and still say something impossible."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from operators.features import places
from operators.panes import layout_of
from operators.reference import BLESSED, VALIDATION, Reference
from operators.scale import BINS, MAX_SLOTS, Scale
from operators.space import (
    DIRECTION_BINS,
    DISTANCE_BINS,
    MAX_CELL,
    STEPS,
    WAVE_UNIT,
    WAVES,
    WEIGHT,
    Space,
)
from schemas.embedding import Codec
from schemas.errors import BundleError

Ints = NDArray[np.int64]
Demands = Iterator[tuple[bool, str]]

MAX_DIRECTIONS = 16
MAX_CENTROIDS = 16
MAX_ROWS = 1 << 35
_TURN = 4096
_LARGEST_WAVE = int(np.ceil(np.sqrt(2) / WAVE_UNIT))


def check(reference: Reference, where: str = "") -> Reference:
    """The reference itself, once it is known to be possible.

    Args:
        reference: any.
        where: what it was read from, for the error.

    Raises:
        BundleError: its counts do not add up, or a number can't be.
    """
    for ok, what in _demands(reference):
        if not ok:
            source = f"{where}: " if where else ""
            raise BundleError(f"{source}reference of {reference.model} {reference.version}: {what}")
    return reference


def _demands(r: Reference) -> Demands:
    """What a reference must fulfil, each with what to say where it does not; later ones trust earlier ones."""
    yield r.source in (VALIDATION, BLESSED), f"source must be {VALIDATION} or {BLESSED}"
    yield (r.source == BLESSED) or not (r.level or r.cohort), "only a blessed reference is for a cohort"
    yield bool(r.level) == bool(r.cohort), "level and cohort go together"
    yield from _of_scale(r.scale)
    if r.scale.space is not None:
        yield from _of_space(r.scale.space)
    yield from _of_pane(r)
    yield from _of_classes(r)
    yield from _of_labels(r)
    yield from _of_waves(r)


def _of_scale(scale: Scale) -> Demands:
    labels, slots = len(scale.labels), scale.slots
    yield labels > 0 and all(isinstance(label, str) for label in scale.labels), "there must be labels"
    yield slots.shape == (labels,), "slots needs one slot a label"
    used = np.unique(slots)
    yield (
        np.array_equal(used, np.arange(len(used))) and len(used) <= MAX_SLOTS,
        f"slots must be 0 … {MAX_SLOTS - 1}, none left out",
    )
    for name, low, high in (("confidence", 0.0, 1.0), ("margin", -1.0, 1.0), ("entropy", -1.0, np.inf)):
        edges = getattr(scale, f"{name}_edges")
        yield edges.shape == (BINS - 1,), f"{name}_edges must be {BINS - 1}"
        fine = np.isfinite(edges).all() and edges.min() >= low and edges.max() <= high and _rising(edges)
        yield bool(fine), f"{name}_edges must not fall, in [{low:g}, {high:g}]"


def _of_space(s: Space) -> Demands:
    r, d, m = s.directions, s.dims, len(s.centroids)
    yield s.codec is not Codec.NONE and d > 0, "the embedding and its codec do not go together"
    yield 0 < r <= MAX_DIRECTIONS, f"weights must be of 1 to {MAX_DIRECTIONS} directions"
    yield 0 < m <= MAX_CENTROIDS, f"centroids must be 1 to {MAX_CENTROIDS}"
    for name, shape, most in (
        ("center", (d,), STEPS),
        ("weights", (r, d), WEIGHT),
        ("centroids", (m, r), MAX_CELL),
        ("waves", (r, WAVES), WEIGHT),
        ("phases", (WAVES,), _TURN - 1),
    ):
        values = getattr(s, name)
        yield values.shape == shape and _within(values, most), f"{name} must be {shape}, within ±{most}"
    for name, shape in (
        ("direction_edges", (r, DIRECTION_BINS - 1)),
        ("distance_edges", (DISTANCE_BINS - 1,)),
        ("norm_edges", (DISTANCE_BINS - 1,)),
    ):
        edges = getattr(s, name)
        yield edges.shape == shape and _rising(edges), f"{name} must be {shape}, and not fall"
    with np.errstate(all="ignore"):
        steps = np.float32(1.0) / np.float32(s.unit)
    yield s.unit > 0 and bool(0 < steps < np.inf), "unit must be above 0"
    yield s.gain.shape == (r,) and bool(((s.gain > 0) & (s.gain < np.inf)).all()), "gain must be above 0"


def _of_pane(r: Reference) -> Demands:
    layout = layout_of(r.scale)
    yield r.pane.shape == (layout.width,), f"pane must be {layout.width} numbers on this scale"
    yield 0 < r.rows < MAX_ROWS, "rows must be 1 or more"
    yield 0 < r.events <= r.rows, "events must be 1 or more, and no more than rows"
    yield _counts_fit(r, r.pane), "the counts of a feature do not add up to the events"
    waved = int(r.pane[layout.waved])
    yield 0 <= waved <= r.events, "more rows in the waves than events"
    yield _within(r.pane[layout.waves], waved * _LARGEST_WAVE), "sums of waves are too large for their rows"


def _of_classes(r: Reference) -> Demands:
    layout = layout_of(r.scale)
    yield r.by_class.shape == (r.scale.classes, layout.width), "by_class needs one pane a class"
    whole = all(_counts_fit(r, pane) for pane in r.by_class)
    yield whole, "the counts of a class do not add up to its events"
    summed = np.array_equal(r.by_class.sum(axis=0), r.pane)
    yield summed or r.source == BLESSED, "the panes of the classes do not add up to that of all rows"


def _of_labels(r: Reference) -> Demands:
    yield r.correct.shape == r.labelled.shape in ((0,), (BINS,)), f"labelled and correct must be {BINS}, or none"
    fits = (r.correct >= 0) & (r.correct <= r.labelled) & (r.labelled < MAX_ROWS)
    yield bool(fits.all()), "more rows are correct than labelled"
    of_all = r.source == BLESSED or bool((r.labelled <= r.counts("confidence")[: len(r.labelled)]).all())
    yield of_all, "more rows are labelled than there are"


def _of_waves(r: Reference) -> Demands:
    size = WAVES if r.scale.space else 0
    waved = int(r.pane[layout_of(r.scale).waved])
    products = r.wave_products
    yield products.shape == (size, size) and np.array_equal(products, products.T), "wave_products must be symmetric"
    yield _within(products, 2 * waved * _LARGEST_WAVE**2), "wave_products are too large for their rows"
    sums = r.pane[layout_of(r.scale).waves].astype(np.float64)
    spread = (products.diagonal() + 1.0) * waved >= sums**2 * (1 - 1e-9)
    yield bool(spread.all()), "wave_products are too small for the sums of waves"


def _counts_fit(r: Reference, pane: Ints) -> bool:
    """Whether each feature counted all events of a pane, or none, those of the embedding the rows in the waves.

    Quality counts more than events; in blessed windows, where one row in a few is in the waves, so do embeddings.
    """
    layout = layout_of(r.scale)
    stack, events = pane[layout.stack], int(pane[layout.events])
    if not (stack.min() >= 0 and stack.max() < MAX_ROWS and 0 <= events < MAX_ROWS):
        return False
    features = r.scale.features
    sums = {each.name: int(stack[place].sum()) for each, place in zip(features, places(features), strict=True)}
    del sums["quality"]
    waved = int(pane[layout.waved])
    found = {sums.pop(name) for name in r.scale.of_embedding}
    apart = found <= {waved} or (r.source == BLESSED and found <= {events})
    return apart and set(sums.values()) <= {0, events} and sums["confidence"] == events


def _rising(values: NDArray[np.float64] | Ints) -> bool:
    return bool((values[..., 1:] >= values[..., :-1]).all())


def _within(values: Ints, most: int) -> bool:
    return bool(((values >= -most) & (values <= most)).all())
