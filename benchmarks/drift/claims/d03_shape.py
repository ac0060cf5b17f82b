"""D3: a change of shape that leaves the mean where it was."""

import numpy as np

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.claims.d02_delay import AFTER, CHANGE, ROWS, TARGET
from benchmarks.drift.interval import delays, share_within, told
from benchmarks.drift.streams import scalars
from benchmarks.drift.worlds import references, shifted, worlds

SAYS = (
    "Beta(8, 2) turning into Beta(4, 1), the same mean and a wider shape, is found within 200 samples in 95 % of "
    "streams."
)
WITHIN = 200
_PEERS = {
    "river": {
        "river ADWIN": ["ADWIN", {}],
        "river ADWIN(delta=.5)": ["ADWIN", {"delta": 0.5}],
        "river PageHinkley": ["PageHinkley", {}],
        "river KSWIN(alpha=1e-4)": ["KSWIN", {"alpha": 1e-4, "seed": 1}],
    },
    "frouros": {"frouros PageHinkley": ["PageHinkley", {}]},
}
_SLOW = {"river KSWIN(alpha=1e-4)": 5, "frouros PageHinkley": 20}


def measure(run: Run) -> Claim:
    """The share of streams in which the change was found in time."""
    world = worlds()["Beta(8, 2)"]
    streams = run.few(200, 60)
    watches = [world.watch(r, world.window, TARGET) for r in references(world, run.seed, streams, ROWS, "D3")]
    moved = shifted(world, scalars.wider, run.seed, streams, CHANGE, AFTER, "D3")
    found = delays([watch.alarms(each, CHANGE) for watch, each in zip(watches, moved, strict=True)], CHANGE)
    share = share_within(found, WITHIN)
    lines = [("this detector, 10,000", f"{share:.1%}", told(found))]
    for peer, detectors in _PEERS.items():
        job = {"detectors": detectors, "change": {"moved": CHANGE}, "most": _SLOW, "timed": 5_000}
        job["mirrored"] = peer == "frouros"
        for detector, said in (run.peers.ask(peer, job, {"moved": np.array(moved)}) or {}).items():
            late = delays(said["alarms"]["moved"], CHANGE)
            lines.append((detector, f"{share_within(late, WITHIN):.1%}", told(late)))
    table = Table("Beta(8, 2) → Beta(4, 1)", ("detector", "found within 200", "median delay"), lines)
    return Claim("D3", SAYS, [Limit("share found within 200", share, "≥", 0.95)], {}, [table])
