"""Select: what is worth a label, a random share of it, and never more than the budget."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.budget import HOUR_US, Budget
from operators.candidates import Candidate, Candidates, by_hash, by_score
from operators.select import REMEMBERED, Chosen, Selection, request_id, select
from tests.factories import candidate

MINUTE = HOUR_US // 60
PLENTY = Budget(labels=6000, bytes=10**9, device_labels=10**6, control_share=0.1)


def candidates(of: list[Candidate], bound: int = 1000) -> Candidates:
    return Candidates(len(of), tuple(sorted(of, key=by_score)[:bound]), tuple(sorted(of, key=by_hash)[:bound]))


def one_round(
    of: list[Candidate], budget: Budget = PLENTY, number: int = 1, chosen: Chosen = Chosen()
) -> list[Selection]:
    return select(chosen, candidates(of), "digits", budget, (number - 1) * MINUTE, number * MINUTE)[1]


def control_of(selections: list[Selection]) -> list[int]:
    return [selection.candidate.row["seq"] for selection in selections if selection.strategy == "control"]


BUDGETS = st.builds(
    Budget,
    labels=st.integers(0, 60),
    bytes=st.integers(0, 6000),
    device_labels=st.integers(0, 12),
    control_share=st.floats(0, 1),
)


@settings(deadline=None, max_examples=60)
@given(BUDGETS, st.integers(0, 2**32 - 1), st.sampled_from((1, 7, 30, 60)), st.integers(1, 40))
def test_over_long_runs_no_hour_exceeds_its_budget(budget: Budget, seed: int, minutes: int, bound: int) -> None:
    rng, chosen, seq = np.random.default_rng(seed), Chosen(), 0
    made: list[Selection] = []
    end = int(rng.integers(0, 100)) * minutes * MINUTE
    for _ in range(60):
        end += minutes * MINUTE * int(rng.choice((1, 1, 1, 5)))
        count = int(rng.integers(0, 25))
        of = [
            candidate(seq + i, float(rng.random()), int(rng.integers(2**63)), device=f"cam-{rng.integers(4)}",
                      sample_bytes=int(rng.integers(0, 500)), sample_digest=bytes([int(rng.integers(256))] * 32))
            for i in range(count)
        ]  # fmt: skip
        seq += count
        chosen, more = select(chosen, candidates(of, bound), "digits", budget, end - minutes * MINUTE, end)
        assert {selection.time_us for selection in more} <= {end}
        made += more
    hours = [selection.time_us // HOUR_US for selection in made]
    sizes, devices = Counter[int](), Counter[tuple[int, str]]()
    for hour, selection in zip(hours, made, strict=True):
        sizes[hour] += selection.candidate.row["sample_bytes"]
        devices[hour, selection.candidate.row["device"]] += 1
    assert max(Counter(hours).values(), default=0) <= budget.labels
    assert max(sizes.values(), default=0) <= budget.bytes
    assert max(devices.values(), default=0) <= budget.device_labels
    digests = [selection.candidate.row["sample_digest"] for selection in made]
    assert len(set(digests)) == len(digests)
    assert len({selection.request_id for selection in made}) == len(made)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2**64 - 1)), max_size=30, unique_by=lambda pair: pair[1]))
def test_with_plenty_everything_is_taken_and_the_most_uncertain_first(pairs: list[tuple[float, int]]) -> None:
    of = [candidate(seq, score, hash) for seq, (score, hash) in enumerate(pairs)]
    made = one_round(of)
    assert {selection.candidate.row["seq"] for selection in made} == set(range(len(of)))
    scores = [selection.candidate.score for selection in made if selection.strategy == "margin"]
    assert scores == sorted(scores, reverse=True)
    assert len(control_of(made)) == min(10, len(of))
    assert len({selection.candidate.row["seq"] for selection in made}) == len(made)


def test_a_tight_budget_takes_the_most_uncertain() -> None:
    of = [candidate(seq, seq / 100) for seq in range(100)]
    made = one_round(of, replace(PLENTY, labels=300, control_share=0.0))
    assert [selection.candidate.row["seq"] for selection in made] == [99, 98, 97, 96, 95]
    assert {selection.strategy for selection in made} == {"margin"}
    assert {selection.probability for selection in made} == {None}


def test_margin_leaves_what_is_saved_for_control() -> None:
    """Half of one label a minute is saved for control; margin may use the other half only."""
    budget, chosen, strategies = replace(PLENTY, labels=60, control_share=0.5), Chosen(), Counter[str]()
    for number in range(1, 201):
        of = [candidate(number * 100 + i, 0.5) for i in range(20)]
        chosen, made = select(chosen, candidates(of), "digits", budget, (number - 1) * MINUTE, number * MINUTE)
        strategies.update(selection.strategy for selection in made)
    assert strategies["control"] == pytest.approx(100, abs=2)
    assert strategies["margin"] == pytest.approx(100, abs=2)


def test_the_control_share_is_uniform_and_its_probability_is_right() -> None:
    """Chi-square over 20 places, 2 drawn of 20 in each of 3,000 rounds; 99.9 % of samples are below 43.8.

    Scores rise with the place, so a draw that looked at them would show.
    """
    budget, chosen, rng = replace(PLENTY, labels=120, control_share=1.0), Chosen(), np.random.default_rng(4)
    drawn, weight = np.zeros(20), 0.0
    for number in range(1, 3001):
        of = [candidate(number * 20 + place, place / 20, int(rng.integers(2**63))) for place in range(20)]
        chosen, made = select(chosen, candidates(of, 5), "digits", budget, (number - 1) * MINUTE, number * MINUTE)
        for selection in made:
            assert selection.strategy == "control"
            assert selection.probability is not None
            drawn[selection.candidate.row["seq"] % 20] += 1
            weight += 1 / selection.probability
    expected = drawn.sum() / 20
    assert drawn.sum() == pytest.approx(6000, abs=2)
    assert ((drawn - expected) ** 2 / expected).sum() < 43.8
    assert weight == pytest.approx(60_000, rel=1e-3)  # Horvitz and Thompson, 1952: 1/p estimates the number of rows


def test_the_probability_counts_all_rows_not_only_candidates() -> None:
    of = [candidate(seq) for seq in range(50)]
    _, made = select(Chosen(), candidates(of, 10), "digits", replace(PLENTY, labels=300, control_share=1.0), 0, MINUTE)
    assert {selection.probability for selection in made} == {5 / 50}


def test_the_same_bytes_are_asked_for_once() -> None:
    twins = [candidate(seq, sample_digest=b"d" * 32) for seq in range(3)]
    chosen, made = select(Chosen(), candidates(twins), "digits", PLENTY, 0, MINUTE)
    assert len(made) == 1
    assert one_round([candidate(9, sample_digest=b"d" * 32)], number=2, chosen=chosen) == []


def test_what_is_remembered_is_bounded() -> None:
    old = tuple(seq.to_bytes(8, "big") for seq in range(REMEMBERED))
    chosen, _ = select(Chosen(recent=old), candidates([candidate(1)]), "digits", PLENTY, 0, MINUTE)
    assert len(chosen.recent) == REMEMBERED
    assert chosen.recent[:-1] == old[1:]


def test_a_request_id_is_the_records() -> None:
    row = candidate(4).row
    assert request_id(row) == request_id({**row, "sample_bytes": 9})
    ids = {request_id({**row, **other}) for other in ({}, {"seq": 5}, {"device": "cam-2"}, {"stream": "00"})}
    assert len(ids) == 4
    assert {len(each) for each in ids} == {16}
