"""Metrics: every fate of a row is counted, and served where the settings say."""

import socket
import urllib.request

import pytest
from prometheus_client import REGISTRY

from operators.decode import decode
from operators.dedup import Unique, dedup
from operators.streams import Streams
from pipelines import metrics
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


def test_the_newest_window_decides_whether_a_site_alarms() -> None:
    row = {"model": "digits", "site": "north", "statistic": "confidence"}
    metrics.drifting([row | {"window_start": 2, "alarming": True}, row | {"window_start": 1, "alarming": False}])
    assert value("gleaner_alarming", **row) == 1
    metrics.drifting([row | {"window_start": 3, "alarming": False}])
    assert value("gleaner_alarming", **row) == 0


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
