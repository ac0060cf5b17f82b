"""D2: fast, against ADWIN at its default and against ADWIN tuned to the same false-alarm interval."""

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.interval import Interval, delays, median_delay, told
from benchmarks.drift.ours import Watch
from benchmarks.drift.streams import scalars
from benchmarks.drift.worlds import World, false_alarms, references, shifted, stationary, worlds

SAYS = (
    "The median delay is at most half of ADWIN's at its default for shifts of 0.25, 0.5 and 1 σ, and at most 1.1 "
    "times that of ADWIN tuned to the very false-alarm interval that was measured of this detector."
)
_NOTES = (
    "Confidences fall from Beta(8, 2) by so many of its σ at sample 2,000; the reference has 2,000 rows, the target "
    "is 10,000 samples. ADWIN's δ is found by halving, for each of its clocks, until it raises as many false alarms on "
    "the same stationary streams; for each shift, the fastest of these is what the limit is held against.",
    "∞: found in fewer than half of the streams. frouros' detectors see rises alone and read 1 - confidence.",
)
TARGET = 10_000.0
ROWS = 2_000
CHANGE = 2_000
AFTER = 10_000
SIGMAS = (0.25, 0.5, 1.0)
_CLOCKS = (1, 8, 32)
_HALVINGS = 9
_LOG_DELTAS = (math.log(1e-3), math.log(30.0))
_OTHERS = {
    "river": {
        "river ADWIN": ["ADWIN", {}],
        "river PageHinkley": ["PageHinkley", {}],
        "river PageHinkley(threshold=5, delta=.01)": ["PageHinkley", {"threshold": 5, "delta": 0.01}],
        "river KSWIN(alpha=1e-4)": ["KSWIN", {"alpha": 1e-4, "seed": 1}],
    },
    "frouros": {
        "frouros PageHinkley": ["PageHinkley", {}],
        "frouros CUSUM": ["CUSUM", {}],
    },
}
_SLOW = {"river KSWIN(alpha=1e-4)": 5, "frouros PageHinkley": 20, "frouros CUSUM": 20}
Values = NDArray[np.float64]


def measure(run: Run) -> Claim:
    """Delays of this detector and of the peers, on the same streams."""
    world = worlds()["Beta(8, 2)"]
    streams = run.few(200, 60)
    quiet = stationary(world, run.seed, run.few(40, 6), run.few(100_000, 20_000), "D2")
    watches = [world.watch(r, world.window, TARGET) for r in references(world, run.seed, streams, ROWS, "D2")]
    interval, _ = false_alarms(watches[: len(quiet)], quiet)
    moved = {f"{s:g} σ": np.array(_moved(world, run.seed, streams, s)) for s in SIGMAS}
    ours = {name: _delays(watches, values) for name, values in moved.items()}
    lines = [("this detector, 10,000", str(interval), *(told(found) for found in ours.values()))]
    tuned = _tuned(run, interval, np.array(quiet), moved)
    limits = []
    others, kept = _peers(run, moved)
    for name, found in ours.items():
        delay = median_delay(found)
        limits.append(Limit(f"delay at {name} / ADWIN's default", delay / kept.get(name, math.nan), "≤", 0.5))
        fastest = min((each[1][name] for each in tuned), default=math.nan)
        fastest = run.peers.kept(f"D2 tuned ADWIN {name}", fastest)
        limits.append(Limit(f"delay at {name} / ADWIN's, tuned", delay / fastest, "≤", 1.1))
    lines += [line for line, _ in tuned] + others
    figures = {f"median delay at {name}": median_delay(found) for name, found in ours.items()}
    figures["measured interval"] = interval.mean
    columns = ("detector", "measured interval", *moved)
    table = Table("Median samples from the change to the alarm", columns, lines)
    return Claim("D2", SAYS, limits, figures, [table], _NOTES)


def _moved(world: World, seed: int, streams: int, sigmas: float) -> list[Values]:
    def draw(rng: np.random.Generator, n: int) -> Values:
        return scalars.lower(rng, sigmas, n)

    return shifted(world, draw, seed, streams, CHANGE, AFTER, "D2", sigmas)


def _delays(watches: list[Watch], streams: Values) -> list[int | None]:
    return delays([watch.alarms(stream, CHANGE) for watch, stream in zip(watches, streams, strict=True)], CHANGE)


def _adwin(
    run: Run, name: str, parameters: dict[str, float], arrays: dict[str, Values]
) -> dict[str, list[list[int]]] | None:
    change = {array: CHANGE for array in arrays if array != "stationary"}
    answer = run.peers.ask("river", {"detectors": {name: ["ADWIN", parameters]}, "change": change}, arrays)
    return answer[name]["alarms"] if answer else None


def _tuned(
    run: Run, ours: Interval, quiet: Values, moved: dict[str, Values]
) -> list[tuple[tuple[object, ...], dict[str, float]]]:
    """For each clock, a line of the table and the median delays of ADWIN with our measured interval."""
    found = []
    for clock in _CLOCKS:
        delta = _delta(run, clock, ours, quiet)
        if delta is None:
            return []
        parameters = {"delta": delta, "clock": clock}
        alarms = _adwin(run, "ADWIN", parameters, moved | {"stationary": quiet})
        if alarms is None:
            return []
        interval = Interval(sum(map(len, alarms.pop("stationary"))), ours.samples)
        late = {name: delays(each, CHANGE) for name, each in alarms.items()}
        title = f"river ADWIN(delta={parameters['delta']:g}, clock={clock})"
        line = (title, str(interval), *(told(each) for each in late.values()))
        found.append((line, {name: median_delay(each) for name, each in late.items()}))
    return found


def _delta(run: Run, clock: int, ours: Interval, quiet: Values) -> float | None:
    """The δ with which ADWIN raises as many false alarms as we do, as nearly as can be."""
    low, high = _LOG_DELTAS
    tried = []
    for _ in range(_HALVINGS):
        delta = float(f"{math.exp((low + high) / 2):.3g}")
        alarms = _adwin(run, "ADWIN", {"delta": delta, "clock": clock}, {"stationary": quiet})
        if alarms is None:
            return None
        more = sum(map(len, alarms["stationary"])) - ours.alarms
        tried.append((abs(more), delta))
        low, high = (math.log(delta), high) if more < 0 else (low, math.log(delta))
    return min(tried)[1]


def _peers(run: Run, moved: dict[str, Values]) -> tuple[list[tuple[object, ...]], dict[str, float]]:
    """Lines of the table, and the median delays of ADWIN at its default."""
    lines: list[tuple[object, ...]] = []
    adwin = dict.fromkeys(moved, math.nan)
    for peer, detectors in _OTHERS.items():
        job = {"detectors": detectors, "change": dict.fromkeys(moved, CHANGE), "most": _SLOW, "timed": 5_000}
        job["mirrored"] = peer == "frouros"
        answer = run.peers.ask(peer, job, moved) or {}
        for detector, said in answer.items():
            late = {name: delays(each, CHANGE) for name, each in said["alarms"].items()}
            lines.append((detector, "see D1", *(told(each) for each in late.values())))
            if detector == "river ADWIN":
                adwin = {name: median_delay(each) for name, each in late.items()}
    return lines, {name: run.peers.kept(f"D2 default ADWIN {name}", value) for name, value in adwin.items()}
