"""Seen: the numbers that arrived, against a plain set of them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.seen import MAX_HOLES, Ranges, Seen, admit, arrived
from schemas.wire import MAX_SEQ

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=40).map(
    lambda pairs: [(first, first + more) for first, more in pairs]
)


def numbers(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def everything(seen: Seen) -> set[int]:
    return set(range(seen.through + 1)) | numbers(seen.ahead)


@settings(deadline=None, max_examples=300)
@given(RANGES)
def test_new_is_exactly_what_had_not_arrived(arrivals: list[tuple[int, int]]) -> None:
    seen, before = Seen(), set[int]()
    for first, last in arrivals:
        wanted = numbers(((first, last),))
        assert numbers(arrived(seen, first, last)) == wanted & before
        seen, new = admit(seen, first, last)
        assert numbers(new) == wanted - before
        assert sum(b - a + 1 for a, b in new) == len(numbers(new))
        before |= wanted
        assert everything(seen) == before


@settings(deadline=None, max_examples=300)
@given(RANGES)
def test_the_state_is_the_shortest_that_says_it(arrivals: list[tuple[int, int]]) -> None:
    seen = Seen()
    for first, last in arrivals:
        seen, _ = admit(seen, first, last)
    edges = [seen.through, *(edge for pair in seen.ahead for edge in pair)]
    assert all(first <= last for first, last in seen.ahead)
    assert all(end + 1 < begin for end, begin in zip(edges[::2], edges[1::2], strict=False))
    assert numbers(seen.holes) == set(range(edges[-1] + 1)) - everything(seen)
    assert len(seen.holes) == len(seen.ahead)


@settings(deadline=None)
@given(RANGES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(arrivals: list[tuple[int, int]], random: object) -> None:
    shuffled = list(arrivals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    states = []
    for order in (arrivals, shuffled):
        seen = Seen()
        for first, last in order:
            seen, _ = admit(seen, first, last)
        states.append(seen)
    assert states[0] == states[1]


def full() -> Seen:
    """As many holes as are followed: 0, 2, 4, … are missing."""
    return Seen(-1, tuple((2 * place + 1, 2 * place + 1) for place in range(MAX_HOLES)))


def test_one_hole_too_many_takes_nothing() -> None:
    beyond = 2 * MAX_HOLES + 1
    assert admit(full(), beyond, beyond) == (full(), ())
    assert arrived(full(), beyond, beyond) == ()


def test_a_full_state_still_grows_where_it_needs_no_new_hole() -> None:
    last = 2 * MAX_HOLES - 1
    assert admit(full(), last + 1, last + 5)[1] == ((last + 1, last + 5),)
    assert admit(full(), 0, 0)[0] == Seen(1, full().ahead[1:])
    assert admit(full(), 0, last)[0] == Seen(last)


def test_what_is_not_taken_is_taken_once_the_holes_are_filled() -> None:
    beyond = 2 * MAX_HOLES + 1
    seen, _ = admit(full(), 0, 0)
    assert admit(seen, beyond, beyond)[1] == ((beyond, beyond),)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2)), max_size=300))
def test_the_state_stays_bounded_and_takes_all_of_a_message_or_nothing(pairs: list[tuple[int, int]]) -> None:
    seen, taken = Seen(), set[int]()
    for first, more in pairs:
        before = seen
        seen, new = admit(seen, first, first + more)
        assert len(seen.ahead) <= MAX_HOLES
        assert new or seen == before
        assert not numbers(new) & taken
        taken |= numbers(new)
        assert everything(seen) == taken


def test_a_range_of_any_length_costs_no_more() -> None:
    seen, new = admit(Seen(), 5, MAX_SEQ - 1)
    assert (seen, new) == (Seen(-1, ((5, MAX_SEQ - 1),)), ((5, MAX_SEQ - 1),))
    assert admit(seen, 0, MAX_SEQ - 1) == (Seen(MAX_SEQ - 1), ((0, 4),))
    assert arrived(seen, 0, MAX_SEQ - 1) == ((5, MAX_SEQ - 1),)


def test_examples_of_the_docstring() -> None:
    assert admit(Seen(through=4), 3, 9) == (Seen(through=9), ((5, 9),))
    assert admit(Seen(through=4), 8, 9) == (Seen(through=4, ahead=((8, 9),)), ((8, 9),))
    assert Seen(through=4, ahead=((8, 9),)).holes == ((5, 7),)
    assert arrived(Seen(4, ((7, 9),)), 3, 8) == ((3, 4), (7, 8))
