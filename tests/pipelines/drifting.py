"""A lake of a fleet in which the world changes for one device, judged by the dataflow's own operators."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from operators.cohorts import levels
from operators.fleet import Fleet, decide
from operators.hellos import Known
from operators.reference import Reference
from operators.reference_file import to_parquet_bytes
from operators.rounds import Part, Rounds
from operators.tabulate import day_of, tabulate
from operators.watch import Policy, Told, Watched, watch
from operators.windows import Counted, Counting, count_rows
from pipelines.models.fit import Rows
from pipelines.references import References
from schemas import bundle
from schemas.bundle import Manifest, Preprocessing
from schemas.embedding import Codec, encode
from schemas.tables import TABLES
from tests.factories import NOON, STREAM
from tests.operators.references import DIMS, LABELS, draw_rows, small_reference
from tests.pipelines.lakes import MINUTE, hello, lake

WINDOW_US: Final = 10 * MINUTE
SETTINGS: Final = ("drift.false_alarm_days=7", "drift.first_events=500")
"""The settings that go with `POLICY`."""
START: Final = NOON // WINDOW_US * WINDOW_US
FLEET: Final = {f"cam-{number}": "north" if number < 5 else "south" for number in range(1, 7)}
BAD: Final = "cam-3"
WINDOWS: Final = 18
CHANGE: Final = 10  # the window in which the world changes for `BAD`
EACH: Final = 25  # rows of a device in a window

POLICY: Final = Policy(
    levels=levels(["site"]),
    window_us=WINDOW_US,
    grace_us=MINUTE,
    round_us=MINUTE,
    horizon_us=3 * 24 * 60 * MINUTE,
    interval_windows=7 * 144.0,
    max_cohorts=64,
    first_events=500,
    silence_us=60 * MINUTE,
)


@dataclass(frozen=True, repr=False)
class Drifted:
    """What a lake was made of, and what came of it."""

    root: Path
    references: References
    policy: Policy
    rows: list[dict[str, Any]]
    alarms: list[dict[str, Any]]


def reference() -> Reference:
    """What the model `drawn` 1 was accepted on."""
    return small_reference()


def references() -> References:
    return References({("drawn", 1): reference()}, {})


def changed(rows: Rows) -> Rows:
    """What the model says of the same rows through a smeared lens: it is less sure, and their embeddings are moved."""
    confidence = (rows.confidence * 0.7).astype(np.float32)
    moved = {
        "confidence": confidence,
        "second": np.minimum(1 - confidence, confidence).astype(np.float32),
        "entropy": (rows.entropy + 0.3).astype(np.float32),
        "embeddings": rows.embeddings + np.float32(1.0),
    }
    return replace(rows, **moved)


def made(folder: Path, *, by: Sequence[str] = ("site",), known: bool = True, stop: int = WINDOWS) -> Drifted:
    """A lake with `stop` windows of the fleet.

    Args:
        folder: where to make it.
        by: levels that cohorts are cut by.
        known: whether the server has a reference of the model.
        stop: windows.
    """
    policy = replace(POLICY, levels=levels(by))
    found = references() if known else References({}, {})
    rows = inferences(stop)
    tables, hellos = _judged(rows, policy, found, stop), _hellos()
    root = lake(folder, {"inferences": rows, "devices": hellos, **tables})
    if known:
        write_bundle(folder / "models" / "drawn-1")
    return Drifted(root, found, policy, rows, tables["alarms"])


def write_bundle(folder: Path) -> None:
    """The bundle of the model; its model is never opened."""
    manifest = Manifest(
        name="drawn",
        version=1,
        labels=LABELS,
        input_name="input",
        scores_output="scores",
        embedding_output="embedding",
        embedding_dims=DIMS,
        embedding_codec=Codec.F32,
        top_k=2,
        preprocessing=Preprocessing(width=8, height=8),
    )
    bundle.write(folder, manifest, {bundle.MODEL: b"not opened", bundle.REFERENCE: to_parquet_bytes(reference())})


@lru_cache
def inferences(windows: int) -> list[dict[str, Any]]:
    """Rows of `inferences` of the whole fleet."""
    found = []
    for window in range(windows):
        for place, device in enumerate(FLEET):
            drawn = draw_rows(EACH, seed=1000 + window * 100 + place)
            if device == BAD and window >= CHANGE:
                drawn = changed(drawn)
            found += _rows(device, window, drawn, 100 + window * len(FLEET) + place)
    return found


def _rows(device: str, window: int, drawn: Rows, offset: int) -> list[dict[str, Any]]:
    codes, _ = encode(drawn.embeddings, drawn.codec)
    width = len(codes) // EACH
    found = []
    for at in range(EACH):
        seq = window * EACH + at
        time = START + window * WINDOW_US + at * (WINDOW_US // EACH)
        best = int(drawn.class_id[at])
        found.append(
            {
                "date": day_of(time),
                "model": "drawn",
                "device": device,
                "stream": STREAM.hex(),
                "seq": seq,
                "time": time,
                "device_time": time,
                "clock_off": False,
                "site": FLEET[device],
                "model_version": 1,
                "class_ids": [best, (best + 1) % 5],
                "scores": [float(drawn.confidence[at]), float(drawn.second[at])],
                "entropy": float(drawn.entropy[at]),
                "embedding": codes[at * width : (at + 1) * width],
                "embedding_codec": "f32",
                "embedding_scale": None,
                "sample_digest": hashlib.sha256(f"{device}/{seq}".encode()).digest(),
                "sample_bytes": 10,
                "latency_us": 900,
                "received": time + MINUTE,
                "log_partition": 0,
                "log_offset": offset,
            }
        )
    return found


def _hellos() -> list[dict[str, Any]]:
    lenses = {"cam-2": "wide", BAD: "wide"}
    return [
        hello(
            device,
            START - MINUTE,
            site=site,
            hardware="pi-5" if device in (BAD, "cam-6") else "pi-4",
            attributes=[("lens", lenses.get(device, "tele"))],
            log_offset=1 + place,
        )
        for place, (device, site) in enumerate(FLEET.items())
    ]


def _judged(
    rows: list[dict[str, Any]], policy: Policy, found: References, stop: int
) -> Mapping[str, list[dict[str, Any]]]:
    """What the dataflow makes of the rows: one partition, a round for each window."""
    known = Known()
    known.learn(tabulate(TABLES["devices"], _hellos()))
    counted = Counted(known=known)
    counting = Counting(scales=found.scales, levels=policy.levels, window_us=policy.window_us)
    watched, fleet = Watched(Rounds(1)), Fleet(Rounds(1))
    tables: dict[str, list[dict[str, Any]]] = {"windows": [], "drift": [], "alarms": []}
    for window in range(stop):
        end = START + (window + 1) * WINDOW_US
        due = [row for row in rows if end - WINDOW_US <= row["time"] < end]
        panes = count_rows(counted, _batch(due), counting)
        number = (end + policy.grace_us + policy.round_us) // policy.round_us
        watermarks = {key[:4]: end for key in panes}
        for verdict in watch(watched, Part(0, number, Told(panes, watermarks)), found, policy, 64):
            tables["windows"] += verdict.windows
            tables["drift"] += verdict.drift
            for turns in decide(fleet, Part(0, verdict.round, verdict.judged), policy):
                tables["alarms"] += turns.rows
    return tables


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = TABLES["inferences"].schema
    plain = tabulate(TABLES["inferences"], rows)
    return pa.RecordBatch.from_arrays([plain[field.name] for field in schema], schema=schema)
