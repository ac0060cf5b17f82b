"""Run the dataflow over a full log, once, in this process; print what it took."""

import json
import resource
import sys
import time

from pipelines.commands import Silence
from pipelines.run import run, stop_on_signals
from pipelines.settings import load
from pipelines.sources import Stopper


def main(arguments: list[str]) -> None:
    """Print wall and CPU seconds and peak memory as one JSON object."""
    settings = load(None, arguments)
    stopper = Stopper(at_end=True)
    stop_on_signals(stopper)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(settings, Silence(), stopper)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = {"clean": stopper.clean.is_set(), "wall_s": wall, "cpu_s": cpu, "peak_bytes": after.ru_maxrss * 1024}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
