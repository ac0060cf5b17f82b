"""Rows and lakes made by hand, for the tests of what is written, read and asked."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from operators.tabulate import day_of, tabulate
from pipelines.lake import Lake
from pipelines.marker import Marker
from pipelines.store import open_store
from schemas.tables import TABLES, Table
from tests.factories import NOON, STREAM

MINUTE = 60_000_000
NAMES = st.sampled_from(["digits", "0123", "a-b_c", "z"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(us: int) -> datetime:
    """The time that so many microseconds since 1970 are."""
    return EPOCH + timedelta(microseconds=us)


class FolderLake(Lake):
    """A lake in a folder, with what it is asked by in these tests."""

    def __init__(self, root: Path, staging: Path) -> None:
        super().__init__(open_store(root), staging)
        self.root = root

    def put(self, partition: int, before_seq: int) -> list[str]:
        """Publish what is staged below a number; the table of each file."""
        return list(self.publish(partition, Marker(log="log", seq=before_seq, offset=before_seq)))


def lake(folder: Path, rows: Mapping[str, Sequence[dict[str, Any]]]) -> Path:
    """A lake with these rows, by table, published at once; its root."""
    made = FolderLake(folder / "lake", folder / "staging")
    made.stage(0, 0, {name: [tabulate(TABLES[name], some)] for name, some in rows.items()})
    made.put(0, 1)
    return made.root


def inference(seq: int, scores: Sequence[float] = (0.9, 0.1), **changes: Any) -> dict[str, Any]:
    """A row of `inferences`, a minute after the one before."""
    time = NOON + seq * MINUTE
    usual = {
        "date": day_of(time),
        "model": "digits",
        "device": "cam-1",
        "stream": STREAM.hex(),
        "seq": seq,
        "time": time,
        "device_time": time,
        "clock_off": False,
        "site": "north",
        "model_version": 3,
        "class_ids": list(range(len(scores))),
        "scores": list(scores),
        "entropy": 0.5,
        "embedding": b"\x01\x02",
        "embedding_codec": "i8",
        "embedding_scale": 0.5,
        "sample_digest": bytes(32),
        "sample_bytes": 10,
        "latency_us": 100,
        "received": time,
        "log_partition": 0,
        "log_offset": seq + 1,
    }
    return usual | changes


def start_of(window: int) -> int:
    """When a window of ten minutes starts, in microseconds; they are counted from noon."""
    return NOON + window * 10 * MINUTE


def window(place: int, e_value: float = 1.0, **changes: Any) -> dict[str, Any]:
    """A row of `windows`: of a window of ten minutes with 100 rows."""
    start = start_of(place)
    usual = {
        "date": day_of(start),
        "model": "digits",
        "model_version": 3,
        "level": "site",
        "cohort": "north",
        "window_start": start,
        "window_end": start + 10 * MINUTE,
        "revision": 0,
        "changed": start + 11 * MINUTE,
        "rows": 100,
        "events": 90,
        "clock_off": 0,
        "rejects": 0,
        "gaps": 0,
        "complete": True,
        "expected_accuracy": 0.95,
        "expected_accuracy_error": 0.02,
        "e_value": e_value,
        "provisional": False,
        "counts": [100, 90],
    }
    return usual | changes


def verdict(place: int, e_value: float = 1.0, **changes: Any) -> dict[str, Any]:
    """A row of `drift`: of a statistic in a window of ten minutes."""
    start = start_of(place)
    measures = ("population_stability", "jensen_shannon", "kolmogorov_smirnov", "wasserstein")
    usual = {
        "date": day_of(start),
        "model": "digits",
        "model_version": 3,
        "level": "site",
        "cohort": "north",
        "statistic": "confidence",
        "window_start": start,
        "window_end": start + 10 * MINUTE,
        "revision": 0,
        "events": 90,
        "e_value": e_value,
        **{f"{name}{end}": value for name in measures for end, value in (("", 0.1), ("_low", 0.0), ("_high", 0.2))},
        "maximum_mean_discrepancy": None,
        "maximum_mean_discrepancy_high": None,
        "opinions": [],
    }
    return usual | changes


def alarm(place: int = 0, state: str = "raised", **changes: Any) -> dict[str, Any]:
    """A row of `alarms`: of one that a window raised; its drift began with the window before."""
    raised_at = start_of(place + 1)
    usual = {
        "date": day_of(start_of(place)),
        "model": "digits",
        "model_version": 3,
        "alarm_id": f"{place + 1:016x}",
        "revision": 0,
        "state": state,
        "changed": raised_at + MINUTE,
        "level": "site",
        "cohort": "north",
        "statistic": "confidence",
        "since": raised_at - 20 * MINUTE,
        "raised_at": raised_at,
        "cleared_at": None,
        "events": 180,
        "e_value": 1e6,
        "needed": 5e4,
        "cause": f"{place + 1:016x}",
        "moved": "[]",
    }
    return usual | changes


def hello(device: str = "cam-1", received: int = NOON, **changes: Any) -> dict[str, Any]:
    """A row of `devices`: a hello."""
    usual = {
        "date": day_of(received),
        "device": device,
        "event": "hello",
        "stream": STREAM.hex(),
        "next_seq": 0,
        "device_time": received,
        "site": "north",
        "hardware": "pi-4",
        "agent": "0.1.0",
        "attributes": [],
        "received": received,
        "log_partition": 0,
        "log_offset": 1,
    }
    return usual | changes


def word(seq: int, kind: str = "confirmed", **changes: Any) -> dict[str, Any]:
    """A row of `feedback` on `inference(seq)`, an hour later."""
    time = NOON + seq * MINUTE + 60 * MINUTE
    usual = {
        "date": day_of(time),
        "device": "cam-1",
        "stream": STREAM.hex(),
        "seq": seq,
        "kind": kind,
        "class_id": None,
        "device_time": time,
        "received": time,
        "log_partition": 0,
        "log_offset": 1000 + seq,
    }
    return usual | changes


def selection(request: str, status: str, changed: int, **changes: Any) -> dict[str, Any]:
    """A row of `selections`."""
    usual = {
        "date": day_of(changed),
        "model": "digits",
        "request_id": request,
        "status": status,
        "detail": "",
        "device": "cam-1",
        "stream": STREAM.hex(),
        "seq": 1,
        "site": "north",
        "model_version": 3,
        "strategy": "margin",
        "score": 0.9,
        "probability": None,
        "sample_digest": bytes(32),
        "sample_bytes": 10,
        "changed": changed,
    }
    return usual | changes


def sample(seq: int, **changes: Any) -> dict[str, Any]:
    """A row of `samples`."""
    usual = {
        "date": day_of(NOON),
        "model": "digits",
        "request_id": f"{seq:032x}",
        "device": "cam-1",
        "stream": STREAM.hex(),
        "seq": seq,
        "site": "north",
        "model_version": 3,
        "strategy": "margin",
        "content_type": "image/x-portable-graymap",
        "sample_digest": bytes(32),
        "sample": b"P5 1 1 255 x",
        "received": NOON,
        "log_partition": 0,
        "log_offset": seq + 1,
    }
    return usual | changes


def rows_of(table: Table) -> st.SearchStrategy[dict[str, Any]]:
    """Any row that `table` can hold; what is sorted by is there, other things may be missing."""
    needed = {*table.by, *table.sort}
    columns = {
        field.name: NAMES if field.name in ("model", "device") else _values(field.type, field.name in needed)
        for field in table.schema
    }
    return st.fixed_dictionaries(columns)


def _values(kind: pa.DataType, needed: bool) -> st.SearchStrategy[Any]:
    if pa.types.is_list(kind):
        return st.lists(_values(kind.value_type, True), min_size=1, max_size=3)
    if pa.types.is_map(kind):
        return st.dictionaries(TEXTS, TEXTS, max_size=2)
    found = _SIMPLE[str(kind)]
    return found if needed else st.none() | found


_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "date32[day]": st.integers(19_000, 19_002).map(lambda day: EPOCH.date() + timedelta(days=day)),
    "timestamp[us, tz=UTC]": st.integers(0, 4 * 10**15).map(at),
    "dictionary<values=string, indices=int32, ordered=0>": TEXTS,
    "string": TEXTS,
    "binary": st.binary(max_size=6),
    "fixed_size_binary[32]": st.binary(min_size=32, max_size=32),
    "bool": st.booleans(),
    "int32": st.integers(0, 2**31 - 1),
    "int64": st.integers(0, 2**63 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "float": st.floats(0, 1, width=32),
    "double": st.floats(-1e9, 1e9),
}
