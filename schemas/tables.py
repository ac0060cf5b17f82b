"""The tables of the lake, as Arrow schemas. Never imported on a device.

One thing has one name, from the proto field to the column to SQL. Times are
microseconds in UTC. Every table is partitioned by `date` and, where its rows
belong to a model, by `model` first; those two are in the path, not in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1

_TIME: Final = pa.timestamp("us", tz="UTC")
_WORD: Final = pa.dictionary(pa.int32(), pa.string())  # a text that many rows share
_DIGEST: Final = pa.binary(32)

_IDENTITY: Final = [("device", _WORD), ("stream", _WORD), ("seq", pa.int64())]
_ORIGIN: Final = [("received", _TIME), ("log_partition", pa.int32()), ("log_offset", pa.int64())]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the lake.

    Attributes:
        name: folder in the lake and name in SQL.
        schema: columns as the dataflow carries them, `model` and `date` among them.
        by: the columns that become Hive keys in the path, in order.
        sort: columns that order the rows inside a file.
        key: the columns that tell a row from every other: no two rows that came from one log agree in
            all of them, where null equals null.
    """

    name: str
    schema: pa.Schema
    by: tuple[str, ...]
    sort: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def file_schema(self) -> pa.Schema:
        """The columns inside a file: all but the Hive keys, words as plain text."""
        fields = [f for f in self.schema if f.name not in self.by]
        plain = [pa.field(f.name, pa.string() if f.type == _WORD else f.type) for f in fields]
        return pa.schema(plain, metadata={"gleaner.schema": str(SCHEMA_VERSION), "gleaner.table": self.name})


def _table(
    name: str, columns: list[tuple[str, pa.DataType]], *, sort: tuple[str, ...], key: tuple[str, ...], by_model: bool
) -> Table:
    by = ("model", "date") if by_model else ("date",)
    schema = pa.schema([("date", pa.date32()), *([("model", _WORD)] if by_model else []), *columns])
    return Table(name, schema, by, sort, key)


INFERENCES: Final = _table(
    "inferences",
    [
        *_IDENTITY,
        ("time", _TIME),  # device_time, but never after receipt plus skew nor before the horizon
        ("device_time", _TIME),
        ("clock_off", pa.bool_()),  # whether `time` had to differ from device_time
        ("site", _WORD),
        ("model_version", pa.int64()),
        ("class_ids", pa.list_(pa.uint16())),
        ("scores", pa.list_(pa.float32())),
        ("entropy", pa.float32()),
        ("embedding", pa.binary()),
        ("embedding_codec", _WORD),
        ("embedding_scale", pa.float32()),
        ("sample_digest", _DIGEST),
        ("sample_bytes", pa.uint32()),
        ("latency_us", pa.uint32()),
        *_ORIGIN,
    ],
    sort=("device", "time"),
    key=("log_partition", "log_offset", "stream", "seq"),
    by_model=True,
)

