"""Silence: a device that sent, and then stopped, is a finding; one that was only offline is none.

In event time: a device is present in each window that holds a row of it. A stretch without it counts
as silence once it is longer than the setting, and longer than twice the longest stretch that the
device was absent for, and came back from, within the horizon before. Rows of that time which come late take the
finding back; rows of later times alone end it.

Only windows in which log time ticked count as absence. While ingest is down nobody is heard, so nobody falls
silent; after it, each device has as long as before to tell what it kept.

A pure function of the windows in which devices were present, of those that ticked, and of the last closed
one; so it comes out the same whatever the order, the batches or the restarts.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

from operators.hellos import MAX_DEVICES
from operators.runs import compress, times_of
from operators.trails import Trail, silent_stretches
from operators.watermarks import Home


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch without any row of a device that had sent before.

    Attributes:
        device: which.
        since_us: end of the last window in which it was present.
        until_us: begin of the window in which it was present again; None while it is silent.
    """

    device: str
    since_us: int
    until_us: int | None


class Turn(StrEnum):
    """What has become of a silence."""

    RAISED = "raised"
    CLEARED = "cleared"  # it sends again
    RETRACTED = "retracted"  # it had been offline: rows of that time came


@dataclass(frozen=True, slots=True)
class Change:
    """A turn of one silence, and where the device's latest row came from, if that is known."""

    turn: Turn
    silence: Silence
    home: Home | None


@dataclass(slots=True)
class Silences:
    """The devices of one log partition; each belongs to one partition for good.

    Attributes:
        window_us: length of a window.
        silence_us: shortest silence.
        horizon_us: how long a window can still change.
        devices: the windows of the last two horizons in which each was present; at most `MAX_DEVICES`,
            others are not watched.
        ticked: the windows in which log time ticked.
        told: (device, since) → what was last told of it, within the horizon.
    """

    window_us: int
    silence_us: int
    horizon_us: int
    devices: dict[str, Trail] = field(default_factory=dict)
    ticked: Trail = field(default_factory=Trail)
    told: dict[tuple[str, int], Silence] = field(default_factory=dict)

    def add(self, rows: pa.RecordBatch, tick_us: int | None) -> None:
        """Take in the new rows of a batch (columns of `inferences`) and the tick that ends it.

        A row counts in the window of its `time`; where the device's clock is off, of its receipt.
        """
        for device, window in _presence(rows, self.window_us):
            trail = self.devices.get(device, Trail())
            if trail.last >= 0 or len(self.devices) < MAX_DEVICES:
                self.devices[device] = trail.add(window, self._width)
        if tick_us is not None:
            self.ticked = self.ticked.add(tick_us // self.window_us, self._width)

    def findings(self, closed: int) -> dict[tuple[str, int], Silence]:
        """Every silence that began within the horizon: (device, since_us) → what it is.

        Args:
            closed: the last window that is closed; later ones are not looked at.
        """
        heard = self.ticked.until(closed, self._width)
        found: dict[tuple[str, int], Silence] = {}
        for device, trail in self.devices.items():
            present = trail.until(closed, self._width)
            for before, after in silent_stretches(present, heard, self._horizon, self.silence_us // self.window_us):
                until = None if after < 0 else (closed - after) * self.window_us
                silence = Silence(device, (closed - before + 1) * self.window_us, until)
                found[device, silence.since_us] = silence
        return found

    def tell(self, closed: int, home: Callable[[str], Home | None]) -> tuple[list[Change], frozenset[str]]:
        """What changed since it was told last, in order of names; and which devices are not to be waited for.

        A silence of which nothing changes until it began more than a horizon ago stays as it was told.

        Args:
            closed: the last window that is closed; never less than before.
            home: where a device's latest row came from.
        """
        found = self.findings(closed)
        since = (closed - self._horizon + 1) * self.window_us
        before = {key: silence for key, silence in self.told.items() if silence.since_us >= since}
        changes = [Change(turn, silence, home(silence.device)) for turn, silence in _turns(before, found)]
        self.told = found
        gone = [device for device, trail in self.devices.items() if trail.last < closed - self._horizon]
        for device in [name for name in gone if self.devices[name].last <= closed - self._width]:
            del self.devices[device]
        silent = {silence.device for silence in found.values() if silence.until_us is None}
        return changes, frozenset(silent.union(gone))

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values."""
        devices = tuple((name, trail.last, trail.bits) for name, trail in self.devices.items())
        told = tuple((each.device, each.since_us, each.until_us) for each in self.told.values())
        return (devices, (self.ticked.last, self.ticked.bits), told)

    def restore(self, state: tuple[Any, ...] | None) -> "Silences":
        """What `snapshot` gave, under the same settings, or the empty state."""
        devices, ticked, told = state or ((), (-1, 0), ())
        self.devices = {name: Trail(last, bits) for name, last, bits in devices}
        self.ticked = Trail(*ticked)
        self.told = {(device, since): Silence(device, since, until) for device, since, until in told}
        return self

    @property
    def _horizon(self) -> int:
        return self.horizon_us // self.window_us

    @property
    def _width(self) -> int:
        """Windows that are kept: those of the horizon, and for the first of them a horizon before it."""
        return 2 * self._horizon + 1


def last_closed(now_us: int, window_us: int, grace_us: int) -> int:
    """The last window that is closed at a log time: its end and the grace after it have passed."""
    return (now_us - grace_us) // window_us - 1


def _presence(rows: pa.RecordBatch, window_us: int) -> Iterator[tuple[str, int]]:
    """Each device with each window that has a row of it."""
    if not rows.num_rows:
        return
    off = rows["clock_off"].to_numpy(zero_copy_only=False)
    window = np.where(off, times_of(rows, "received"), times_of(rows)) // window_us
    first = int(window.min())
    span = int(window.max()) - first + 1
    names = rows["device"].dictionary.to_pylist()
    _, present = compress(rows["device"].indices.to_numpy().astype(np.int64) * span + (window - first))
    for pair in present:
        yield names[pair // span], first + pair % span


def _turns(
    before: dict[tuple[str, int], Silence], found: dict[tuple[str, int], Silence]
) -> Iterable[tuple[Turn, Silence]]:
    """How what was told became what is found."""
    for key in sorted(before.keys() | found.keys()):
        old, new = before.get(key), found.get(key)
        if new is None and old is not None:
            yield Turn.RETRACTED, old
        elif new is not None:
            if old is None:
                yield Turn.RAISED, new
            if new.until_us is not None and (old is None or old.until_us is None):
                yield Turn.CLEARED, new
