"""Tracks: how far a stream has arrived without a hole, and of which time its last row before it is.

What lies beyond holes needs no more than one row for each range: ranges only grow, and a hole that is filled lets the
whole range behind it count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from operators.seen import Ranges, Seen

Mark = tuple[int, int]
"""(number, time in microseconds) of a row"""
NOWHERE: Final = (-1, -1)


@dataclass(slots=True)
class Track:
    """One stream of a device.

    Attributes:
        newest_us: latest time that it is known to have lived.
        through: every number up to here arrived.
        settled: the last row up to `through`, `(-1, -1)` before the first.
        ahead: the last row of each range that arrived beyond a hole; at most as many as `Seen` has ranges.
        word: what the device said last: every number up to here was made before this time.
    """

    newest_us: int = -1
    through: int = -1
    settled: Mark = NOWHERE
    ahead: tuple[Mark, ...] = ()
    word: Mark = NOWHERE

    @property
    def through_us(self) -> int:
        """The time before which everything arrived; -1 where that can't be said of any."""
        later = self.settled[0] <= self.word[0] <= self.through
        return self.word[1] if later else self.settled[1]

    def settle(self, seen: Seen, new: Sequence[Mark]) -> None:
        """Take note that `seen` has arrived, with the last rows of some messages."""
        self.through = seen.through
        if not seen.ahead:
            self.settled, self.ahead = max(self.settled, *self.ahead, *new, NOWHERE), ()
            return
        marks = [self.settled, *self.ahead, *new]
        self.settled = max(mark for mark in marks if mark[0] <= seen.through)
        self.ahead = tuple(_last_of_each(seen.ahead, marks))


def _last_of_each(ranges: Ranges, marks: Sequence[Mark]) -> Iterable[Mark]:
    """The last row in each range that has one: ranges only grow, and what they join is passed as a whole."""
    for first, last in ranges:
        within = [mark for mark in marks if first <= mark[0] <= last]
        if within:
            yield max(within)
