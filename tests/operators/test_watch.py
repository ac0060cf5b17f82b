"""Watch: the last word on a window does not depend on when and in which parts its rows came."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.panes import panes
from operators.reference import Reference
from operators.rounds import Part, Rounds
from operators.tabulate import tabulate
from operators.watch import Policy, Watched, watch
from operators.windows import Panes, add_panes
from schemas.tables import DRIFT
from tests.operators.drawn import Rows, draw_rows, reference_of

WINDOW = 1_000
POLICY = Policy(window_us=WINDOW, grace_us=200, round_us=500, horizon_us=10**9, alpha=0.01, consecutive=2, min_rows=40)
Ints = NDArray[np.int64]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(draw_rows(2000))


@pytest.fixture(scope="module")
def pieces(reference: Reference) -> dict[str, Ints]:
    """Panes of 40 rows that fit the reference, of 40 that don't, of too few to judge, and of the reference itself."""
    rows = draw_rows(40, seed=3)
    strange = Rows(
        class_id=rows.class_id * 0 + 4, confidence=rows.confidence / np.float32(2), embeddings=rows.embeddings + 9
    )
    few = draw_rows(10, seed=4)
    drawn = {"calm": rows, "drifted": strange, "few": few, "reference": draw_rows(2000)}
    return {name: count(reference, each) for name, each in drawn.items()}


def count(reference: Reference, rows: Rows) -> Ints:
    group = np.zeros(len(rows.class_id), np.int32)
    found: Ints = panes(reference, group, 1, rows.class_id, rows.confidence, rows.embeddings)[0]
    return found


Piece = tuple[str, int, str]  # site, number of the window, kind


class Watching:
    """The step, its parts, and what it told."""

    def __init__(
        self, reference: Reference, pieces: dict[str, Ints], policy: Policy = POLICY, partitions: int = 1
    ) -> None:
        self.references, self.pieces, self.policy = {("drawn", 1): reference}, pieces, policy
        self.state = Watched(Rounds(partitions))
        self.rows: list[dict[str, Any]] = []

    def round(self, number: int, told: Iterable[Piece] = (), partition: int = 0) -> list[dict[str, Any]]:
        content: Panes = {}
        for site, window, kind in told:
            add_panes(content, {("drawn", 1, site, window * WINDOW): self.pieces[kind]})
        part = Part(partition, number, number * self.policy.round_us, content)
        rows = watch(self.state, part, self.references, self.policy)
        self.rows += rows
        return rows

    def last(self) -> dict[tuple[str, int, str], dict[str, Any]]:
        return {
            (row["site"], row["window_start"], row["statistic"]): {k: v for k, v in row.items() if k != "revision"}
            for row in self.rows
        }

    def alarming(self) -> set[int]:
        return {start // WINDOW for (_, start, _), row in self.last().items() if row["alarming"]}


def revisions_increase(rows: Sequence[dict[str, Any]]) -> bool:
    last: dict[Any, int] = {}
    for row in rows:
        key = (row["site"], row["window_start"], row["statistic"])
        if row["revision"] <= last.get(key, -1):
            return False
        last[key] = row["revision"]
    return True


PIECES = st.tuples(
    st.sampled_from(("north", "south")), st.integers(0, 5), st.sampled_from(("calm", "drifted", "drifted", "few"))
)
ROUNDS = 16  # all six windows are closed by round 13


@settings(deadline=None, max_examples=60)
@given(
    told=st.lists(st.tuples(PIECES, st.integers(0, ROUNDS), st.integers(0, 1)), max_size=16),
    consecutive=st.integers(1, 3),
    data=st.data(),
)
def test_any_order_and_lateness_ends_with_the_same_verdicts(
    reference: Reference,
    pieces: dict[str, Ints],
    told: list[tuple[Piece, int, int]],
    consecutive: int,
    data: st.DataObject,
) -> None:
    policy = Policy(
        window_us=1000, grace_us=200, round_us=500, horizon_us=10**9, alpha=0.01, consecutive=consecutive, min_rows=40
    )
    punctual = Watching(reference, pieces, policy)
    punctual.round(0, [piece for piece, _, _ in told])
    punctual.round(ROUNDS)

    late = Watching(reference, pieces, policy, partitions=2)
    queues = [[(number, p) for number in range(ROUNDS + 1)] for p in (0, 1)]
    while any(queues):
        number, p = data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0)
        late.round(number, [piece for piece, when, where in told if (when, where) == (number, p)], p)
    assert late.last() == punctual.last()
    assert revisions_increase(late.rows)


