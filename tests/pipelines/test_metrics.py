"""Metrics: every fate of a row is counted, and served where the settings say."""

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from operators.decode import decode
from operators.dedup import Unique, dedup
from operators.streams import Streams
from pipelines import alarming, metrics
from pipelines.demo import world
from pipelines.demo.plan import DemoPlan
from pipelines.demo.view import LineView
from pipelines.settings import Metrics
from schemas.envelope import seal
from schemas.errors import SettingsError
from schemas.topics import Up
from schemas.wire_pb2 import Gap, Gaps
from tests import factories
from tests.factories import Message, inferences


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def unique(streams: Streams, *messages: Message) -> Unique:
    return dedup(streams, decode(factories.log(messages), {}))


def test_rows_duplicates_gaps_and_rejects_are_counted() -> None:
    names = {
        "gleaner_inferences_total": 5.0,
        "gleaner_duplicates_total": 2.0,
        "gleaner_gaps_total": 1.0,
        "gleaner_deferred_total": 0.0,
        "gleaner_forks_total": 0.0,
    }
    before = {name: value(name) for name in names}
    refused = value("gleaner_rejects_total", reason="crc_mismatch")
    gaps = seal(Gaps(schema=1, stream=factories.STREAM, gaps=[Gap(first_seq=5, last_seq=9, reason="outbox_full")]))
    batch = unique(
        {},
        inferences(count=2),
        inferences(count=2),
        inferences(first_seq=2, count=3),
        ("cam-1", Up.GAPS, gaps),
        ("cam-1", Up.INFERENCES, b"not a message at all"),
    )
    assert metrics.counted(batch) is batch
    assert {name: value(name) - before[name] for name in names} == names
    assert value("gleaner_rejects_total", reason="crc_mismatch") - refused == 1


def test_rows_too_far_out_of_order_are_counted() -> None:
    before = value("gleaner_deferred_total")
    metrics.counted(unique({}, *(inferences(first_seq=4 * place + 2) for place in range(66))))
    assert value("gleaner_deferred_total") - before == 4  # 64 holes are kept, the rows of two messages come later


COHORT = {"model": "digits", "model_version": "1", "level": "site", "cohort": "north"}


def turn(state: str, alarm_id: str = "a", cohort: str = "north") -> dict[str, Any]:
    """A row of `alarms`, as far as metrics look at it."""
    return COHORT | {"model_version": 1, "cohort": cohort, "state": state, "alarm_id": alarm_id}


def window(start: int, e_value: float | None, revision: int = 0) -> dict[str, Any]:
    """A row of `windows`, as far as metrics look at it."""
    return COHORT | {"model_version": 1, "window_start": start, "revision": revision, "e_value": e_value}


@pytest.fixture
def _no_alarms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for gauge in (alarming.ALARMING, alarming.E_VALUE):
        gauge.clear()
    monkeypatch.setattr(metrics, "_SHOWN", alarming.Alarming())
    yield
    for gauge in (alarming.ALARMING, alarming.E_VALUE):
        gauge.clear()


@pytest.mark.usefixtures("_no_alarms")
def test_a_cohort_alarms_while_one_of_its_alarms_stands() -> None:
    for turns, told in (
        ([turn("raised", "a")], 1),
        ([turn("confirmed", "a"), turn("raised", "b")], 1),
        ([turn("cleared", "a")], 1),
        ([turn("retracted", "b")], 0),
        ([turn("raised", "c"), turn("cleared", "c")], 0),
    ):
        metrics.alarmed(turns)
        assert value("gleaner_alarming", **COHORT) == told


@pytest.mark.usefixtures("_no_alarms")
def test_each_change_is_counted_and_an_alarm_that_stood_at_the_start_is_not() -> None:
    states = ("raised", "confirmed", "retracted", "cleared")
    before = {state: value("gleaner_alarms_total", state=state) for state in states}
    metrics.show_alarms([turn("confirmed")])
    assert value("gleaner_alarming", **COHORT) == 1
    metrics.alarmed([turn("cleared"), turn("raised", "b"), turn("raised", "c")])
    after = {state: value("gleaner_alarms_total", state=state) - before[state] for state in states}
    assert after == {"raised": 2, "confirmed": 0, "retracted": 0, "cleared": 1}


@pytest.mark.usefixtures("_no_alarms")
def test_windows_are_counted_and_the_evidence_of_the_newest_is_shown_where_there_is_an_alarm() -> None:
    judged, amended = value("gleaner_windows_judged_total"), value("gleaner_windows_amended_total")
    metrics.judged([window(1, 5.0)])
    assert REGISTRY.get_sample_value("gleaner_e_value", COHORT) is None
    metrics.alarmed([turn("raised")])
    metrics.judged([window(3, 7.0), window(2, 6.0), window(1, 9.0, revision=1), window(4, None)])
    assert value("gleaner_e_value", **COHORT) == 7.0
    assert value("gleaner_windows_judged_total") - judged == 4
    assert value("gleaner_windows_amended_total") - amended == 1
    metrics.alarmed([turn("cleared")])
    assert REGISTRY.get_sample_value("gleaner_e_value", COHORT) is None


@pytest.mark.usefixtures("_no_alarms")
def test_however_many_cohorts_there_are_the_gauges_are_bounded_and_keep_those_that_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alarming, "MOST_COHORTS", 10)
    metrics.alarmed([turn("raised", cohort=f"bad-{number}") for number in range(4)])
    for number in range(50):
        metrics.alarmed([turn("raised", cohort=f"site-{number}"), turn("cleared", cohort=f"site-{number}")])
    [family] = alarming.ALARMING.collect()
    shown = {sample.labels["cohort"]: sample.value for sample in family.samples}
    assert shown == {f"bad-{number}": 1.0 for number in range(4)} | {f"site-{n}": 0.0 for n in range(44, 50)}
    metrics.alarmed([turn("raised", cohort=f"new-{number}") for number in range(50)])
    [family] = alarming.ALARMING.collect()
    assert {sample.labels["cohort"] for sample in family.samples} == {f"new-{number}" for number in range(40, 50)}


@pytest.mark.usefixtures("_no_alarms")
def test_the_demo_shows_the_sites_that_alarm(unused_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.serve(Metrics(), unused_port)
    metrics.alarmed([turn("raised", cohort="orchard"), turn("raised", cohort="mill"), turn("cleared", cohort="mill")])
    metrics.alarmed([turn("raised", cohort="harbour/cam-1") | {"level": "site/device"}])
    plan = DemoPlan(seed=1, devices=1, duration_s=10, folder=Path(), lake=Path(), broker="auto")
    LineView(plan).show(0, {}, world._metrics(unused_port))
    assert capsys.readouterr().err.endswith("; orchard ALARM\n")


def test_metrics_are_served_on_loopback(unused_port: int) -> None:
    metrics.serve(Metrics(), unused_port)
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "gleaner_inferences_total" in text


def test_port_0_serves_nothing() -> None:
    metrics.serve(Metrics(host="host.invalid"), 0)


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}: .*choose another port, or 0"):
            metrics.serve(Metrics(), port)
