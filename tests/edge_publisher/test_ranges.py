from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.ranges import Ranges, joined, runs, size, without

PAIRS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


def held(ranges: list[tuple[int, int]] | Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@settings(deadline=None)
@given(PAIRS)
def test_joined_ranges_hold_the_same_sorted_and_apart(pairs: list[tuple[int, int]]) -> None:
    found = joined(pairs)
    assert held(found) == held(pairs)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))
    assert found == runs(held(pairs))
    assert sum(map(size, found)) == len(held(pairs))


@settings(deadline=None)
@given(PAIRS, PAIRS)
def test_without_takes_away_exactly_what_is_taken(pairs: list[tuple[int, int]], taken: list[tuple[int, int]]) -> None:
    assert held(without(pairs, taken)) == held(pairs) - held(taken)
