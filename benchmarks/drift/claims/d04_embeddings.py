"""D4: embeddings, against an online test of maximum mean discrepancy."""

import math
import time

import numpy as np

from benchmarks.drift.claim import Claim, Limit, Run, Table, plain
from benchmarks.drift.interval import Interval, delays, median_delay, told
from benchmarks.drift.ours import Watch
from benchmarks.drift.ours_embeddings import pane_bytes
from benchmarks.drift.streams.embeddings import Floats, expected_shifts, foreign_shifts
from benchmarks.drift.worlds import World, false_alarms, references, shifted, stationary, worlds

SAYS = (
    "Against alibi-detect's MMDDriftOnline (ert 1,000, window 50): no later on shifts of mean and scale, at most 1.2 "
    "times as late when one class comes three times as often, 50 times the updates a second, and no "
    "more than 2 kB of state for a cohort's window."
)
_NOTES = (
    "References of 1,000 embeddings with 32 values; both are asked for 1,000 samples between false alarms; the change "
    "is at sample 500. The second table has shifts that no alternative of the detector was made for; they are no part "
    "of the claim. ∞: fewer than half of the streams.",
)
TARGET = 1_000.0
ROWS = 1_000
CHANGE = 500
AFTER = 3_000
_QUIET = 20_000
_MMD = (
    "MMDDriftOnline",
    {"ert": 1000, "window_size": 50, "backend": "pytorch", "n_bootstraps": 2000, "verbose": False},
)
_LIMITS = {"mean by 1": 1.0, "mean by 2": 1.0, "noise × 1.3": 1.0, "one class × 3": 1.2}


def measure(run: Run) -> Claim:
    """Delays, interval, rate and state of both."""
    world = worlds()["digit embeddings"]
    streams, asked = run.few(60, 12), 12
    drawn = references(world, run.seed, streams, ROWS, "D4")
    watches = [world.watch(reference, world.window, TARGET) for reference in drawn]
    quiet = stationary(world, run.seed, run.few(asked, 6), _QUIET, "D4")
    interval, _ = false_alarms(watches[: len(quiet)], quiet)
    shifts = {**expected_shifts(), **foreign_shifts()}
    moved = {name: shifted(world, draw, run.seed, streams, CHANGE, AFTER, "D4", name) for name, draw in shifts.items()}
    ours = {
        name: delays([watch.alarms(each, CHANGE) for watch, each in zip(watches, streams_, strict=True)], CHANGE)
        for name, streams_ in moved.items()
    }
    rate, width = updates_a_second(watches[0], world, run.seed), pane_bytes(watches[0])
    arrays = {name: np.array(each[:asked]) for name, each in moved.items()} | {"stationary": np.array(quiet)}
    job = {"detector": _MMD, "change": dict.fromkeys(moved, CHANGE)}
    answer = run.peers.ask("alibi", job, {"references": np.array(drawn[:asked])} | arrays)
    theirs = {name: delays(answer["alarms"][name], CHANGE) if answer else None for name in moved}
    limits = []
    for name, factor in _LIMITS.items():
        peer = run.peers.kept(f"D4 MMDDriftOnline {name}", median_delay(theirs[name]) if theirs[name] else math.nan)
        limits.append(Limit(f"delay, {name} / MMDDriftOnline's", median_delay(ours[name]) / peer, "≤", factor))
    their_rate = run.peers.kept("D4 MMDDriftOnline updates/s", answer["updates_s"] if answer else math.nan)
    limits.append(Limit("updates/s / MMDDriftOnline's", rate / their_rate, "≥", 50.0))
    limits.append(Limit("bytes of a cohort's window", float(width), "≤", 2048.0))
    figures = {"updates/s": rate, "measured interval": interval.mean}
    figures |= {f"median delay, {name}": median_delay(found) for name, found in ours.items()}
    tables = [
        Table(title, ("shift", "this detector", "alibi-detect MMDDriftOnline"), _lines(names, ours, theirs))
        for title, names in (
            ("Median samples from the change to the alarm: shifts that the alternatives aim at", expected_shifts()),
            ("The same: shifts that they were not made for", foreign_shifts()),
        )
    ]
    tables.append(_cost(interval, rate, width, answer))
    return Claim("D4", SAYS, limits, figures, tables, _NOTES)


def updates_a_second(watch: Watch, world: World, seed: int) -> float:
    """Embeddings a second, from values to evidence, on this thread: the best of three."""
    values: Floats = stationary(world, seed, 1, 100_000, "D4 rate")[0]
    fastest = math.inf
    for _ in range(3):
        began = time.perf_counter()
        watch.alarms(values)
        fastest = min(fastest, time.perf_counter() - began)
    return len(values) / fastest


def _lines(names, ours, theirs) -> list[tuple[str, str, str]]:
    return [(name, told(ours[name]), told(theirs[name]) if theirs[name] else "not asked") for name in names]


def _cost(interval: Interval, rate: float, width: int, answer) -> Table:
    lines = [("this detector", str(interval), plain(rate), "", f"{width:,} for a window")]
    if answer:
        alarms = sum(map(len, answer["alarms"]["stationary"]))
        theirs = Interval(alarms, len(answer["alarms"]["stationary"]) * _QUIET)
        configured = f"{answer['configure_s']:.1f}"
        lines.append(
            (
                "alibi-detect MMDDriftOnline",
                str(theirs),
                plain(answer["updates_s"]),
                configured,
                f"{answer['state_bytes']:,}",
            )
        )
    columns = ("detector", "measured interval", "updates/s", "seconds to configure", "bytes of state")
    return Table("Interval and cost at a target of 1,000", columns, lines)
