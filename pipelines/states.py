"""States: how a step keeps what it knows over a restart.

What Bytewax stores is plain and bounded, and carries a fingerprint of the parameters
that shaped it: state of other parameters is not resumed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import bytewax.operators as op
import numpy as np
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.alarms import Alarm, alarm_row
from operators.budget import Spent
from operators.candidates import Candidate, Candidates
from operators.decode import Clock, Receipt
from operators.describe import Finding
from operators.fleet import Fleet
from operators.forks import Prints
from operators.gather import Gathered
from operators.hellos import Known
from operators.panes import narrow, pack_pane, unpack_pane
from operators.quality import Quality
from operators.repeats import Ends, Sight
from operators.requests import Heard, Request
from operators.rounds import Rounds
from operators.seen import Seen
from operators.select import Chosen, Selection
from operators.series import Series
from operators.silence import Change, Silence, Silences
from operators.streams import Device, Stream
from operators.watch import Judged, Policy, Told, Watched
from operators.watermarks import Watermarks
from operators.windows import Counted, Counting, Ticket, fitting
from pipelines import metrics

_KEPT: Final = (
    Seen,
    Prints,
    Stream,
    Device,
    Candidate,
    Candidates,
    Selection,
    Request,
    Receipt,
    Heard,
    Spent,
    Chosen,
    Sight,
    Ticket,
    Ends,
    Told,
    Judged,
    Change,
    Silence,
    Finding,
    Alarm,
)
_CLASSES: Final = {kind.__name__: kind for kind in _KEPT}
X = TypeVar("X")
Y = TypeVar("Y")


@dataclass(frozen=True, slots=True)
class Keep:
    """How a state is made from its snapshot, and the snapshot from it.

    Attributes:
        load: from plain values, or from None at the first start.
        save: to plain values; by default the state's own `snapshot`.
        fingerprint: of the parameters that shaped it.
    """

    load: Callable[[Any], Any]
    save: Callable[[Any], Any] = lambda state: state.snapshot()
    fingerprint: str = ""


class _Logic(StatefulBatchLogic[Any, Any, Any]):
    """One key's state, and a function that acts on it."""

    def __init__(self, keep: Keep, act: Callable[[Any, Any], Iterable[Any]], resumed: Any) -> None:
        known = resumed is not None and resumed[0] == keep.fingerprint
        self._keep, self._act = keep, act
        self._state = keep.load(unpack(resumed[1]) if known else None)

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        return [out for value in values for out in self._act(self._state, value)], StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        return (self._keep.fingerprint, pack(self._keep.save(self._state)))


def stateful(step_id: str, up: KeyedStream[X], act: Callable[[Any, X], Iterable[Y]], keep: Keep) -> KeyedStream[Y]:
    """A step with a state for each key: `act(state, item)` changes it and gives what follows."""
    return op.stateful_batch(step_id, up, lambda resumed: _Logic(keep, act, resumed))


