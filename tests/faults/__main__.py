"""`python -m tests.faults --rounds N --seed S --store folder|minio`: is anything lost or doubled?

Progress goes to stderr; the last line of stdout is one JSON object. Exit 1 where a
promise was broken, or where so little happened that nothing is proved.
"""

import argparse
import json
import signal
import sys
import time

from tests.faults import stores
from tests.faults.ambush import Ambush
from tests.faults.mutants import Tried, try_all
from tests.faults.nemesis import Nemesis
from tests.faults.rounds import Outcome, play
from tests.faults.summary import broken, summary
from tests.faults.talk import say


def main(arguments: list[str]) -> int:
    """The exit status."""
    said = _parser().parse_args(arguments)
    why = stores.missing(said.store)
    if why:
        say(why)
        return 2
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: everything is stopped
    nemesis, outcome, tried = Nemesis(said.seed, Ambush(said.seed, said.store)), Outcome(), list[Tried]()
    try:
        play(said.rounds, said.seed, said.store, nemesis, outcome)
        tried = try_all() if said.mutants else []
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    told = summary(nemesis, outcome, tried, seed=said.seed, store=said.store, seconds=time.monotonic() - started)
    for reason in broken(told):
        say(reason)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if broken(told) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break everything, lose nothing.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=stores.KINDS, default="folder")
    parser.add_argument("--no-mutants", dest="mutants", action="store_false")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
