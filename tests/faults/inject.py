"""The test build: `python -m tests.faults.inject KIND MODULE ARGUMENTS…` runs a module with fail points in it.

What is wrapped and what a mutant breaks lives here and in the modules this one
imports; the code under test has no word of it.
"""

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

from tests.faults import clock, fail_points, sabotage

MUTANT: Final = "FAULTS_MUTANT"
_PR_SET_PDEATHSIG: Final = 1


def main(kind: str, module: str, arguments: list[str]) -> None:
    """Prepare the code, then run the module as if nothing had happened."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # none of these outlives its test
    clock.install()
    sabotage.install(os.environ.get(MUTANT, ""), kind)
    fail_points.install(kind)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
