"""D10: a device that comes back after hours changes the right windows, and in the end nothing else."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.late import HOUR_US, Day, alarms, amended, at_each, returning, run_through, sent, windows

SAYS = (
    "A device that returns after 8 hours changes the windows it was away from and no others, raises no storm, and "
    "leaves the record of alarms of a site in which it was never away."
)
_NOTES = (
    "Twelve devices of one site, a frame each ten seconds, windows of ten minutes, through the real dataflow. The "
    "first device is away from hour 4 to 12, the site drifts by 0.17 σ at hour 10, at default settings. Compared is "
    "each alarm of drift as it stands at the end: what moved, since when, when it was raised, evidence, events. That "
    "the device was silent is an alarm of its own, and no part of this.",
)
_DAY = Day(length=16 * HOUR_US, away=(4 * HOUR_US, 12 * HOUR_US), drift=10 * HOUR_US)


def measure(run: Run) -> Claim:
    """Run the same day with the device and without, and compare what stands at the end."""
    with tempfile.TemporaryDirectory(prefix="gleaner-late-") as scratch:
        never, away = at_each(Path(scratch))
        messages = sent(run.seed, _DAY)
        run_through(never, run.seed, messages, _DAY)
        run_through(away, run.seed, returning(messages, _DAY), _DAY)
        return _compared(never, away)


def _compared(never: Path, away: Path) -> Claim:
    expected, found = windows(never), windows(away)
    same = {at for at in expected.keys() & found.keys() if np.array_equal(expected[at], found[at])}
    changed = amended(away, _DAY.away[1])
    (standing, turns), (standing_away, turns_away) = alarms(never), alarms(away)
    limits = [
        Limit("windows that are others in the end", float(len((expected.keys() | found.keys()) - same)), "≤", 0.0),
        Limit("windows it was away from that did not change", float(len(_DAY.missed - changed)), "≤", 0.0),
        Limit("windows that changed without need", float(len(changed - _DAY.missed)), "≤", 0.0),
        Limit("alarms that stand in the end, never away", float(len(standing)), "≥", 1.0),
        Limit("alarms that are others in the end", float(len(set(standing) ^ set(standing_away))), "≤", 0.0),
        Limit("alarms raised beyond those", float(turns_away.get("raised", 0) - turns.get("raised", 0)), "≤", 0.0),
    ]
    names = ("raised", "confirmed", "retracted", "cleared")
    lines = [
        (title, len(told), *(all_turns.get(name, 0) for name in names), len(stands))
        for title, told, all_turns, stands in (
            ("never away", expected, turns, standing),
            ("away for 8 hours", found, turns_away, standing_away),
        )
    ]
    table = Table("Alarms of one site", ("run", "windows", *names, "standing in the end"), lines)
    return Claim("D10", SAYS, limits, {"windows amended": len(changed)}, [table], _NOTES)
