"""Accuracy: how often a model is likely right in each cohort, by its confidence, put right by labels that came."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.cohorts import Cohort
from operators.expected_accuracy import accuracies, anchored
from operators.panes import layout_of
from operators.reference import Reference
from operators.scale import BINS
from operators.watch import References

Ints = NDArray[np.int64]

_SPANS: Final = pa.schema(
    [
        ("model", pa.string()),
        ("model_version", pa.int64()),
        ("level", pa.string()),
        ("cohort", pa.string()),
        ("begin", pa.timestamp("us", tz="UTC")),
        ("place", pa.int64()),
    ]
)
_COUNTS: Final = """
select place, counts[$first:$last] as counts
from current_windows join spans using (model, model_version, level, cohort)
where model = $model and model_version = $version and window_start >= begin"""
_LABELS: Final = """
select place, confidence, correct from labels join spans using (model, model_version)
where model = $model and model_version = $version and time >= begin and not clock_off
and cohort_of(level, site, device, class_id, hardware, agent, attributes) = cohort"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How often the model is likely right.

    Attributes:
        value: in [0, 1].
        error: its standard error.
        labelled: rows whose label came.
        correct: those of them that were right.
    """

    value: float
    error: float
    labelled: int
    correct: int


def accuracy_of(
    lake: duckdb.DuckDBPyConnection, since: Mapping[Cohort, datetime], references: References
) -> dict[Cohort, Accuracy]:
    """The accuracy of cohorts from a time on; of those whose model's bundle knows how often it was right.

    Args:
        lake: as `pipelines.views.connect` gives it.
        since: cohort → event time.
        references: of the models.
    """
    found: dict[Cohort, Accuracy] = {}
    for model, version in sorted({cohort[:2] for cohort in since}):
        reference = references.of(model, version, "", "")
        if reference is not None and len(reference.labelled):
            cohorts = sorted(cohort for cohort in since if cohort[:2] == (model, version))
            found |= _of_model(lake, reference, {cohort: since[cohort] for cohort in cohorts})
    return found


def _of_model(
    lake: duckdb.DuckDBPyConnection, reference: Reference, since: Mapping[Cohort, datetime]
) -> dict[Cohort, Accuracy]:
    edges = reference.scale.confidence_edges
    known = accuracies(reference.labelled, reference.correct, edges)
    assert known is not None  # it has labels
    rows = [(*cohort, begin, place) for place, (cohort, begin) in enumerate(since.items())]
    lake.register("spans", pa.table(list(zip(*rows, strict=True)), schema=_SPANS))
    own = layout_of(reference.scale).at["confidence"]
    of = {"model": reference.model, "version": reference.version}
    try:
        windows = lake.execute(_COUNTS, of | {"first": own.start + 1, "last": own.stop}).to_arrow_table()
        words = lake.execute(_LABELS, of).fetchnumpy()
    finally:
        lake.unregister("spans")
    fit = [len(each) == BINS for each in windows["counts"].to_pylist()]
    windows = windows.filter(pa.array(fit, pa.bool_()))
    counts = _add(len(since), windows["place"].to_numpy(), _lists(windows["counts"]))
    place, right = words["place"].astype(np.int64), words["correct"].astype(bool)
    bins = np.eye(BINS, dtype=np.int64)[np.searchsorted(edges, words["confidence"], side="right")]
    labelled, correct = (_add(len(since), place[kept], bins[kept]) for kept in (np.ones(len(place), bool), right))
    told = anchored(known, np.maximum(counts, labelled), labelled, correct)
    return {
        cohort: Accuracy(value=value, error=error, labelled=int(labelled[at].sum()), correct=int(correct[at].sum()))
        for at, (cohort, value, error) in enumerate(zip(since, told.value.tolist(), told.error.tolist(), strict=True))
        if np.isfinite(value)
    }


def _lists(column: pa.ChunkedArray) -> Ints:
    """(n, 16) the lists of a column, all of them of 16."""
    values: Ints = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return values.reshape(-1, BINS)


def _add(cohorts: int, place: Ints, counts: Any) -> Ints:
    """(cohorts, 16) the counts of each cohort together."""
    total = np.zeros((cohorts, BINS), np.int64)
    np.add.at(total, place, counts)
    return total
