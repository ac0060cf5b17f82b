"""Which records of a stream have arrived: exact, in constant memory.

Identity is (device, stream, seq) and nothing else. The DUP flag, packet ids and
clocks say nothing about repeats: a resend arrives as a plain message, out of order.
"""

from dataclasses import dataclass
from typing import Final

MAX_HOLES: Final = 64
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Which sequence numbers of one stream have arrived.

    Attributes:
        through: every number up to here arrived; -1 before the first.
        ahead: disjoint, sorted, inclusive ranges beyond it, at most `MAX_HOLES`.
    """

    through: int = -1
    ahead: Ranges = ()

    @property
    def holes(self) -> Ranges:
        """The ranges that are missing between numbers that arrived."""
        starts = (self.through, *(last for _, last in self.ahead))
        return tuple((last + 1, first - 1) for last, (first, _) in zip(starts, self.ahead, strict=False))


def admit(seen: Seen, first: int, last: int) -> tuple[Seen, Ranges]:
    """The state once `first … last` (inclusive) have arrived, and which of them are new.

    Where the new ones would need more than `MAX_HOLES` holes, nothing is taken: the
    state stays, and no range is new. The device is not told that these are durable,
    so it sends them again once the holes before them are filled.

    Example:
        >>> admit(Seen(through=4), 3, 9)
        (Seen(through=9, ahead=()), ((5, 9),))
        >>> admit(Seen(through=4), 8, 9)
        (Seen(through=4, ahead=((8, 9),)), ((8, 9),))
    """
    if first == seen.through + 1 and not seen.ahead:
        return Seen(last), ((first, last),)
    new = _missing(seen, first, last)
    if not new:
        return seen, ()
    through, ahead = seen.through, _union(seen.ahead, new)
    if ahead[0][0] == through + 1:
        through, ahead = ahead[0][1], ahead[1:]
    if len(ahead) > MAX_HOLES:
        return seen, ()
    return Seen(through, ahead), new


def arrived(seen: Seen, first: int, last: int) -> Ranges:
    """The parts of `first … last` that have arrived.

    Example:
        >>> arrived(Seen(4, ((7, 9),)), 3, 8)
        ((3, 4), (7, 8))
    """
    ranges = ((0, seen.through), *seen.ahead)
    clipped = ((max(first, begin), min(last, end)) for begin, end in ranges)
    return tuple(pair for pair in clipped if pair[0] <= pair[1])


def _missing(seen: Seen, first: int, last: int) -> Ranges:
    """The parts of `first … last` that have not arrived."""
    missing = []
    at = max(first, seen.through + 1)
    for begin, end in seen.ahead:
        if begin > last:
            break
        if begin > at:
            missing.append((at, begin - 1))
        at = max(at, end + 1)
    if at <= last:
        missing.append((at, last))
    return tuple(missing)


def _union(ahead: Ranges, new: Ranges) -> Ranges:
    """Both sets of ranges, sorted, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(ahead + new):
        if joined and joined[-1][1] + 1 == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return tuple(joined)
