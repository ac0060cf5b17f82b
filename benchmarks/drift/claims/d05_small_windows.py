"""D5: small windows neither cry wolf nor sleep."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.interval import delays, share_within
from benchmarks.drift.ours import watch_numbers
from benchmarks.drift.streams import scalars, source

SAYS = (
    "Of stationary windows of 100 samples at most 1 % alarm, and a shift of 0.5 σ is found "
    "within 200 samples in 90 % of streams."
)
_NOTES = (
    "References of 1,000 rows of Beta(8, 2). This detector has windows of 100 and a target of 10,000 samples, and has "
    "seen 20 stationary windows before the shift. A peer judges each window for itself: 100 stationary samples, and "
    "200 samples of the shifted world at once.",
)
WINDOW = 100
TARGET = 10_000.0
ROWS = 1_000
_BEFORE = 20
_WITHIN = 200
_TESTS = {
    "evidently": ["psi", "jensenshannon", "wasserstein", "ks"],
    "nannyml": ["jensen_shannon", "wasserstein", "kolmogorov_smirnov", "hellinger"],
}
Values = NDArray[np.float64]


def measure(run: Run) -> Claim:
    """The share of stationary windows that alarm, and of shifts that are found."""
    streams = run.few(400, 100)
    rng = source(run.seed, "D5")
    references = scalars.confidence(rng, streams, ROWS)
    quiet = scalars.confidence(rng, streams, 100 * WINDOW)
    change = _BEFORE * WINDOW
    moved = np.concatenate(
        [scalars.confidence(rng, streams, change), scalars.lower(rng, 0.5, streams, _WITHIN)], axis=1
    )
    watches = [watch_numbers(reference, WINDOW, TARGET) for reference in references]
    false = sum(len(watch.alarms(each)) for watch, each in zip(watches, quiet, strict=True)) / (quiet.size / WINDOW)
    late = delays([watch.alarms(each) for watch, each in zip(watches, moved, strict=True)], change)
    power = share_within(late, _WITHIN)
    lines = [
        ("this detector, 10,000", f"{false:.2%}", f"{power:.1%}"),
        *_peers(run, references, quiet, moved[:, change:]),
    ]
    limits = [
        Limit("stationary windows that alarm", false, "≤", 0.01),
        Limit("power at 0.5 σ over 200 samples", power, "≥", 0.9),
    ]
    columns = ("detector", "stationary windows that alarm", "0.5 σ found in 200 samples")
    return Claim("D5", SAYS, limits, {}, [Table("Windows of 100 samples", columns, lines)], _NOTES)


def _peers(run: Run, references: Values, quiet: Values, moved: Values) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    some = slice(0, 60)
    arrays = {
        "references": references[some],
        "stationary": quiet[some, : 10 * WINDOW].reshape(-1, 10, WINDOW),
        "moved": moved[some][:, None],
    }
    for peer, tests in _TESTS.items():
        for test, said in (run.peers.ask(peer, {"tests": tests}, arrays) or {}).items():
            lines.append((f"{peer} {test}", f"{np.mean(said['stationary']):.1%}", f"{np.mean(said['moved']):.1%}"))
    return lines
