"""How fast the dataflow turns a full log into Parquet, and what that costs.

    python -m benchmarks.throughput [--inferences N] [--workers W] [--runs R] [--quick]

The log holds N inferences with 64-value i8 embeddings, once in messages of 64 and once in
messages of one (a fifth as many). The real dataflow reads it to its end: decode, dedup, windows,
drift, selection, sorted and compressed Parquet on local disk, fsync, commit. A figure is the
median of the runs; generating the log and starting Python are not part of it. At the end it is told
where the time goes, stage by stage, without Bytewax.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import figure
from benchmarks.fleet import DIMS, fill, write_bundle
from benchmarks.stages import stage_seconds
from pipelines.views import connect

_PARTITIONS = 4


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    for per_message, inferences in ((64, asked.inferences), (1, asked.inferences // 5)):
        with tempfile.TemporaryDirectory(prefix="gleaner-bench-") as folder:
            _measure(Path(folder), inferences // per_message, per_message, asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Throughput of the dataflow, as JSON lines.")
    parser.add_argument("--inferences", type=int, default=2_000_000, help="in the log of 64 to a message")
    parser.add_argument("--workers", type=int, default=2, help="of the dataflow")
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epoch", type=float, default=2.0, help="seconds between commits")
    parser.add_argument("--quick", action="store_true", help="a tenth of the inferences, once")
    asked = parser.parse_args()
    if asked.quick:
        asked.inferences, asked.runs = asked.inferences // 10, 1
    return asked


def _measure(folder: Path, messages: int, per_message: int, asked: argparse.Namespace) -> None:
    inferences = messages * per_message
    sys.stderr.write(f"filling a log with {messages:,} messages of {per_message} …\n")
    wire_bytes = fill(folder / "log", messages, per_message, asked.seed, _PARTITIONS)
    write_bundle(folder / "models" / "bench-1", asked.seed)
    runs = [_run(folder, inferences, asked) for _ in range(asked.runs)]
    wall = statistics.median(run["wall_s"] for run in runs)
    cpu = statistics.median(run["cpu_s"] for run in runs)
    params = {
        "per_message": per_message,
        "inferences": inferences,
        "dims": DIMS,
        "codec": "i8",
        "workers": asked.workers,
        "partitions": _PARTITIONS,
        "epoch_s": asked.epoch,
        "runs": asked.runs,
        "seed": asked.seed,
    }
    figure("inferences_per_second", inferences / wall, "1/s", **params)
    figure("messages_per_second", messages / wall, "1/s", **params)
    figure("cpu_seconds_per_million", cpu / inferences * 1e6, "s", **params)
    figure("peak_memory", max(run["peak_bytes"] for run in runs) / 1e6, "MB", **params)
    figure("wire_bytes_per_inference", wire_bytes / inferences, "B", **params)
    figure("parquet_bytes_per_inference", runs[-1]["parquet_bytes"] / inferences, "B", **params)
    seconds, rows = stage_seconds(folder, _PARTITIONS)
    for stage, spent in seconds.items():
        figure("stage_cpu_seconds_per_million", spent / rows * 1e6, "s", stage=stage, per_message=per_message)


def _run(folder: Path, inferences: int, asked: argparse.Namespace) -> dict[str, Any]:
    """One pass over the log into an empty lake; every row must be there."""
    for name in ("lake", "recovery", "staging", "progress.json"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    settings = [f"data_dir={folder}", f"flow.workers={asked.workers}", f"flow.epoch={asked.epoch}"]
    command = [sys.executable, "-m", "benchmarks.flow_once", *settings]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    rows = connect(folder / "lake").execute("select count(*), count(distinct (stream, seq)) from inferences").fetchone()
    if not told["clean"] or rows != (inferences, inferences):
        raise SystemExit(f"the lake holds {rows} of {inferences} inferences: these figures would mean nothing")
    files = (folder / "lake" / "inferences").rglob("*.parquet")
    return told | {"parquet_bytes": sum(path.stat().st_size for path in files)}


if __name__ == "__main__":
    main()
