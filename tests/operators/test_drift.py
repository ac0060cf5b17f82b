"""Findings and alarms: which windows are judged, and what makes an alarm."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.drift import alarms, compared, evaluate
from operators.panes import panes
from operators.reference import Reference
from operators.statistics import Statistic
from tests.operators.drawn import Rows, draw_rows, reference_of

ALPHA = 0.005


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(draw_rows(450))


def pane(reference: Reference, rows: Rows) -> NDArray[np.int64]:
    group = np.zeros(len(rows.class_id), np.int32)
    return panes(reference, group, 1, rows.class_id, rows.confidence, rows.embeddings)[0]


@settings(deadline=None)
@given(exceeds=st.lists(st.booleans(), max_size=30), consecutive=st.integers(1, 4))
def test_a_window_alarms_when_it_and_those_before_it_exceed(exceeds: list[bool], consecutive: int) -> None:
    wanted = [at + 1 >= consecutive and all(exceeds[at + 1 - consecutive : at + 1]) for at, _ in enumerate(exceeds)]
    assert list(alarms(exceeds, consecutive)) == wanted


@pytest.mark.parametrize("statistic", Statistic)
def test_each_statistic_finds_the_change_it_is_for(reference: Reference, statistic: Statistic) -> None:
    rows = draw_rows(200, seed=5)
    changed = {
        Statistic.PREDICTION_MIX: replace(rows, class_id=np.full(200, 3)),
        Statistic.CONFIDENCE: replace(rows, confidence=rows.confidence**4),
        Statistic.EMBEDDING_MEAN: replace(rows, embeddings=rows.embeddings * np.float32(0.4)),
    }[statistic]
    (findings,) = evaluate(reference, pane(reference, changed), ALPHA, min_rows=50)
    assert [finding.statistic for finding in findings if finding.exceeds] == [statistic]
    assert all(finding.rows == 200 and finding.exceeds == (finding.value > finding.threshold) for finding in findings)


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_many_windows_have_exactly_the_findings_they_have_alone(reference: Reference, sizes: list[int]) -> None:
    windows = np.stack([pane(reference, draw_rows(n, seed=n)) for n in sizes])
    together = evaluate(reference, windows, ALPHA, min_rows=50)
    assert together == tuple(evaluate(reference, window, ALPHA, min_rows=50)[0] for window in windows)
    assert [len(findings) for findings in together] == [3 if n >= 50 else 0 for n in sizes]


def test_a_window_without_rows_is_never_judged(reference: Reference) -> None:
    assert evaluate(reference, pane(reference, draw_rows(0)), ALPHA, min_rows=0) == ((),)


def test_without_a_varying_embedding_two_statistics_remain() -> None:
    rows = draw_rows(200)
    without = reference_of(replace(rows, embeddings=np.empty((0, 0), np.float32)))
    constant = reference_of(replace(rows, embeddings=np.ones((200, 4), np.float32)))
    for reference in (without, constant):
        assert compared(reference) == (Statistic.PREDICTION_MIX, Statistic.CONFIDENCE)


def test_a_model_of_one_class_never_drifts_in_its_predictions() -> None:
    rows = replace(draw_rows(200), class_id=np.zeros(200, np.int64))
    reference = replace(reference_of(rows), labels=("only",), class_counts=np.array([200]))
    (findings,) = evaluate(reference, pane(reference, rows), ALPHA, min_rows=1)
    assert not findings[0].exceeds
    assert findings[0].value == 0
