"""Budget: allowances grow with log time, and no hour spends more than its budget."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.budget import BURST, HOUR_US, Budget, Spent, affordable, allow, spend

MINUTE = HOUR_US // 60
USUAL = Budget(labels=60, bytes=6000, device_labels=20, control_share=0.1)
BUDGETS = st.builds(
    Budget,
    labels=st.integers(0, 40),
    bytes=st.integers(0, 5000),
    device_labels=st.integers(0, 10),
    control_share=st.floats(0, 1),
)
ROUNDS = st.lists(st.tuples(st.integers(1, 90), st.integers(0, 30)), min_size=1, max_size=40)  # minutes since, wishes


@settings(deadline=None, max_examples=200)
@given(BUDGETS, ROUNDS, st.sampled_from((MINUTE, 10 * MINUTE, HOUR_US)), st.integers(0, 10**6), st.data())
def test_no_hour_spends_more_than_its_budget(
    budget: Budget, rounds: list[tuple[int, int]], length: int, start: int, data: st.DataObject
) -> None:
    labels, sizes, devices = Counter[int](), Counter[int](), Counter[tuple[int, str]]()
    spent, end = Spent(), start * MINUTE + length
    for minutes, wishes in rounds:
        end += max(minutes * MINUTE, length)
        spent = allow(spent, budget, end - length, end)
        size = data.draw(st.integers(0, 800))
        for wish in range(wishes):
            device = f"cam-{wish % 3}"
            if affordable(spent, budget, device, size):
                spent = spend(spent, device, size, control=False)
                hour = end // HOUR_US
                labels[hour] += 1
                sizes[hour] += size
                devices[hour, device] += 1
        assert spent.labels >= 0
        assert spent.bytes >= 0
        assert len(spent.by_device) <= spent.hour_labels
    assert max(labels.values(), default=0) <= budget.labels
    assert max(sizes.values(), default=0) <= budget.bytes
    assert max(devices.values(), default=0) <= budget.device_labels


def greedy(budget: Budget, length: int, hours: int) -> list[int]:
    """Labels that each round gets where everything is wanted."""
    spent, taken = Spent(), []
    for end in range(length, hours * HOUR_US + 1, length):
        spent = allow(spent, budget, end - length, end)
        before = spent.hour_labels
        while affordable(spent, budget, f"cam-{spent.hour_labels}", 1):
            spent = spend(spent, f"cam-{spent.hour_labels}", 1, control=False)
        taken.append(spent.hour_labels - before)
    return taken


@pytest.mark.parametrize("length", [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR_US])
def test_the_whole_budget_can_be_used_whatever_the_length_of_a_round(length: int) -> None:
    taken = greedy(USUAL, length, hours=10)
    assert sum(taken) >= 600 - 60 * length / HOUR_US - 10  # the first round of an hour belongs to the next
    assert max(taken) <= max(60 * length / HOUR_US + 1, 60 * BURST)


def test_a_budget_of_less_than_one_in_four_minutes_is_still_spent() -> None:
    assert sum(greedy(replace(USUAL, labels=2), MINUTE, hours=10)) >= 19


def test_what_is_not_used_is_kept_for_a_quarter_of_an_hour_at_most() -> None:
    spent = allow(Spent(), USUAL, 0, MINUTE)
    assert (spent.labels, spent.bytes, spent.control) == pytest.approx((1, 100, 0.1))
    spent = allow(spent, USUAL, 50 * HOUR_US, 50 * HOUR_US + MINUTE)
    assert (spent.labels, spent.bytes) == pytest.approx((60 * BURST, 6000 * BURST))
    assert spent.control <= spent.labels


def test_a_new_hour_counts_anew() -> None:
    spent = spend(allow(Spent(), USUAL, 0, MINUTE), "cam-1", 10, control=True)
    assert (spent.hour_labels, spent.hour_bytes, dict(spent.by_device)) == (1, 10, {"cam-1": 1})
    assert spent.control == pytest.approx(-0.9)
    spent = allow(spent, USUAL, HOUR_US - MINUTE, HOUR_US)
    assert (spent.hour_labels, spent.hour_bytes, dict(spent.by_device)) == (0, 0, {})


def test_each_limit_counts() -> None:
    spent = allow(Spent(), USUAL, 0, 15 * MINUTE)
    assert affordable(spent, USUAL, "cam-1", 1500)
    assert not affordable(spent, USUAL, "cam-1", 1501)
    assert not affordable(replace(spent, labels=0.9), USUAL, "cam-1", 1)
    assert not affordable(replace(spent, hour_labels=60), USUAL, "cam-1", 1)
    assert not affordable(replace(spent, hour_bytes=5999), USUAL, "cam-1", 2)
    assert not affordable(replace(spent, by_device={"cam-1": 20}), USUAL, "cam-1", 1)
    assert affordable(replace(spent, by_device={"cam-1": 20}), USUAL, "cam-2", 1)
