"""Looking at the world: healed and at rest, or frozen in the middle of things."""

import time

from pipelines.settings import load
from pipelines.views import connect
from tests.faults import ledger
from tests.faults.acks import dishonest
from tests.faults.check import Verdict, check
from tests.faults.converge import PATIENCE_S, converge, heal
from tests.faults.fates import Fates
from tests.faults.talk import say
from tests.faults.verdicts import verify_agrees
from tests.faults.witness import unlogged
from tests.faults.world import World


def judge(world: World, patience_s: float = PATIENCE_S, *, asks_verify: bool = True) -> Verdict:
    """Heal the world, let it come to rest, and hold it to its promises."""
    heal(world)
    started = time.monotonic()
    left = converge(world, patience_s)
    say(f"at rest after {time.monotonic() - started:.1f} s" if not left else f"not at rest: {left}")
    place = load(None, world.settings).lake_place
    verdict = check(world.root / "ledger", world.root / "acks", world.data / "log", place, world.seed)
    if world.processes["broker"].started == 1:  # it took nothing with it
        verdict.found("taken_but_not_logged", unlogged(world.root / "witness", world.data / "log"))
    verdict.found("did_not_converge", left)
    world.lake_is_old &= bool(left)
    if asks_verify:
        verdict.found("verify_disagrees", verify_agrees(world, ledger.read(world.root / "ledger", world.seed)))
    return verdict


def frozen(world: World) -> Verdict:
    """Kill the dataflow, and look at once whether all that it has acknowledged can be read."""
    if world.lake_is_old:  # by our doing: what was acknowledged comes back when the log has been read again
        return Verdict()
    run = world.processes["run"]
    run.held = True
    run.down()
    time.sleep(0.3)  # acknowledgements that are on their way are heard
    verdict = Verdict()
    told = ledger.read(world.root / "ledger", world.seed)
    with connect(load(None, world.settings).lake_place) as lake:
        verdict.found("ack_before_durable", dishonest(world.root / "acks", Fates.of(lake).settled, told.forked))
    run.held = False
    return verdict