REJECTS: Final = _table(
    "rejects",
    [
        ("device", pa.string()),  # null where the topic names none
        ("topic", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("stream", pa.string()),  # null where the message could not be read
        ("first_seq", pa.int64()),
        ("last_seq", pa.int64()),
        ("payload", pa.binary()),
        *_ORIGIN,
    ],
    sort=("received",),
    key=("log_partition", "log_offset", "reason", "first_seq"),
    by_model=False,
)

GAPS: Final = _table(
    "gaps",
    [
        ("device", pa.string()),
        ("stream", pa.string()),
        ("first_seq", pa.int64()),
        ("last_seq", pa.int64()),
        ("reason", pa.string()),
        ("device_time", _TIME),
        *_ORIGIN,
    ],
    sort=("device", "first_seq"),
    key=("log_partition", "log_offset", "stream", "first_seq"),
    by_model=False,
)

DEVICES: Final = _table(
    "devices",
    [
        ("device", pa.string()),
        ("event", pa.string()),  # hello, status
        ("stream", pa.string()),
        ("next_seq", pa.int64()),
        ("device_time", _TIME),
        ("site", pa.string()),
        ("hardware", pa.string()),
        ("agent", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),  # in the owner's words; null in a status
        ("model", pa.string()),
        ("model_version", pa.int64()),
        ("outbox_records", pa.int64()),
        ("outbox_bytes", pa.int64()),
        ("ring_samples", pa.int64()),
        ("ring_bytes", pa.int64()),
        ("refused_inferences", pa.int64()),
        ("unrouted_messages", pa.int64()),
        ("outbox_restores", pa.int64()),
        *_ORIGIN,
    ],
    sort=("device", "received"),
    key=("log_partition", "log_offset"),
    by_model=False,
)

FEEDBACK: Final = _table(
    "feedback",
    [
        ("device", pa.string()),
        ("stream", pa.string()),
        ("seq", pa.int64()),
        ("kind", pa.string()),
        ("class_id", pa.int64()),
        ("device_time", _TIME),
        *_ORIGIN,
    ],
    sort=("device", "received"),
    key=("log_partition", "log_offset"),
    by_model=False,
)

_COHORT: Final = [("model_version", pa.int64()), ("level", pa.string()), ("cohort", pa.string())]
_WINDOW: Final = [("window_start", _TIME), ("window_end", _TIME), ("revision", pa.int64())]
_MEASURES: Final = ("population_stability", "jensen_shannon", "kolmogorov_smirnov", "wasserstein")

WINDOWS: Final = _table(
    "windows",
    [
        *_COHORT,
        *_WINDOW,  # revision: 0 when the window closed, more for each amendment
        ("changed", _TIME),  # log time of this revision
        ("rows", pa.int64()),
        ("events", pa.int64()),  # rows that are no near repeat of the one before: the evidence
        ("clock_off", pa.int64()),
        ("rejects", pa.int64()),
        ("gaps", pa.int64()),
        ("complete", pa.bool_()),  # whether no device of the cohort can have more to tell of it
        ("expected_accuracy", pa.float64()),
        ("expected_accuracy_error", pa.float64()),
        ("e_value", pa.float64()),
        ("provisional", pa.bool_()),  # compared with the cohort's own first windows
        ("counts", pa.list_(pa.int32())),
    ],
    sort=("level", "cohort", "window_start"),
    key=("model", "model_version", "level", "cohort", "window_start", "revision"),
    by_model=True,
)

DRIFT: Final = _table(
    "drift",
    [
        *_COHORT,
        ("statistic", pa.string()),
        *_WINDOW,
        ("events", pa.int64()),
        ("e_value", pa.float64()),
        ("opinions", pa.list_(pa.string())),  # second opinions that see a change here
        *((column, pa.float64()) for name in _MEASURES for column in (name, f"{name}_low", f"{name}_high")),
        ("maximum_mean_discrepancy", pa.float64()),
        ("maximum_mean_discrepancy_high", pa.float64()),
    ],
    sort=("level", "cohort", "statistic", "window_start"),
    key=("model", "model_version", "level", "cohort", "statistic", "window_start", "revision"),
    by_model=True,
)

ALARMS: Final = _table(
    "alarms",
    [
        ("alarm_id", pa.string()),
        ("revision", pa.int64()),
        ("state", pa.string()),  # raised, confirmed, retracted, cleared
        ("changed", _TIME),
        *_COHORT,
        ("statistic", pa.string()),  # that moved most
        ("since", _TIME),  # estimate of when it began
        ("raised_at", _TIME),  # end of the window that raised it
        ("cleared_at", _TIME),
        ("events", pa.int64()),  # from `since` to `raised_at`
        ("e_value", pa.float64()),  # when it was raised
        ("needed", pa.float64()),  # e_value that was needed then
        ("cause", pa.string()),  # alarms of one cause share it
        ("moved", pa.string()),  # JSON: which statistics, classes and bins, and by how much
    ],
    sort=("level", "cohort", "changed"),
    key=("alarm_id", "revision"),
    by_model=True,
)

SELECTIONS: Final = _table(
    "selections",
    [
        ("request_id", pa.string()),
        ("status", pa.string()),  # requested, then one of delivered, expired, refused
        ("detail", pa.string()),
        ("device", pa.string()),
        ("stream", pa.string()),
        ("seq", pa.int64()),
        ("site", pa.string()),
        ("model_version", pa.int64()),
        ("strategy", pa.string()),  # margin, control
        ("score", pa.float64()),
        ("probability", pa.float64()),  # of inclusion; null where the strategy has none
        ("sample_digest", _DIGEST),
        ("sample_bytes", pa.int64()),
        ("changed", _TIME),
    ],
    sort=("device", "changed"),
    key=("request_id", "status"),
    by_model=True,
)

SAMPLES: Final = _table(
    "samples",
    [
        ("request_id", pa.string()),
        ("device", pa.string()),
        ("stream", pa.string()),
        ("seq", pa.int64()),
        ("site", pa.string()),
        ("model_version", pa.int64()),
        ("strategy", pa.string()),
        ("content_type", pa.string()),
        ("sample_digest", _DIGEST),
        ("sample", pa.binary()),
        *_ORIGIN,
    ],
    sort=("device", "seq"),
    key=("request_id",),
    by_model=True,
)

TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {t.name: t for t in (INFERENCES, REJECTS, GAPS, DEVICES, FEEDBACK, WINDOWS, DRIFT, ALARMS, SELECTIONS, SAMPLES)}
)
