"""Spans: from when to when cohorts are in alarm, by all evidence together."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from operators.spans import Span, spans

INTERVAL = 100.0
LIMIT, CLEAR = math.log(INTERVAL), math.log(10)
EVIDENCE = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.integers(0, 9), st.floats(-5, 12), min_size=1), min_size=1
)


def test_a_cohort_alone_is_in_alarm_from_the_limit_until_its_evidence_is_half_way_back() -> None:
    told = {"a": dict(enumerate([0.0, 3.0, 4.7, 9.0, 3.0, 2.2, 1.0]))}
    assert spans(told, [0], INTERVAL, CLEAR, {}) == {"a": [Span(2, 5, 4.7, LIMIT)]}


def test_more_cohorts_need_more_evidence_unless_they_move_together() -> None:
    began = [0, 0, 0, 0]
    alone = {"a": {0: LIMIT + 1.0}}
    assert spans(alone, began, INTERVAL, CLEAR, {}) == {"a": []}
    together = {name: {0: LIMIT + 0.5} for name in "abc"}
    assert [len(found) for found in spans(together, began, INTERVAL, CLEAR, {}).values()] == [1, 1, 1]


def test_a_window_without_rows_leaves_an_alarm_as_it_is() -> None:
    told = {"a": {0: 6.0, 9: 0.0}, "b": {5: 0.0}}
    assert spans(told, [0, 5], INTERVAL, CLEAR, {})["a"] == [Span(0, 9, 6.0, LIMIT + math.log(2))]


def test_a_span_from_before_lasts_until_it_is_cleared() -> None:
    lasting = {"a": Span(-7, None, 8.0, 5.0)}
    assert spans({}, [-9], INTERVAL, CLEAR, lasting) == {"a": [lasting["a"]]}
    assert spans({"a": {3: 1.0}}, [-9], INTERVAL, CLEAR, lasting) == {"a": [Span(-7, 3, 8.0, 5.0)]}


@given(EVIDENCE)
def test_no_alarm_has_less_evidence_than_it_needed(told: dict[str, dict[int, float]]) -> None:
    began = sorted(min(each) for each in told.values())
    for name, found in spans(told, began, INTERVAL, CLEAR, {}).items():
        for span in found:
            last = max(start for start in told[name] if start <= span.raised)
            assert told[name][last] == span.log_e >= span.log_needed - 1e-9
            assert span.log_needed >= LIMIT - 1e-9
            assert span.cleared is None or told[name][span.cleared] <= CLEAR
        assert all(a.cleared is not None and a.cleared < b.raised for a, b in itertools.pairwise(found))


@given(EVIDENCE)
def test_the_order_in_which_evidence_is_told_does_not_matter(told: dict[str, dict[int, float]]) -> None:
    began = sorted(min(each) for each in told.values())
    backwards = {name: dict(reversed(each.items())) for name, each in reversed(told.items())}
    assert spans(told, began, INTERVAL, CLEAR, {}) == spans(backwards, began, INTERVAL, CLEAR, {})
