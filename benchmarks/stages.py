"""Where the time goes: the dataflow's own functions over one partition of a full log, one after the other."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from operators.candidates import find_candidates
from operators.decode import decode
from operators.dedup import Unique, dedup
from operators.gather import gather
from pipelines.gleaning import Plan
from pipelines.lake import Lake
from pipelines.log import LogReader
from pipelines.planning import load_bundles, plan_of
from pipelines.settings import load
from pipelines.states import keep_gathered
from pipelines.store import open_store

T = TypeVar("T")
_FILE_ROWS = 200_000


def stage_seconds(folder: Path, partitions: int) -> tuple[dict[str, float], int]:
    """CPU seconds of each stage over the first partition, and the inferences it holds."""
    settings = load(None, [f"data_dir={folder}"])
    threadpool_limits(1, "blas")  # as the dataflow does
    plan = plan_of(settings, partitions, load_bundles(settings.models_dir))
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[..., T], *arguments: Any) -> T:
        began = time.process_time()
        done = work(*arguments)
        seconds[stage] = seconds.get(stage, 0.0) + time.process_time() - began
        return done

    lake = Lake(open_store(folder / "stages-lake"), folder / "stages-staging")
    rows, waiting, seq = 0, [], 0
    counting = plan.counting
    gathered = keep_gathered(plan.policy, counting, plan.clock).load(None)
    for unique in _unique(LogReader(folder / "log", 0), plan, timed):
        batch = unique.inferences
        rows += batch.num_rows
        waiting.append(batch)
        timed("windows", list, gather(gathered, unique, counting, plan.policy))
        timed("candidates", find_candidates, batch, 0, plan.select_seed, plan.most_candidates)
        if sum(each.num_rows for each in waiting) >= _FILE_ROWS:
            timed("parquet", lake.stage, 0, seq, {"inferences": waiting})
            waiting, seq = [], seq + 1
    timed("parquet", lake.stage, 0, seq, {"inferences": waiting})
    return seconds, rows


def _unique(reader: LogReader, plan: Plan, timed: Callable[..., Any]) -> Iterator[Unique]:
    """Batch after batch, what is new in it."""
    streams: dict[str, Any] = {}
    offset = 0
    while True:
        batches, last = timed("read", reader.read, offset, 2048, 4 << 20)
        if last == offset:
            return
        offset = last
        for records in batches:
            decoded = timed("decode", decode, records, plan.shapes, plan.limits, plan.clock)
            yield timed("dedup", dedup, streams, decoded)
