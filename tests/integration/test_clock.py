"""A server's clock that once was far ahead: rows are taken, and ingest says that decisions wait."""

import time
from pathlib import Path

import pytest

from pipelines.log import LogReader, LogWriter
from tests.integration.mosquitto import Broker
from tests.integration.service import service, until

pytestmark = pytest.mark.integration

DAY_US = 86_400_000_000


def test_log_time_never_goes_back_and_ingest_says_so(tmp_path: Path, mosquitto: Broker) -> None:
    data = tmp_path / "data"
    ahead = time.time_ns() // 1000 + DAY_US
    with LogWriter(data / "log", 4) as writer:
        writer.tick(ahead)
    with service(data, "ingest", settings=(f"mqtt.port={mosquitto.port}", "log.tick=0.1")):
        until(lambda: "the clock is behind the log" in (data / "ingest.log").read_text(), "ingest says so")
        until(lambda: LogReader(data / "log", 0).end() > 3, "ticks are written")
    batches, _ = LogReader(data / "log", 0).read(0, 100, 1 << 20)
    assert {records.tick_us for records in batches} == {ahead}
    assert (data / "ingest.log").read_text().count("the clock is behind") == 1
