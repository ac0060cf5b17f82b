"""Candidates: the best of many parts, merged, are the best of the whole."""

import itertools
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.candidates import Candidates, by_hash, by_score, find_candidates, merge
from schemas.topics import Up
from tests.factories import header, inferences, payload, rows

SHAPES = st.lists(
    st.tuples(st.sampled_from(("digits", "letters")), st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=6
)


def batch(shapes: list[tuple[str, int, int]]) -> pa.RecordBatch:
    """A message for each (model, rows, top_k), of one stream each."""
    return rows(
        [
            inferences(f"cam-{place % 2}", place, model=model, count=count, top_k=k, stream=bytes([place]) * 16)
            for place, (model, count, k) in enumerate(shapes)
        ]
    )


@settings(deadline=None)
@given(SHAPES, st.integers(0, 8), st.lists(st.integers(0, 36), max_size=4))
def test_parts_merged_in_any_split_are_the_whole(
    shapes: list[tuple[str, int, int]], bound: int, cuts: list[int]
) -> None:
    all_rows = batch(shapes)
    edges = [0, *sorted(min(cut, all_rows.num_rows) for cut in cuts), all_rows.num_rows]
    parts = [find_candidates(all_rows[a:b], 0, "s", bound) for a, b in itertools.pairwise(edges)]
    whole = find_candidates(all_rows, 0, "s", bound)
    assert {model for part in parts for model in part} == set(whole)
    for model, wanted in whole.items():
        each = [part.get(model, Candidates()) for part in parts]
        assert reduce(lambda a, b: merge(a, b, bound), each, Candidates()) == wanted
        assert reduce(lambda a, b: merge(b, a, bound), reversed(each), Candidates()) == wanted


@settings(deadline=None)
@given(SHAPES, st.integers(0, 40))
def test_they_are_the_first_of_all_rows_in_order(shapes: list[tuple[str, int, int]], bound: int) -> None:
    everyone = find_candidates(batch(shapes), 5, "s", 1000)
    found = find_candidates(batch(shapes), 5, "s", bound)
    for model, all_of in everyone.items():
        assert len(all_of.best) == len(all_of.control) == all_of.seen
        assert list(all_of.best) == sorted(all_of.best, key=by_score)
        assert list(all_of.control) == sorted(all_of.control, key=by_hash)
        assert found[model] == Candidates(all_of.seen, all_of.best[:bound], all_of.control[:bound])
        assert all(each.partition == 5 for each in all_of.best)


@pytest.mark.parametrize("seed", range(3))
def test_a_candidate_is_its_row(seed: int) -> None:
    of = rows([inferences("cam-7", seed, count=4, first_seq=10, site="south")])
    wanted = {row["seq"]: row for row in of.to_pylist()}
    (found,) = find_candidates(of, 0, "s", 10).values()
    for each in found.best:
        row = wanted[each.row["seq"]]
        assert all(row[name] == value for name, value in each.row.items())
        assert each.score == pytest.approx(1 - (row["scores"][0] - row["scores"][1]))


def test_equal_scores_are_ordered_by_hash_so_that_a_split_finds_the_same() -> None:
    tied = payload(header(count=60), scores=np.full(120, 0.5, np.float32))
    of = rows([("cam-1", Up.INFERENCES, tied)])
    (everyone,), (found,) = (find_candidates(of, 0, "s", bound).values() for bound in (60, 7))
    assert {each.score for each in everyone.best} == {1.0}
    assert found.best == everyone.best[:7] == everyone.control[:7]


def test_another_seed_draws_another_control() -> None:
    of = rows([inferences(count=100)])
    drawn = [[c.row["seq"] for c in find_candidates(of, 0, seed, 10)["digits"].control] for seed in ("a", "b")]
    assert drawn[0] != drawn[1]


def test_no_rows_have_no_candidates() -> None:
    assert find_candidates(rows([]), 0, "s", 10) == {}
