"""Measures the claims about drift detection: `make bench-drift SEED=1 [CLAIMS=D1,D3] [QUICK=1]`.

Ends with a JSON line for each claim. A full run, of all claims and with the peers, also writes
docs/benchmarks/drift.md; any other run tells its tables on stderr.
"""

import argparse
import os
import sys
import time

from benchmarks.drift import expected_accuracy
from benchmarks.drift.claim import Claim, Run
from benchmarks.drift.claims.registry import CLAIMS
from benchmarks.drift.peers.ask import ONE_THREAD, Peers
from benchmarks.drift.report import PAGE, page, tables


def main() -> None:
    """Measure, report, and say what held."""
    asked = _arguments()
    _on_one_thread()
    run = Run(seed=asked.seed, quick=asked.quick, peers=Peers(wanted=not asked.quick))
    found = {name: _measured(name, run) for name in asked.claims}
    if run.quick or set(asked.claims) != set(CLAIMS):
        sys.stderr.write(tables(found.values()))
    else:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(found.values(), run, expected_accuracy.run(run.seed, run.quick)))
        run.peers.keep()
    for claim in found.values():
        sys.stdout.write(claim.line(run) + "\n")


def _on_one_thread() -> None:
    """Start anew with one thread, since numpy looks at that only when it is loaded: rates are those of one core."""
    if os.environ.keys() >= ONE_THREAD.keys():
        return
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks.drift", *sys.argv[1:]], os.environ | ONE_THREAD)


def _measured(name: str, run: Run) -> Claim:
    began = time.perf_counter()
    claim = CLAIMS[name](run)
    told = "holds" if claim.passes else "DOES NOT HOLD"
    sys.stderr.write(f"{name} {told}, measured in {time.perf_counter() - began:.0f} s\n")
    return claim


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-drift", description="How the drift detector fares.")
    parser.add_argument("--seed", type=int, default=1, help="of every stream")
    parser.add_argument("--claims", type=_names, default=list(CLAIMS), help="some of them, such as D1,D3")
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer streams, and no peers")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    named = text.upper().split(",")
    unknown = set(named) - set(CLAIMS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no claim {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    return named


if __name__ == "__main__":
    main()