def pack(value: Any) -> Any:
    """The value with nothing but dicts, tuples, texts, numbers and bytes in it."""
    if type(value).__name__ in _CLASSES:
        return (f"@{type(value).__name__}", *(pack(getattr(value, field.name)) for field in fields(value)))
    if isinstance(value, np.ndarray):
        return ("@array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: pack(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        packed = tuple(pack(each) for each in value)
        return ("@tuple", *packed) if _is_marked(packed) else packed
    return str(value) if isinstance(value, str) else value


def unpack(value: Any) -> Any:
    """What `pack` was given, lists as tuples."""
    if isinstance(value, dict):
        return {key: unpack(each) for key, each in value.items()}
    if not isinstance(value, tuple):
        return value
    if _is_marked(value):
        if value[0] == "@tuple":
            return tuple(unpack(each) for each in value[1:])
        if value[0] == "@array":
            return np.frombuffer(value[3], value[1]).reshape(value[2])
        kind = _CLASSES[value[0][1:]]
        return kind(**dict(zip((field.name for field in fields(kind)), map(unpack, value[1:]), strict=True)))
    return tuple(unpack(each) for each in value)


def _is_marked(value: tuple[Any, ...]) -> bool:
    """Whether the first of the values is a text like those that tell a class."""
    return bool(value) and isinstance(value[0], str) and value[0].startswith("@")


def keep_streams() -> Keep:
    """What is known of each device's streams, for `dedup`."""

    def load(state: Any) -> dict[str, Device]:
        return state or {}

    return Keep(load, lambda state: state)


def keep_rounds(partitions: int, round_us: int) -> Keep:
    """Rounds of candidates and what was chosen, for `select`.

    What was chosen stays when rounds get another length, since budgets are of hours; what waits
    for other partitions is counted in the old length, and goes.
    """

    def load(state: Any) -> tuple[Rounds[Any], dict[str, Chosen]]:
        length, rounds, chosen = state or (round_us, None, {})
        return Rounds.restore(partitions, rounds if length == round_us else None), dict(chosen)

    return Keep(load, lambda state: (round_us, state[0].snapshot(), dict(state[1])))


def keep_gathered(policy: Policy, counting: Counting, clock: Clock) -> Keep:
    """What a partition counted, for `gather`; what was counted on another scale of the same version goes.

    What devices said of themselves stays when windows or cohorts become others, what was counted in them goes.
    """
    shape = repr((policy.window_us, policy.round_us, policy.horizon_us, policy.silence_us, policy.levels))

    def load(state: Any) -> Gathered:
        known, watermarks, shaped, *rest = state or (None, None, "")
        told, panes, streams, strangers, silences, quality = rest if shaped == shape else (-1, {}, {}, (), None, {})
        return Gathered(
            quality=Quality(policy.window_us, clock, dict(quality)),
            silences=Silences(policy.window_us, policy.silence_us, policy.horizon_us).restore(silences),
            round=told,
            panes=fitting(_unpacked(panes), counting.scales),
            counted=Counted(Known.of(known), dict(streams), tuple(strangers)),
            watermarks=Watermarks.of(watermarks),
        )

    def save(state: Gathered) -> Any:
        counted, silences = state.counted, state.silences.snapshot()
        own = (state.round, _packed(state.panes), counted.streams, counted.strangers, silences, state.quality.counts)
        return (counted.known.snapshot(), state.watermarks.snapshot(), shape, *own)

    return Keep(load, save)


def keep_watched(partitions: int, policy: Policy) -> Keep:
    """The series of cohorts, for `watch`."""

    def load(state: Any) -> Watched:
        told, series, watermarks = state or (None, {}, {})
        return Watched(
            Rounds.restore(partitions, told), {key: _series(*each) for key, each in series.items()}, watermarks
        )

    def save(state: Watched) -> Any:
        series = {
            key: (each.pack(), each.settled, each.states, each.first, each.said) for key, each in state.series.items()
        }
        return (state.rounds.snapshot(), series, state.watermarks)

    return Keep(load, save, fingerprint=_shape(policy))


def keep_fleet(buckets: int, policy: Policy) -> Keep:
    """Evidence and alarms of everything that is watched, for `decide`."""

    def load(state: Any) -> Fleet:
        told, *rest = state or (None,)
        fleet = Fleet(Rounds.restore(buckets, told), *rest)
        metrics.show_alarms(alarm_row(alarm, 0) for alarm in fleet.alarms)
        return fleet

    def save(state: Fleet) -> Any:
        own = (state.evidence, state.findings, state.began, state.alarms, state.watermarks)
        return (state.rounds.snapshot(), *own)

    return Keep(load, save, fingerprint=_shape(policy))


def _shape(policy: Policy) -> str:
    """Of what makes evidence: with another of these it begins anew."""
    return repr((policy.window_us, policy.round_us, policy.levels, policy.interval_windows, policy.max_cohorts))


def _packed(panes: Mapping[Any, Any]) -> dict[Any, bytes]:
    return {key: pack_pane(pane) for key, pane in panes.items()}


def _unpacked(panes: Mapping[Any, bytes]) -> dict[Any, Any]:
    return {key: unpack_pane(pane) for key, pane in panes.items()}


def _series(panes: Mapping[int, bytes], settled: int, states: Any, first: Any, said: Mapping[int, Any]) -> Series:
    return Series(
        panes={start: narrow(pane) for start, pane in _unpacked(panes).items()},
        settled=settled,
        states=states,
        first=first,
        said=dict(said),
    )
