"""Sets of sequence numbers as sorted, disjoint, inclusive ranges."""

from collections.abc import Iterable

Range = tuple[int, int]
Ranges = tuple[Range, ...]


def size(pair: Range) -> int:
    """How many numbers a range holds."""
    return pair[1] - pair[0] + 1


def joined(ranges: Iterable[Range]) -> Ranges:
    """The union of `ranges`, sorted, neighbours merged; ranges that end before they begin are left out."""
    out: list[Range] = []
    for first, last in sorted(pair for pair in ranges if pair[0] <= pair[1]):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return tuple(out)


def runs(numbers: Iterable[int]) -> Ranges:
    """The ranges that hold exactly `numbers`."""
    return joined((number, number) for number in numbers)


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> Ranges:
    """What of `ranges` is not in `taken`."""
    out: list[Range] = []
    holes = joined(taken)
    for first, last in joined(ranges):
        at = first
        for low, high in holes:
            if high < at:
                continue
            if low > last:
                break
            if low > at:
                out.append((at, low - 1))
            at = high + 1
        if at <= last:
            out.append((at, last))
    return tuple(out)
