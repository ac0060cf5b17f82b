"""Rows: the inferences of one cohort and stretch of time, out of the lake, as the dataflow carries them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from operators.cohorts import Cohort
from operators.hellos import Known
from schemas.tables import INFERENCES

_BATCH_ROWS: Final = 1 << 15
_FACTS: Final = ("hardware", "agent", "attributes")
_COLUMNS: Final = ("device", "event", "log_offset", "hardware", "agent", "attributes")

_PLAIN: Final = """
select i.* from inferences i
where model = $model and model_version = $version and date between $since::date and $until::date
and time >= $since and time < $until
and cohort_of($level, site, device, class_ids[1], null, null, null) = $cohort"""
_BY_FACTS: Final = """
select i.* from inferences i asof left join (select * from devices where event = 'hello') h
on i.device = h.device and i.received >= h.received
where i.model = $model and i.model_version = $version and i.date between $since::date and $until::date
and time >= $since and time < $until
and cohort_of($level, i.site, i.device, class_ids[1], hardware, agent, attributes) = $cohort"""
_HELLOS: Final = "select device, event, log_offset, hardware, agent, attributes from devices where event = 'hello'"


def cohort_rows(
    lake: duckdb.DuckDBPyConnection, cohort: Cohort, since: datetime, until: datetime
) -> Iterator[pa.RecordBatch]:
    """The rows of a cohort whose time lies in since ≤ time < until, columns of `inferences`.

    Args:
        lake: as `pipelines.views.connect` gives it.
        cohort: model, model version, level, name.
        since: event time.
        until: event time, exclusive.
    """
    model, version, level, name = cohort
    query = _BY_FACTS if any(part.partition(".")[0] in _FACTS for part in level.split("/")) else _PLAIN
    values = {"model": model, "version": version, "level": level, "cohort": name, "since": since, "until": until}
    for batch in lake.execute(query, values).to_arrow_reader(_BATCH_ROWS):
        if batch.num_rows:
            yield _carried(batch)


def hellos(lake: duckdb.DuckDBPyConnection) -> Known:
    """What devices said of themselves, for all of the lake's rows."""
    known = Known()
    table = lake.execute(_HELLOS).to_arrow_table()
    known.learn(pa.RecordBatch.from_pylist(table.to_pylist(maps_as_pydicts=None), schema=table.schema))
    return known


def _carried(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns as the dataflow has them: words as codes."""
    schema = INFERENCES.schema
    return pa.RecordBatch.from_arrays([_cast(batch[field.name], field.type) for field in schema], schema=schema)


def _cast(column: Any, kind: pa.DataType) -> Any:
    return column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column.cast(kind)