def test_a_window_is_judged_once_it_is_closed_and_the_grace_is_over(
    reference: Reference, pieces: dict[str, Ints]
) -> None:
    watching = Watching(reference, pieces)
    assert watching.round(0, [("north", 0, "calm")]) == []
    assert watching.round(2) == []  # 1,000: its end, but not the grace after it
    rows = watching.round(3)
    assert {row["window_start"] for row in rows} == {0}
    assert {row["statistic"] for row in rows} == {"prediction_mix", "confidence", "embedding_mean"}
    assert {(row["revision"], row["rows"], row["exceeds"], row["alarming"]) for row in rows} == {(0, 40, False, False)}
    assert watching.round(4) == []
    tabulate(DRIFT, rows).validate(full=True)


def test_two_windows_in_a_row_alarm_and_a_calm_one_ends_it(reference: Reference, pieces: dict[str, Ints]) -> None:
    watching = Watching(reference, pieces)
    watching.round(0, [("north", number, "drifted") for number in (0, 1, 2, 4)] + [("north", 3, "calm")])
    watching.round(20)
    assert watching.alarming() == {1, 2}


def test_late_rows_amend_their_window_and_the_alarms_that_follow_from_it(
    reference: Reference, pieces: dict[str, Ints]
) -> None:
    watching = Watching(reference, pieces)
    watching.round(0, [("north", 1, "drifted")])
    watching.round(10)
    assert watching.alarming() == set()
    rows = watching.round(11, [("north", 0, "drifted")])
    assert watching.alarming() == {1}
    assert {(row["window_start"], row["revision"]) for row in rows} == {(0, 0), (WINDOW, 1)}
    rows = watching.round(12, [("north", 0, "calm")] * 200)
    assert {row["rows"] for row in rows if row["window_start"] == 0} == {8040}


def test_too_few_rows_say_nothing(reference: Reference, pieces: dict[str, Ints]) -> None:
    watching = Watching(reference, pieces)
    watching.round(0, [("north", 0, "few")])
    assert watching.round(10) == []
    assert len(watching.round(11, [("north", 0, "few")] * 3)) == 3


SHORT = Policy(window_us=1000, grace_us=200, round_us=500, horizon_us=4000, alpha=0.01, consecutive=2, min_rows=40)


def test_what_is_older_than_the_horizon_is_forgotten_and_not_counted_again(
    reference: Reference, pieces: dict[str, Ints]
) -> None:
    watching = Watching(reference, pieces, SHORT)
    watching.round(0, [("north", number, "calm") for number in range(3)])
    watching.round(8)
    assert len(watching.state.panes) == len(watching.state.verdicts) == 3
    watching.round(10)  # 5,000: the first window ended a horizon ago
    assert {key[3] for key in watching.state.panes} == {1000, 2000}
    assert watching.round(11, [("north", 0, "drifted")]) == []
    watching.round(20)
    assert (watching.state.panes, watching.state.verdicts) == ({}, {})


@pytest.mark.parametrize("between", ["none", "few"])
def test_forgetting_a_window_takes_back_no_alarm(reference: Reference, pieces: dict[str, Ints], between: str) -> None:
    watching = Watching(reference, pieces, SHORT)
    told = [("north", 0, "drifted"), ("north", 2, "drifted")] + [("north", 1, "few")] * (between == "few")
    watching.round(0, told)
    watching.round(8)
    assert watching.alarming() == {2}
    watching.round(10)
    assert {key[3] for key in watching.state.panes} <= {1000, 2000}
    watching.round(11, [("north", 3, "calm")])  # the cohort is judged again, the others are as they were
    assert watching.alarming() == {2}
    watching.round(12, [("north", 2, "drifted")])  # amended, and it still exceeds
    assert watching.alarming() == {2}
    watching.round(13, [("north", 2, "reference")] * 20)
    assert watching.alarming() == set()


def test_a_model_that_was_taken_away_is_left_alone(reference: Reference, pieces: dict[str, Ints]) -> None:
    watching = Watching(reference, pieces)
    watching.round(0, [("north", 0, "calm")])
    watching.references = {}
    assert watching.round(20) == []
