"""Every record has one fate: holes and repeats are found wherever they hide."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.verify import verify

START = datetime(2026, 1, 1, tzinfo=UTC)
Claim = tuple[str, int, int, str]  # device, first, last, fate


def _lake(claims: list[Claim]) -> duckdb.DuckDBPyConnection:
    """A lake's view of fates; each claim is received a minute after the one before."""
    lake = duckdb.connect()
    lake.execute(
        "create table fates (device varchar, stream varchar, first_seq bigint, last_seq bigint, "
        "fate varchar, reason varchar, received timestamptz)"
    )
    for place, (device, first, last, fate) in enumerate(claims):
        received = START + timedelta(minutes=place)
        lake.execute("insert into fates values (?, 's', ?, ?, ?, 'why', ?)", [device, first, last, fate, received])
    return lake


def _spans(ranges: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(each["device"], each["first_seq"], each["last_seq"]) for each in ranges]


def test_a_whole_stream_is_sound_whatever_its_fates() -> None:
    verdict = verify(_lake([("a", 0, 0, "inference"), ("a", 1, 7, "gap"), ("a", 8, 8, "reject")]))
    assert verdict.sound
    assert (verdict.inferences, verdict.gaps, verdict.rejects) == (1, {"why": 7}, {"why": 1})


def test_a_hole_is_told_once_it_has_been_open_for_long_enough() -> None:
    lake = _lake([("a", 2, 3, "inference"), ("a", 6, 6, "inference"), ("b", 0, 0, "inference")])
    assert verify(lake).sound
    assert _spans(verify(lake, settle=timedelta(minutes=1)).holes) == [("a", 0, 1), ("a", 4, 5)]
    assert _spans(verify(lake, settle=timedelta(minutes=2)).holes) == [("a", 0, 1)]


def test_a_record_with_two_fates_is_told_at_once() -> None:
    verdict = verify(_lake([("a", 0, 9, "gap"), ("a", 4, 4, "inference"), ("a", 9, 12, "reject")]))
    assert _spans(verdict.doubled) == [("a", 4, 4), ("a", 9, 9)]
    assert not verdict.sound


@pytest.mark.parametrize(("since", "until", "holes"), [(1, None, 1), (None, 0, 0), (2, None, 0)])
def test_only_the_asked_stretch_of_time_is_judged(since: int | None, until: int | None, holes: int) -> None:
    lake = _lake([("a", 0, 0, "inference"), ("a", 2, 2, "inference"), ("a", 3, 3, "inference")])
    span = [None if at is None else START + timedelta(minutes=at) for at in (since, until)]
    assert len(verify(lake, *span, settle=timedelta(0)).holes) == holes


ranges = st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 5))


@settings(max_examples=40, deadline=None)
@given(st.lists(ranges, min_size=1, max_size=12))
def test_it_finds_what_counting_each_record_finds(drawn: list[tuple[str, int, int]]) -> None:
    claims = [(device, first, first + more, "inference") for device, first, more in drawn]
    verdict = verify(_lake(claims), settle=timedelta(0))
    for device in {claim[0] for claim in claims}:
        fates = [n for d, first, last, _ in claims if d == device for n in range(first, last + 1)]
        holes = {n for d, first, last in _spans(verdict.holes) if d == device for n in range(first, last + 1)}
        doubled = {n for d, first, last in _spans(verdict.doubled) if d == device for n in range(first, last + 1)}
        assert holes == set(range(max(fates))) - set(fates)
        assert doubled == {n for n in fates if fates.count(n) > 1}
