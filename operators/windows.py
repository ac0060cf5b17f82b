"""Windows: rows counted into event-time panes that add up.

A pane belongs to one model version, site and window. It holds integers alone, so it
does not matter in which order, batch or partition its rows arrived, nor how late.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.panes import layout_of, panes
from operators.reference import Reference
from operators.uncertainty import top_two
from schemas.embedding import decode

Ints = NDArray[np.int64]
PaneKey = tuple[str, int, str, int]
"""(model, model version, site, start of the window in microseconds)"""
References = Mapping[tuple[str, int], Reference]
Panes = dict[PaneKey, Ints]


def count_rows(rows: pa.RecordBatch, references: References, window_us: int) -> Panes:
    """The panes of some rows (columns of `inferences`).

    Rows of a model without a reference are in the lake, but in no pane.
    """
    counted: Panes = {}
    if not rows.num_rows:
        return counted
    model, version = rows["model"], rows["model_version"].to_numpy()
    codes = model.indices.to_numpy()
    for code, name in enumerate(model.dictionary.to_pylist()):
        of_model = codes == code
        for number in np.unique(version[of_model]).tolist():
            reference = references.get((name, number))
            if reference is not None:
                chosen = of_model & (version == number)
                part = rows if chosen.all() else rows.filter(pa.array(chosen))
                counted |= _count(part, reference, window_us)
    return counted


def add_panes(to: Panes, more: Panes) -> None:
    """Add `more` to the panes `to`, in place."""
    for key, pane in more.items():
        to[key] = to[key] + pane if key in to else pane


def fitting(panes: Panes, references: References) -> Panes:
    """The panes that were counted as today's references count.

    A model that was built again under its old version may have other classes or another
    embedding; what was counted for it before can't be compared any more.
    """
    widths = {model: layout_of(reference).width for model, reference in references.items()}
    return {key: pane for key, pane in panes.items() if widths.get(key[:2], len(pane)) == len(pane)}


def _count(rows: pa.RecordBatch, reference: Reference, window_us: int) -> Panes:
    """The panes of rows of one model version."""
    window = rows["time"].cast(pa.int64()).to_numpy() // window_us
    site = rows["site"]
    sites = site.dictionary.to_pylist()
    pairs = window * len(sites) + site.indices.to_numpy()
    present, group = np.unique(pairs, return_inverse=True)
    confidence, _ = top_two(rows["scores"])
    class_ids = rows["class_ids"]
    counted = panes(
        reference,
        group.astype(np.int32),
        len(present),
        class_ids.values.to_numpy()[class_ids.offsets.to_numpy()[:-1]],
        confidence,
        embeddings_of(rows, reference),
    )
    keys = [
        (reference.model, reference.version, sites[p % len(sites)], p // len(sites) * window_us)
        for p in present.tolist()
    ]
    return dict(zip(keys, counted, strict=True))


def embeddings_of(rows: pa.RecordBatch, reference: Reference) -> NDArray[np.float32]:
    """The embeddings of rows of one model version, shape (n, d); (0, 0) without one."""
    column: Any = rows["embedding"]
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    codes = memoryview(column.buffers()[2])[offsets[0] : offsets[-1]] if reference.dims else b""
    scale = rows["embedding_scale"].fill_null(0.0).to_numpy()
    return decode(codes, scale, reference.embedding_codec, reference.dims)
