"""Rounds: partitions may come at any pace; what is decided together is the same."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.rounds import Part, Rounds

PARTITIONS = 3
TOLD = st.lists(st.sets(st.integers(0, 8), min_size=1), min_size=PARTITIONS, max_size=PARTITIONS)


def parts(told: list[set[int]]) -> list[list[Part[str]]]:
    return [[Part(p, r, f"{p}/{r}") for r in sorted(rounds)] for p, rounds in enumerate(told)]


def interleaved(data: st.DataObject, queues: list[list[Part[str]]]) -> list[Part[str]]:
    queues, order = [list(queue) for queue in queues], []
    while any(queues):
        order.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return order


@settings(deadline=None, max_examples=200)
@given(TOLD, st.data())
def test_any_interleaving_gives_the_same_rounds(told: list[set[int]], data: st.DataObject) -> None:
    rounds: Rounds[str] = Rounds(PARTITIONS)
    given_out = [whole for part in interleaved(data, parts(told)) for whole in rounds.add(part)]
    whole = min(max(each) for each in told)
    numbers = sorted({number for each in told for number in each if number <= whole})
    assert given_out == [
        [Part(p, number, f"{p}/{number}") for p, each in enumerate(told) if number in each] for number in numbers
    ]
    assert {part.round for part in rounds.waiting} == {n for each in told for n in each if n > whole}


@settings(deadline=None)
@given(TOLD, st.data())
def test_a_restart_in_the_middle_changes_nothing(told: list[set[int]], data: st.DataObject) -> None:
    order = interleaved(data, parts(told))
    cut = data.draw(st.integers(0, len(order)))
    straight, state = Rounds[str](PARTITIONS), Rounds[str](PARTITIONS)
    found: list[Any] = []
    for place, part in enumerate(order):
        if place == cut:
            state = Rounds.restore(PARTITIONS, state.snapshot())
        found += state.add(part)
    assert found == [whole for part in order for whole in straight.add(part)]
    assert Rounds.restore(PARTITIONS, state.snapshot()) == state


def test_nothing_is_given_before_all_have_told() -> None:
    rounds: Rounds[str] = Rounds(2)
    assert list(rounds.add(Part(0, 1, "a"))) == []
    assert list(rounds.add(Part(0, 2, "b"))) == []
    assert list(rounds.add(Part(1, 1, "c"))) == [[Part(0, 1, "a"), Part(1, 1, "c")]]


def test_the_first_start_is_empty() -> None:
    assert Rounds.restore(2, None) == Rounds(2)
