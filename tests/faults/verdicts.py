"""Whether `gleaner verify`, asked as an operator asks it, comes to the same."""

import json
import subprocess
import sys
from typing import Any

from tests.faults.ledger import Told
from tests.faults.world import World


def verify_agrees(world: World, told: Told) -> list[str]:
    """What `gleaner verify` finds though nothing is wrong.

    Forks are there to be found. So are the holes in streams whose outbox was wiped, or put
    back to an older copy, with records inside that nobody else had.
    """
    options = [part for setting in world.settings for part in ("--set", setting)]
    asked = [sys.executable, "-m", "pipelines.cli", *options, "verify", "--json", "--settle", "0"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 0:
        return []
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return [f"exit {done.returncode}: {done.stderr.strip()[-300:]}"]
    holes = [hole for hole in verdict["holes"] if (hole["device"], hole["stream"]) not in told.cut_streams]
    wrong = *holes, *verdict["doubled"], *verdict["repeated"], *verdict["mistold"]
    return [json.dumps(found)[:300] for found in wrong]
