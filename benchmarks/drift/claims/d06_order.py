"""D6: the order of arrival decides nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.fleet import Frames, Message, count, in_step, messages_of, scale_of, stacks_of, watched
from benchmarks.drift.ours import Fixed, Watch
from benchmarks.drift.streams import scalars, source
from operators.scale import Scale
from operators.windows import Panes

SAYS = (
    "The final state is the same to the last bit under any permutation and duplication of the messages, and a "
    "stationary fleet that delivers in bursts raises no alarm."
)
_NOTES = (
    "Twenty devices with confidences of their own, 2,000 frames each, in messages of 50, through decoding, dedup, "
    "events and windows. Permutations: all messages in random order, three in ten of them twice; also with scenes of "
    "12 near-equal frames, where an event is known by the record before it.",
    "A device's runs of records that are open at a time are bounded: where more messages than that are shuffled, near "
    "repeats at their borders count as events. The last line of the first table shows it; the claim is for messages "
    "whose disorder stays within the bound.",
    "Bursts: ten such fleets, each device sends 500 frames at a time, 400,000 frames in all. Windows are of event "
    "time, 100 frames of the fleet each; the reference is 2,000 frames of the same fleet. The claim is held "
    "against a target of 1,000,000 frames, longer than the stream. It does not hold at the 10,000 of the other claims, "
    "where up to forty false alarms are what was asked for: the few there are stand in the table, and are the same in "
    "both orders. The peers see rows as they arrive.",
)
DEVICES, FRAMES, ROWS = 20, 2_000, 50
TARGETS = (1_000_000.0, 10_000.0)
Doubles = NDArray[np.float64]
_STEP_US = 1_000_000
_WINDOW_STEPS = 5
_WINDOW_US = _WINDOW_STEPS * _STEP_US
_DETECTORS = {
    "river ADWIN": ["ADWIN", {}],
    "river PageHinkley(threshold=5, delta=.01)": ["PageHinkley", {"threshold": 5, "delta": 0.01}],
}


def measure(run: Run) -> Claim:
    """Compare the windows of permutations, and count alarms of bursts."""
    lines = []
    for title, bursts, rows, counts in (
        ("frames drawn anew", False, ROWS, True),
        ("scenes of 12 frames", True, ROWS, True),
        ("scenes of 12 frames, messages of 10: beyond the bound", True, 10, False),
    ):
        differing, of = _permuted(run, bursts, rows)
        lines.append((title, DEVICES * FRAMES // rows, differing, of, counts))
    found = _bursts(run)
    in_turn, stored = found.alarms[TARGETS[0]]
    limits = [
        Limit("windows that differ after a permutation", float(sum(line[2] for line in lines if line[4])), "≤", 0.0),
        Limit("alarms of bursts", float(stored), "≤", 0.0),
        Limit("alarms more or less than always connected", float(abs(stored - in_turn)), "≤", 0.0),
    ]
    columns = ("frames", "messages", "windows that differ", "windows compared")
    tables = [Table("Windows after permutation and duplication", columns, [line[:4] for line in lines])]
    told = [(f"this detector, {target:,.0f}", *alarms) for target, alarms in found.alarms.items()]
    told += _peers(run, np.array(found.in_turn), np.array(found.stored))
    tables.append(Table("Alarms of stationary fleets", ("detector", "always connected", "stored and forwarded"), told))
    figures = {f"alarms of bursts, target {target:g}": alarms[1] for target, alarms in found.alarms.items()}
    return Claim("D6", SAYS, limits, figures, tables, _NOTES)


def _permuted(run: Run, bursts: bool, rows: int) -> tuple[int, int]:
    """Windows that are not the same after a permutation, and windows compared."""
    rng = source(run.seed, "D6", bursts, rows)
    frames = _frames(rng, bursts)
    scale = scale_of(scalars.confidence(rng, 2_000))
    sent = [message for own in messages_of(frames, rows) for message in own]
    expected = count(sent, scale, _WINDOW_US)
    tries = run.few(10, 3)
    return sum(_differing(expected, count(_shuffled(rng, sent), scale, _WINDOW_US)) for _ in range(tries)), tries * len(
        expected
    )


def _frames(rng: np.random.Generator, bursts: bool) -> Frames:
    drawn = in_step(scalars.fleet(rng, DEVICES, FRAMES), rng, _STEP_US)
    return drawn.in_scenes(rng) if bursts else drawn


def _shuffled(rng: np.random.Generator, sent: list[Message]) -> list[Message]:
    """All messages in another order, three in ten of them twice."""
    twice = rng.choice(len(sent), 3 * len(sent) // 10, replace=False)
    return [sent[i] for i in rng.permutation(np.concatenate([np.arange(len(sent)), twice])).tolist()]


def _differing(a: Panes, b: Panes) -> int:
    """Windows that are not in both, or not the same."""
    return len(a.keys() ^ b.keys()) + sum(not np.array_equal(a[key], b[key]) for key in a.keys() & b.keys())


@dataclass(slots=True)
class _Bursts:
    """Stationary fleets, always connected and stored and forwarded.

    Attributes:
        alarms: for each target, the alarms in each of both.
        in_turn, stored: (fleets, rows) confidences as they arrive.
    """

    alarms: dict[float, list[int]]
    in_turn: list[Doubles]
    stored: list[Doubles]


def _bursts(run: Run) -> _Bursts:
    found = _Bursts({target: [0, 0] for target in TARGETS}, [], [])
    for i in range(run.few(10, 3)):
        rng = source(run.seed, "D6 bursts", i)
        confidence = scalars.fleet(rng, DEVICES, 100 + FRAMES)
        before, after = confidence[:, :100], confidence[:, 100:]
        orders = scalars.in_turn(DEVICES, FRAMES), scalars.stored_and_forwarded(rng, DEVICES, FRAMES)
        found.in_turn.append(after.ravel()[orders[0]])
        found.stored.append(after.ravel()[orders[1]])
        watch, columns, scale = _watch(rng, before)
        sent = [message for own in messages_of(in_step(after, rng, _STEP_US), ROWS) for message in own]
        for place, order in enumerate(orders):
            # a message is sent once its last row is there
            arrived = [sent[row // ROWS] for row in order.tolist() if row % ROWS == ROWS - 1]
            stacks = stacks_of(count(arrived, scale, _WINDOW_US), scale)[:, columns]
            for target, alarms in found.alarms.items():
                alarms[place] += len(list(watch.asking(target).in_alarm(stacks)))
    return found


def _watch(rng: np.random.Generator, before: Doubles) -> tuple[Watch, NDArray[np.intp], Scale]:
    """The detector of a fleet, the columns it reads, and the scale, from what the fleet saw before."""
    scale = scale_of(before.ravel())
    features, columns = watched(scale)
    known = [message for own in messages_of(in_step(before, rng, _STEP_US), ROWS) for message in own]
    made = Watch(
        counter=Fixed(features=features),
        reference=stacks_of(count(known, scale, _WINDOW_US), scale).sum(axis=0)[columns],
        rows=before.size,
        window=DEVICES * _WINDOW_STEPS,
        interval=TARGETS[0],
    )
    return made, columns, scale


def _peers(run: Run, in_turn: Doubles, stored: Doubles) -> list[tuple[str, int, int]]:
    job = {"detectors": _DETECTORS, "change": {}, "timed": 5_000}
    answer = run.peers.ask("river", job, {"in turn": in_turn, "stored": stored}) or {}
    return [
        (name, *(sum(map(len, said["alarms"][order])) for order in ("in turn", "stored")))
        for name, said in answer.items()
    ]
