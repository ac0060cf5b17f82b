"""D9: what an update costs."""

import math
import time

from benchmarks.drift.claim import Claim, Limit, Run, Table, plain
from benchmarks.drift.claims.d04_embeddings import updates_a_second
from benchmarks.drift.ours import watch_numbers
from benchmarks.drift.streams import scalars, source
from benchmarks.drift.worlds import references, worlds

SAYS = "On one core, at least 1,000,000 updates of a number a second, and 150,000 of an embedding of 32 values."
_NOTES = (
    "From values to evidence: binning, counting, dispersion, fold; the best of three runs on one thread. The peers "
    "take one value at a time, and their state is pickled.",
)
WINDOWS = (10, 20, 100)
_SAMPLES = 500_000
_EMBEDDING_WINDOWS = (20, 50, 100)
_PEERS = {
    "river": {
        "river ADWIN": ["ADWIN", {}],
        "river PageHinkley": ["PageHinkley", {}],
        "river KSWIN": ["KSWIN", {"seed": 1}],
    },
    "frouros": {
        "frouros ADWIN": ["ADWIN", {}],
        "frouros PageHinkley": ["PageHinkley", {}],
        "frouros CUSUM": ["CUSUM", {}],
    },
}


def measure(run: Run) -> Claim:
    """Updates a second and bytes of state."""
    rng = source(run.seed, "D9")
    reference, values = scalars.confidence(rng, 1_000), scalars.confidence(rng, _SAMPLES)
    lines, numbers, embeddings = [], {}, {}
    for window in WINDOWS:
        watch = watch_numbers(reference, window, 1e6)
        numbers[window] = _rate(lambda watch=watch: watch.alarms(values)) * len(values)
        state = watch.detector.begin().nbytes
        lines.append(
            (f"this detector, numbers, windows of {window}", plain(numbers[window]), state, watch.reference.nbytes)
        )
    world = worlds()["digit embeddings"]
    drawn = references(world, run.seed, 1, 1_000, "D9")[0]
    for window in _EMBEDDING_WINDOWS:
        watch = world.watch(drawn, window, 1e6)
        embeddings[window] = updates_a_second(watch, world, run.seed)
        state = watch.detector.begin().nbytes
        title = f"this detector, 32 values, windows of {window}"
        lines.append((title, plain(embeddings[window]), state, watch.reference.nbytes))
    limits = [
        Limit("numbers/s", min(numbers[20], numbers[100]), "≥", 1e6),
        Limit("embeddings/s", min(embeddings.values()), "≥", 150e3),
    ]
    for peer, detectors in _PEERS.items():
        job = {"detectors": detectors, "change": {}, "timed": 20_000, "most": dict.fromkeys(detectors, 0)}
        for name, said in (run.peers.ask(peer, job, {"values": values[None, :20_000]}) or {}).items():
            lines.append((name, plain(said["updates_s"]), said["state_bytes"], ""))
    figures = {f"numbers/s, windows of {w}": rate for w, rate in numbers.items()}
    figures |= {f"embeddings/s, windows of {w}": rate for w, rate in embeddings.items()}
    columns = ("detector", "updates/s", "bytes of state", "bytes of a window's counts")
    return Claim("D9", SAYS, limits, figures, [Table("One core", columns, lines)], _NOTES)


def _rate(work) -> float:
    """Runs a second, the fastest of three."""
    fastest = math.inf
    for _ in range(3):
        began = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - began)
    return 1 / fastest
