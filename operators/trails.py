"""Trails: in which windows something was there, as bits, and which of the absences between them are a silence."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

TIMES_LONGEST: Final = 2
"""A silence is longer than this many times the longest absence before."""


@dataclass(frozen=True, slots=True)
class Trail:
    """A set of windows: which of those up to `last` belong to it.

    Attributes:
        last: the newest of them; -1 where there is none.
        bits: bit i stands for the window `last - i`.
    """

    last: int = -1
    bits: int = 0

    def add(self, window: int, width: int) -> "Trail":
        """The set with a window more; what lies `width` windows and more behind the newest is forgotten."""
        ahead = window - self.last
        if self.last < 0 or ahead >= width:
            return Trail(window, 1)
        if ahead > 0:
            return Trail(window, (self.bits << ahead | 1) & (1 << width) - 1)
        return self if -ahead >= width else Trail(self.last, self.bits | 1 << -ahead)

    def until(self, window: int, width: int) -> int:
        """Its windows up to this one as bits, bit i for `window - i`, of the last `width`."""
        behind = window - self.last
        bits = self.bits << behind if 0 <= behind < width else self.bits >> -behind if behind < 0 else 0
        return bits & (1 << width) - 1


@lru_cache(maxsize=1 << 14)
def silent_stretches(present: int, heard: int, horizon: int, least: int) -> tuple[tuple[int, int], ...]:
    """The silences among absences, as ages of the windows around them; -1 where it has not come back.

    Args:
        present: windows with a row of the device, by their age: bit 0 for the last that is closed.
        heard: windows in which anybody could have been heard, likewise.
        horizon: how old the begin of a silence may be, and how much older what it is compared with.
        least: more than so many windows must be missing.
    """
    absent = heard & ~present & (1 << present.bit_length()) - 1
    if absent.bit_count() <= least:
        return ()
    gaps = [(before, after, _count(heard, before, after)) for before, after in _gaps(present)]
    found = []
    for place, (before, after, length) in enumerate(gaps):
        if before <= horizon and length > least:
            earlier = (gap[2] for gap in gaps[place + 1 :] if gap[0] <= before + horizon)
            if length > TIMES_LONGEST * max(earlier, default=0):
                found.append((before, after))
    return tuple(found)


def _gaps(present: int) -> Iterator[tuple[int, int]]:
    """The stretches of absence, newest first: ages of the windows before and after; -1 for none after."""
    age, after = 0, -1
    while present:
        zeros = (present & -present).bit_length() - 1
        if zeros:
            yield age + zeros, after
        present >>= zeros
        ones = (~present & (present + 1)).bit_length() - 1
        age, present = age + zeros + ones, present >> ones
        after = age - 1


def _count(heard: int, before: int, after: int) -> int:
    """How many windows between two ages were heard."""
    return (heard >> (after + 1) & (1 << (before - after - 1)) - 1).bit_count()
