"""A site in which one device is away for hours, through the real dataflow: log, windows, alarms, lake."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.fleet import CLASSES, MODEL, START_US, Message, in_step, messages_of, rows_as_accepted
from benchmarks.drift.streams import scalars, source
from operators.reference_file import to_parquet_bytes
from pipelines.log import LogWriter
from pipelines.log import Message as Logged
from pipelines.models.fit import accept
from pipelines.views import connect
from schemas import bundle
from schemas.bundle import Manifest, Preprocessing
from schemas.embedding import Codec

HOUR_US: Final = 3_600_000_000
WINDOW_US: Final = 600_000_000
DEVICES: Final = 12
ROWS: Final = 60
SIGMAS: Final = 0.17
_STEP_US: Final = 10_000_000
_BACK_US: Final = 300_000_000
_TICK_US: Final = 60_000_000
_SETTINGS: Final = ("drift.window=600", "drift.round=60", "drift.grace=60", "flow.epoch=2", "flow.workers=1")


@dataclass(frozen=True, slots=True)
class Day:
    """What a site goes through, in microseconds from the start.

    Attributes:
        length: of all.
        away: from when, and up to when, the first device sends nothing.
        drift: when confidences fall by `SIGMAS`.
    """

    length: int
    away: tuple[int, int]
    drift: int

    @property
    def missed(self) -> set[int]:
        """Starts of the windows that rows come to late."""
        begin, end = self.away
        return {at for at in range(0, self.length, WINDOW_US) if begin < at + WINDOW_US and at < end}


def sent(seed: int, day: Day) -> list[tuple[int, int, Message]]:
    """(time sent, device, message) of all, in the order of time, as if none was ever away."""
    rng = source(seed, "late")
    n = day.length // _STEP_US
    confidence = scalars.confidence(rng, DEVICES, n)
    drifted = day.drift // _STEP_US
    confidence[:, drifted:] = scalars.lower(rng, SIGMAS, DEVICES, n - drifted)
    frames = in_step(confidence, rng, _STEP_US)
    found = []
    for device, own in enumerate(messages_of(frames, ROWS)):
        found += [((at + 1) * ROWS * _STEP_US, device, message) for at, message in enumerate(own)]
    return sorted(found, key=lambda each: each[:2])


def returning(messages: list[tuple[int, int, Message]], day: Day) -> list[tuple[int, int, Message]]:
    """The same where the first device sends what it saw while it was away some minutes after it is back."""
    begin, end = day.away
    back = end + _BACK_US
    late = [(back if device == 0 and begin < at <= end else at, device, message) for at, device, message in messages]
    return sorted(late, key=lambda each: each[:2])


def run_through(folder: Path, seed: int, messages: list[tuple[int, int, Message]], day: Day) -> None:
    """Write a log of the messages, with a tick each minute up to an hour after the day; run the dataflow over it."""
    _write_bundle(folder / "models" / "bench-1", seed)
    waiting = list(messages)
    place = 0
    with LogWriter(folder / "log", 1) as log:
        for now in range(0, day.length + HOUR_US, _TICK_US):
            due = place
            while due < len(waiting) and waiting[due][0] <= now:
                due += 1
            if due > place:
                log.append([Logged(each.topic, each.payload) for _, _, each in waiting[place:due]], START_US + now)
                place = due
            log.tick(START_US + now)
    command = [sys.executable, "-m", "benchmarks.flow_once", f"data_dir={folder}", *_SETTINGS]
    subprocess.run(command, check=True, capture_output=True)


def windows(folder: Path) -> dict[int, NDArray[Any]]:
    """Start of a window, from the start of the day → its counts, at the last revision."""
    rows = connect(folder / "lake").execute(
        "select epoch_us(window_start), arg_max(counts, revision) from windows group by all"
    )
    return {start - START_US: np.array(counts) for start, counts in rows.fetchall()}


def amended(folder: Path, since_us: int) -> set[int]:
    """Starts of the windows whose rows are others than at some earlier revision, told at `since_us` or later."""
    rows = connect(folder / "lake").execute(
        "select epoch_us(window_start) from windows group by all having count(distinct rows) > 1 "
        f"and max(epoch_us(changed)) >= {START_US + since_us}"
    )
    return {start - START_US for (start,) in rows.fetchall()}


def alarms(folder: Path) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """The alarms of drift that stand at the end, without names and times of revision; and how many took each turn."""
    lake = connect(folder / "lake")
    standing = lake.execute(
        "select level, cohort, statistic, since, raised_at, cleared_at, events, e_value, needed, moved, state "
        "from alarms where statistic != 'silence' "
        "qualify row_number() over (partition by alarm_id order by revision desc) = 1 order by raised_at, cohort"
    ).fetchall()
    turns = lake.execute(
        "select state, count(distinct alarm_id) from alarms where statistic != 'silence' group by all"
    ).fetchall()
    return [row for row in standing if row[-1] != "retracted"], dict(turns)


def _write_bundle(folder: Path, seed: int) -> None:
    rows = rows_as_accepted(scalars.confidence(source(seed, "late reference"), 4_000))
    even = np.arange(4_000) % CLASSES
    labels = tuple(f"class-{i}" for i in range(CLASSES))
    reference = accept(model=MODEL[0], version=MODEL[1], labels=labels, rows=replace(rows, class_id=even))
    manifest = Manifest(
        name=MODEL[0],
        version=MODEL[1],
        labels=labels,
        input_name="input",
        scores_output="scores",
        embedding_output="",
        embedding_dims=0,
        embedding_codec=Codec.NONE,
        top_k=2,
        preprocessing=Preprocessing(width=8, height=8),
    )
    bundle.write(folder, manifest, {bundle.MODEL: b"not opened", bundle.REFERENCE: to_parquet_bytes(reference)})


def at_each(folders: Path) -> Iterator[Path]:
    """Where the two runs are: never away, and away."""
    for name in ("never-away", "away"):
        (folders / name).mkdir()
        yield folders / name
