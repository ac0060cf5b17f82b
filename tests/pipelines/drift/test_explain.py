"""What an alarm is about: the one device that changed is named, by whatever can name it, and nobody else."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.cohorts import levels
from operators.panes import layout_of
from operators.tabulate import tabulate
from operators.watch import basis_of
from operators.windows import Counted, Counting, count_rows
from pipelines.drift.comparison import comparison_of
from pipelines.drift.drill import Drill, spread_before
from pipelines.drift.examples import MOST, Examples, gains_of
from pipelines.drift.explain import Explanation, explain, grown_places
from pipelines.drift.history import history_of, start_before
from pipelines.drift.rows import cohort_rows, hellos
from pipelines.references import References
from pipelines.views import connect
from schemas.errors import InputError
from schemas.tables import INFERENCES
from tests.pipelines import drifting
from tests.pipelines.drifting import BAD, CHANGE, EACH, FLEET, START, WINDOW_US, WINDOWS, Drifted, made
from tests.pipelines.lakes import alarm, at, inference, lake, sample, window

NORTH = ("drawn", 1, "site", "north")
END = START + WINDOWS * WINDOW_US


@pytest.fixture(scope="module")
def explained(drifted: Drifted) -> Explanation:
    [raised] = {row["alarm_id"] for row in drifted.alarms}
    with connect(drifted.root) as connection:
        return explain(connection, raised[:6], drifted.references, drifted.policy)


def test_it_began_about_when_the_world_changed(explained: Explanation) -> None:
    began = START + CHANGE * WINDOW_US
    assert abs(explained.alarm["since"] - at(began)) <= timedelta(microseconds=WINDOW_US)
    assert explained.until == at(END)
    since = [place for place in range(WINDOWS) if at(START + place * WINDOW_US) >= explained.alarm["since"]]
    assert explained.events <= explained.rows == len(since) * EACH * 4


def test_the_parts_that_carry_it_are_those_of_the_device_that_changed(explained: Explanation) -> None:
    carry = {level: [each.name for each in pieces if each.carries] for level, pieces in explained.pieces.items()}
    assert carry["device"] == [BAD]
    assert carry["hardware"] == ["pi-5"]
    assert carry["attributes.lens"] == ["wide"]
    assert set(carry) == {"device", "hardware", "attributes.lens", "class"}
    first = explained.pieces["device"][0]
    assert first.events == EACH * (WINDOWS - CHANGE) + EACH * (first.events > EACH * (WINDOWS - CHANGE))
    assert first.grown > 0.8
    assert all(each.grown < 0.4 for each in explained.pieces["device"][1:])


def test_each_level_counts_every_event_once(explained: Explanation) -> None:
    for pieces in explained.pieces.values():
        assert sum(each.events for each in pieces) == explained.events


def test_the_examples_are_rows_of_that_device_that_look_as_what_grew(explained: Explanation) -> None:
    assert len(explained.examples) == MOST
    assert {each.device for each in explained.examples} == {BAD}
    assert all(each.time >= explained.alarm["since"] and each.confidence < 0.75 for each in explained.examples)
    scores = [each.score for each in explained.examples]
    assert scores == sorted(scores, reverse=True)
    assert len({(each.stream, each.seq) for each in explained.examples}) == MOST


def test_it_is_told_whether_the_raw_sample_of_an_example_is_here(drifted: Drifted, tmp_path: Path) -> None:
    found = explain(connect(drifted.root), drifted.alarms[0]["alarm_id"], drifted.references, drifted.policy)
    first = found.examples[3]
    have = sample(first.seq, device=first.device, stream=first.stream, model="drawn", model_version=1)
    other = sample(found.examples[4].seq, device="cam-9", stream=first.stream, request_id="other")
    root = lake(tmp_path, {"samples": [have, other]})
    for folder in drifted.root.iterdir():
        if folder.name not in ("samples", "_gleaner", "_incoming"):
            (root / folder.name).symlink_to(folder)
    again = explain(connect(root), drifted.alarms[0]["alarm_id"], drifted.references, drifted.policy)
    assert [e.seq for e in again.examples] == [e.seq for e in found.examples]
    assert (found.held, again.held) == ([False] * MOST, [False] * 3 + [True] + [False] * 6)


def test_what_is_compared_with_is_told(drifted: Drifted, asked: duckdb.DuckDBPyConnection) -> None:
    told = comparison_of(asked, NORTH, drifted.references, drifted.policy)
    assert told.source.startswith("the 2,000 validation rows of its bundle")
    basis = basis_of(NORTH, drifted.references, drifted.policy)
    assert basis.given is not None
    place = told.layout.at["confidence"]
    own = slice(place.start - 2, place.stop - 2)
    assert np.array_equal(told.judge.stack[own], basis.given[own])


def test_a_cohort_without_a_reference_is_compared_with_its_own_first_windows(tmp_path: Path) -> None:
    unknown = made(tmp_path, known=False)
    assert {row["cohort"] for row in unknown.alarms} == {"north"}
    with connect(unknown.root) as connection:
        found = explain(connection, unknown.alarms[0]["alarm_id"], unknown.references, unknown.policy)
        compared, history = found.compared, history_of(connection, NORTH, len(found.history.panes[0]))  # type: ignore[union-attr]
    assert compared is not None
    assert compared.source == "the cohort's own first 500 events, since there is no bundle of the model"
    first = int(np.searchsorted(np.cumsum(history.events), 500)) + 1
    assert np.array_equal(compared.judge.stack, history.panes[:first, compared.layout.stack].sum(axis=0))
    assert [each.name for each in found.pieces["device"] if each.carries] == [BAD]
    assert np.isnan(history.accuracy).all()


# histories and rows


def test_a_history_holds_the_windows_between_two_times(drifted: Drifted, asked: duckdb.DuckDBPyConnection) -> None:
    width = comparison_of(asked, NORTH, drifted.references, drifted.policy).layout.width
    every = history_of(asked, NORTH, width)
    assert every.starts.tolist() == [START + place * WINDOW_US for place in range(WINDOWS)]
    assert (every.ends - every.starts).tolist() == [WINDOW_US] * WINDOWS
    assert every.panes[:, 0].tolist() == every.rows.tolist() == [4 * EACH] * WINDOWS
    assert every.panes[:, 1].tolist() == every.events.tolist()
    some = history_of(asked, NORTH, width, at(START + WINDOW_US + 1), at(START + 5 * WINDOW_US))
    assert some.starts.tolist() == every.starts[2:5].tolist()
    assert start_before(asked, NORTH, at(START + 5 * WINDOW_US), 3) == at(START + 2 * WINDOW_US)
    assert start_before(asked, NORTH, at(START + 5 * WINDOW_US), 99) == at(START)
    assert start_before(asked, NORTH, at(START), 3) == at(START)


def test_windows_that_were_counted_in_other_bins_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    connection = connect(lake(tmp_path, {"windows": [window(0, counts=[1, 2, 3])]}))
    with pytest.raises(InputError, match="models folder"):
        history_of(connection, ("digits", 3, "site", "north"), 4)


@pytest.mark.parametrize("level", ["fleet", "site", "device/site", "class", "hardware", "attributes.lens", "agent"])
def test_the_rows_of_a_cohort_are_those_that_the_dataflow_counted_for_it(level: str, drifted: Drifted) -> None:
    known = hellos(connect(drifted.root))
    counting = Counting(scales=drifted.references.scales, levels=levels([level]), window_us=1 << 62)
    batch = _carried(drifted.rows)
    panes = count_rows(Counted(known=known), batch, counting)
    with connect(drifted.root) as connection:
        for (model, version, _, name, _), pane in panes.items():
            cohort = (model, version, level, name)
            rows = list(cohort_rows(connection, cohort, at(START), at(END)))
            assert sum(each.num_rows for each in rows) == pane[0]
            assert all(each.schema == INFERENCES.schema for each in rows)
            again = count_rows(Counted(known=known), pa.concat_batches([_plain(each) for each in rows]), counting)
            assert list(again) == [(model, version, level, name, 0)]


def _carried(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return tabulate(INFERENCES, rows)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    return tabulate(INFERENCES, batch.to_pylist())


def test_rows_of_other_times_models_and_versions_are_left_out(tmp_path: Path) -> None:
    rows = [inference(seq) for seq in range(10)]
    rows += [inference(3, model="other"), inference(3, model_version=4), inference(3, site="south")]
    connection = connect(lake(tmp_path, {"inferences": rows}))
    cohort = ("digits", 3, "site", "north")
    minute = timedelta(minutes=1)
    noon = rows[0]["time"]
    found = list(cohort_rows(connection, cohort, at(noon) + 2 * minute, at(noon) + 5 * minute))
    assert [row for batch in found for row in batch["seq"].to_pylist()] == [2, 3, 4]
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert list(cohort_rows(connection, cohort, later, later + minute)) == []


# laws: the same in whatever batches and order


cuts = st.lists(st.integers(1, 599), max_size=6, unique=True).map(sorted)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=cuts, seed=st.integers(0, 99))
def test_parts_and_examples_are_the_same_in_whatever_batches_rows_come(
    cuts: list[int], seed: int, drifted: Drifted, asked: duckdb.DuckDBPyConnection
) -> None:
    compared = comparison_of(asked, NORTH, drifted.references, drifted.policy)
    history = history_of(asked, NORTH, compared.layout.width)
    rows = [row for row in drifted.rows if row["site"] == "north"][-600:]
    observed = history.panes[-6:, compared.layout.stack].sum(axis=0)
    names = frozenset(["margin", "confidence"])
    gains = gains_of(compared.scale, names, compared.judge.stack, observed, compared.layout.width)
    spread = spread_before(compared, history, START + CHANGE * WINDOW_US)

    def looked(batches: list[list[dict[str, Any]]]) -> Any:
        drill, examples = Drill(compared, hellos(asked)), Examples(compared.scale, gains)
        for batch in batches:
            drill.add(_carried(batch))
            examples.add(_carried(batch))
        return drill.found(spread, [0, 1]), examples.found()

    edges = [0, *cuts, len(rows)]
    batches = [rows[a:b] for a, b in pairwise(edges)]
    np.random.default_rng(seed).shuffle(batches)  # type: ignore[arg-type]
    assert looked(batches) == looked([rows])


def test_what_a_row_gains_is_how_much_more_often_its_bins_are_seen(
    drifted: Drifted, asked: duckdb.DuckDBPyConnection
) -> None:
    compared = comparison_of(asked, NORTH, drifted.references, drifted.policy)
    place, width = compared.layout.at["confidence"], compared.layout.width
    own = slice(place.start - 2, place.stop - 2)
    expected, observed = np.zeros_like(compared.judge.stack), np.zeros_like(compared.judge.stack)
    expected[own], observed[own] = 100, 100
    observed[own.start] = 1700
    gains = gains_of(compared.scale, frozenset(["confidence", "margin"]), expected, observed, width)
    n = place.stop - place.start
    more = (1700.5 / (100 * (n - 1) + 1700 + n / 2)) / ((100.5) / (100 * n + n / 2))
    assert gains[place.start] == pytest.approx(np.log(more), rel=1e-6)
    assert (gains[place.start + 1 : place.stop] < 0).all()
    assert not np.delete(gains, np.arange(place.start, place.stop)).any()


def test_a_row_of_a_wrong_clock_is_no_example(drifted: Drifted) -> None:
    scale = drifted.references.scale("drawn", 1)
    rows = [row | {"clock_off": row["seq"] % 2 == 0} for row in drifted.rows if row["device"] == BAD][-40:]
    examples = Examples(scale, np.ones(layout_of(scale).width))
    examples.add(_carried(rows))
    assert len(examples.found()) == MOST
    assert all(each.seq % 2 == 1 for each in examples.found())


# other alarms


def test_a_silent_device_is_explained_without_windows(tmp_path: Path, drifted: Drifted) -> None:
    silent = alarm(0, level="device", cohort="cam-1", statistic="silence", events=0, e_value=1.0, needed=1.0)
    found = explain(connect(lake(tmp_path, {"alarms": [silent]})), "0", drifted.references, drifted.policy)
    assert (found.compared, found.history, found.pieces, list(found.examples)) == (None, None, {}, [])


def test_an_alarm_of_a_model_whose_bundle_is_gone_says_what_to_do(drifted: Drifted) -> None:
    with connect(drifted.root) as connection, pytest.raises(InputError, match="models folder"):
        explain(connection, drifted.alarms[0]["alarm_id"], References({}, {}), drifted.policy)


def test_the_bins_that_grew_are_found_again_by_their_names(explained: Explanation) -> None:
    compared = explained.compared
    assert compared is not None
    told = next(e for e in explained.alarm["moved"] if e["statistic"] == explained.alarm["statistic"])
    grown = grown_places(explained.alarm, compared)
    assert len(grown) == sum(each["observed"] > each["expected"] for each in told["bins"]) > 0
    assert grown_places(explained.alarm | {"moved": []}, compared) == []
    assert json.dumps(explained.alarm["moved"])


def test_the_fleet_of_these_tests_is_as_they_say() -> None:
    assert list(FLEET.values()).count("north") == 4
    assert drifting.POLICY.first_events < EACH * 4 * CHANGE
