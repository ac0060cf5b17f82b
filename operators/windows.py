"""Windows: rows counted into event-time panes that add up.

A pane belongs to one model version, cohort and window. It holds integers alone, so it
does not matter in which order, batch or partition its rows arrived, nor how late.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.cohorts import Level, codes
from operators.hellos import Known
from operators.panes import Columns, count, layout_of, positions
from operators.repeats import Sight, Streams, find_runs, meet, near_neighbours, places_of
from operators.scale import Scale, universal
from operators.space import Space
from operators.uncertainty import top_two
from schemas.embedding import decode

Ints = NDArray[np.int64]
ModelKey = tuple[str, int]
PaneKey = tuple[str, int, str, str, int]
"""(model, model version, level, cohort, start of the window in microseconds)"""
Panes = dict[PaneKey, Ints]

MAX_STRANGERS: Final = 64
"""Model versions without a bundle that are watched: a device chooses the name of its model."""

_WAVED: Final = 4  # one row in so many is in the sums of waves
_UNIVERSAL: Final = universal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How rows are counted.

    Attributes:
        scales: of the models that the server has a reference of.
        levels: what makes a cohort.
        window_us: length of a window.
    """

    scales: Mapping[ModelKey, Scale]
    levels: tuple[Level, ...]
    window_us: int

    def scale(self, model: ModelKey) -> Scale:
        """The model's own scale, or the universal one."""
        return self.scales.get(model, _UNIVERSAL)


