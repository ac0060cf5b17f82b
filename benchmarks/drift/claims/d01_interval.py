"""D1: the interval between false alarms is a setting."""

import numpy as np

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.interval import Interval
from benchmarks.drift.setting import INTERVALS
from benchmarks.drift.worlds import World, false_alarms, hostile, references, stationary, worlds

SAYS = (
    "For 1,000 and 10,000 samples between false alarms, the measured interval is as long or longer, and the lower "
    "end of its 95 % interval at least 0.8 of what is asked for; with references of 1,000 rows and more."
)
_NOTES = (
    "Each stream has a reference of its own, drawn anew: its error is part of what is measured. After an alarm the "
    "detector begins anew. The lower bound is Garwood's for the count of all streams together, two-sided 95 %. "
    "*worst* is the share of alarms that the one stream with most alarms has: where it is large, false alarms come "
    "from few unlucky references rather than from chance, and the bound, which takes alarms for independent, is too "
    "high.",
    "References of 200 and 500 rows are beyond the claim, and so are streams with classes that never come; they are "
    "measured all the same.",
)
_LENGTHS = {1_000.0: 20_000, 10_000.0: 100_000}
_CLAIMED_ROWS = (1_000, 2_000)
_SMALL_ROWS = (200, 500)
_PEER_SAMPLES = 20_000
_RIVER = {
    "river ADWIN": ["ADWIN", {}],
    "river PageHinkley": ["PageHinkley", {}],
    "river PageHinkley(threshold=5, delta=.01)": ["PageHinkley", {"threshold": 5, "delta": 0.01}],
    "river KSWIN": ["KSWIN", {"seed": 1}],
}
_FROUROS = {
    "frouros PageHinkley": ["PageHinkley", {}],
    "frouros CUSUM": ["CUSUM", {}],
    "frouros ECDDWT(average_run_length=400)": ["ECDDWT", {"average_run_length": 400}],
}
_SLOW = {"river KSWIN": 6, "frouros PageHinkley": 10, "frouros CUSUM": 10, "frouros ECDDWT(average_run_length=400)": 10}


def measure(run: Run) -> Claim:
    """Count false alarms for every kind of stream, target and size of the reference."""
    limits, lines, figures = [], [], {}
    for name, world in {**worlds(), **hostile()}.items():
        for rows in (*_SMALL_ROWS, *_CLAIMED_ROWS):
            for target in INTERVALS:
                found, counts = _false_alarms(run, name, world, rows, target)
                worst = max(counts) / max(sum(counts), 1)
                lines.append(
                    (name, rows, f"{target:,.0f}", str(found), f"{found.lower:,.0f}", found.alarms, f"{worst:.0%}")
                )
                what = f"{name}, reference {rows}, target {target:g}"
                if rows in _CLAIMED_ROWS and name in worlds():
                    limits.append(Limit(f"{what}: interval / target", found.mean / target, "≥", 1.0))
                    limits.append(Limit(f"{what}: lower bound / target", found.lower / target, "≥", 0.8))
                else:
                    figures[f"{what}: interval / target"] = found.mean / target
    columns = ("stream", "reference rows", "target", "measured interval", "lower bound", "alarms", "worst")
    tables = [Table("Samples between false alarms, against the target", columns, lines), *_peers(run)]
    return Claim("D1", SAYS, limits, figures, tables, _NOTES)


def _false_alarms(run: Run, name: str, world: World, rows: int, target: float) -> tuple[Interval, list[int]]:
    streams = run.few(20 if name == "digit embeddings" else 40, 6)
    samples = run.few(_LENGTHS[target], 40_000)
    drawn = references(world, run.seed, streams, rows, name, rows)
    made = [world.watch(reference, world.window, target) for reference in drawn]
    return false_alarms(made, stationary(world, run.seed, streams, samples, name))


def _peers(run: Run) -> list[Table]:
    """What the peers make of stationary streams; only alibi-detect has a target."""
    found = worlds()
    lines = []
    for name in ("Beta(8, 2)", "Bernoulli(0.2)"):
        streams = np.array(stationary(found[name], run.seed, 40, _PEER_SAMPLES, name, "peers"))
        for peer, detectors in (("river", _RIVER), ("frouros", _FROUROS)):
            job = {"detectors": detectors, "change": {}, "most": _SLOW, "timed": 5_000}
            answer = run.peers.ask(peer, job, {"stationary": streams})
            for detector, told in (answer or {}).items():
                lines.append((name, detector, _target_of(detector), *_counted(told["alarms"]["stationary"])))
    lines += _alibi(run)
    columns = ("stream", "detector", "target", "measured interval", "alarms", "samples")
    return [Table("The same of the peers, at their defaults where nothing is said", columns, lines)] if lines else []


def _target_of(detector: str) -> str:
    return "400" if "400" in detector else "none"


def _counted(alarms: list[list[int]]) -> tuple[str, int, str]:
    interval = Interval(sum(map(len, alarms)), len(alarms) * _PEER_SAMPLES)
    return str(interval), interval.alarms, f"{interval.samples:,}"


def _alibi(run: Run) -> list[tuple[object, ...]]:
    kinds = {
        "Beta(8, 2)": ("CVMDriftOnline", {"ert": 1000, "window_sizes": [50], "n_bootstraps": 10_000, "verbose": False}),
        "Bernoulli(0.2)": (
            "FETDriftOnline",
            {"ert": 1000, "window_sizes": [50], "n_bootstraps": 10_000, "verbose": False},
        ),
    }
    lines: list[tuple[object, ...]] = []
    for name, (kind, parameters) in kinds.items():
        world = worlds()[name]
        drawn = np.array(references(world, run.seed, 4, 1_000, name, "alibi"))
        streams = np.array(stationary(world, run.seed, 4, _PEER_SAMPLES, name, "peers"))
        if kind == "FETDriftOnline":
            drawn = drawn.astype(np.int64)
        job = {"detector": [kind, parameters], "change": {}}
        told = run.peers.ask("alibi", job, {"references": drawn, "stationary": streams})
        if told:
            lines.append((name, f"alibi-detect {kind}", "1,000", *_counted(told["alarms"]["stationary"])))
    return lines