@dataclass(slots=True)
class Counted:
    """What one partition remembers between batches.

    Attributes:
        known: what its devices said of themselves.
        streams: the ends of their runs of records.
        strangers: models without a reference that it has seen, at most `MAX_STRANGERS`.
    """

    known: Known = field(default_factory=Known)
    streams: Streams = field(default_factory=dict)
    strangers: tuple[ModelKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where a row was counted that may turn out to be a repeat."""

    model: ModelKey
    keys: tuple[PaneKey, ...]
    position: bytes
    place: bytes
    waved: bool


def count_rows(counted: Counted, rows: pa.RecordBatch, counting: Counting) -> Panes:
    """The panes of some rows (columns of `inferences`), none of which came before.

    Args:
        counted: the state; updated in place.
        rows: new and sound.
        counting: how.
    """
    panes: Panes = {}
    for key, part in _by_model(rows):
        if key not in counting.scales and key not in counted.strangers:
            if len(counted.strangers) >= MAX_STRANGERS:
                continue
            counted.strangers = (*counted.strangers, key)
        add_panes(panes, _count(counted, part, key, counting))
    return panes


def add_panes(to: Panes, more: Panes) -> None:
    """Add `more` to the panes `to`, in place."""
    for key, pane in more.items():
        to[key] = to[key] + pane if key in to else pane


def fitting(panes: Panes, scales: Mapping[ModelKey, Scale]) -> Panes:
    """The panes that were counted as today's scales count.

    A model that was built again under its old version may have other classes or another
    embedding; what was counted for it before can't be compared any more.
    """
    widths = {model: layout_of(scale).width for model, scale in scales.items()}
    return {key: pane for key, pane in panes.items() if widths.get(key[:2], len(pane)) == len(pane)}


def columns_of(rows: pa.RecordBatch, scale: Scale) -> Columns:
    """What is watched of rows of one model version."""
    confidence, second = top_two(rows["scores"])
    class_ids = rows["class_ids"]
    return Columns(
        class_id=class_ids.values.to_numpy()[class_ids.offsets.to_numpy()[:-1]],
        confidence=confidence,
        second=second,
        entropy=rows["entropy"].to_numpy(),
        latency_us=rows["latency_us"].to_numpy(),
        located=scale.space.locate(embeddings_of(rows, scale.space)) if scale.space else None,
        waved=rows["seq"].to_numpy() % _WAVED == 0,
        sound=~rows["clock_off"].to_numpy(zero_copy_only=False),
    )


def embeddings_of(rows: pa.RecordBatch, space: Space) -> NDArray[np.float32]:
    """The embeddings of rows of one model version, shape (n, d)."""
    column: Any = rows["embedding"]
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    coded = memoryview(column.buffers()[2])[offsets[0] : offsets[-1]]
    scale = rows["embedding_scale"].fill_null(0.0).to_numpy()
    return decode(coded, scale, space.codec, space.dims)


def _by_model(rows: pa.RecordBatch) -> Iterator[tuple[ModelKey, pa.RecordBatch]]:
    """The rows of each model version."""
    if not rows.num_rows:
        return
    model, version = rows["model"], rows["model_version"].to_numpy()
    code = model.indices.to_numpy()
    for place, name in enumerate(model.dictionary.to_pylist()):
        of_model = code == place
        for number in np.unique(version[of_model]).tolist():
            chosen = of_model & (version == number)
            yield (name, number), rows if chosen.all() else rows.filter(pa.array(chosen))


def _count(counted: Counted, rows: pa.RecordBatch, model: ModelKey, counting: Counting) -> Panes:
    """The panes of rows of one model version, and what repeats take back."""
    scale = counting.scale(model)
    columns = columns_of(rows, scale)
    position = positions(scale, columns)
    window = rows["time"].cast(pa.int64()).to_numpy() // counting.window_us
    grouped = [_groups(level, rows, counted.known, columns, window) for level in counting.levels]

    def keys_at(row: int) -> Iterator[PaneKey]:
        for level, (present, group, names) in zip(counting.levels, grouped, strict=True):
            yield _key(model, level, names, present[group[row]], counting.window_us)

    def ticket(row: int, place: NDArray[np.int16]) -> Ticket | None:
        if not columns.sound[row]:
            return None
        return Ticket(model, tuple(keys_at(row)), position[row].tobytes(), place.tobytes(), bool(columns.waved[row]))

    event, taken_back = _events(counted.streams, rows, model, columns, ticket)
    panes: Panes = {}
    for level, (present, group, names) in zip(counting.levels, grouped, strict=True):
        counts = count(scale, columns, position, event, group, len(present))
        add_panes(
            panes, {_key(model, level, names, p, counting.window_us): c for p, c in zip(present, counts, strict=True)}
        )
    for each in taken_back:
        less = _taken_back(counting.scale(each.model), each)
        add_panes(panes, dict.fromkeys(each.keys, less))
    return panes


def _events(
    streams: Streams, rows: pa.RecordBatch, model: ModelKey, columns: Columns, ticket: Any
) -> tuple[NDArray[np.bool_], list[Ticket]]:
    """Which rows are events, and tickets of earlier rows that were none."""
    places, limit = places_of(columns)
    stream = rows["stream"]
    runs, row, before = find_runs(stream.indices.to_numpy(), stream.dictionary.to_pylist(), rows["seq"].to_numpy())
    event = np.ones(len(places), bool)
    event[row[near_neighbours(columns.class_id, places, limit, row, before)]] = False
    taken_back = []
    for run in runs:
        first = Sight(model, int(columns.class_id[run.start]), places[run.start].tobytes())
        last = Sight(model, int(columns.class_id[run.end]), places[run.end].tobytes())
        repeated, after = meet(streams, run, first, last, limit, partial(ticket, run.start, places[run.start]))
        event[run.start] = not repeated
        if after is not None:
            taken_back.append(after)
    return event, taken_back


def _taken_back(scale: Scale, ticket: Ticket) -> Ints:
    """The pane that takes one row's evidence back."""
    layout = layout_of(scale)
    less = np.zeros(layout.width, np.int64)
    less[np.frombuffer(ticket.position, np.int32)] -= 1
    less[[layout.events, layout.at["quality"].start]] -= 1
    if ticket.waved and scale.space is not None:
        less[layout.waved] -= 1
        cells = np.frombuffer(ticket.place, np.int16).astype(np.float32)
        less[layout.waves] -= scale.space.wave_values(cells[None])[0]
    return less


def _groups(
    level: Level, rows: pa.RecordBatch, known: Known, columns: Columns, window: Ints
) -> tuple[list[int], NDArray[np.int64], Sequence[str]]:
    """The pairs of window and cohort that are there, (n,) which of them each row is, and the cohorts' names."""
    code, names = codes(level, rows, known, columns.class_id)
    pair = window * len(names) + code
    first = int(pair.min())
    span = int(pair.max()) - first + 1
    if span > 4 * len(pair) + 4096:
        present, group = np.unique(pair, return_inverse=True)
        return present.tolist(), group, names
    present = np.flatnonzero(np.bincount(pair - first, minlength=span))
    rank = np.zeros(span, np.int64)
    rank[present] = np.arange(len(present))
    return (present + first).tolist(), rank[pair - first], names


def _key(model: ModelKey, level: Level, names: Sequence[str], pair: int, window_us: int) -> PaneKey:
    return (*model, level.name, names[pair % len(names)], pair // len(names) * window_us)
