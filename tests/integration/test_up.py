"""`gleaner up` as an operator leaves it running: its services die and come back, and end with it."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.mosquitto import Broker
from tests.integration.service import WAIT_S, service, stop, until

pytestmark = pytest.mark.integration


def _children(process: int) -> dict[str, psutil.Process]:
    """The services by their name."""
    return {child.cmdline()[-1]: child for child in psutil.Process(process).children()}


@pytest.fixture
def settings(mosquitto: Broker) -> tuple[str, ...]:
    return (f"mqtt.port={mosquitto.port}", "flow.epoch=0.2", "log.tick=0.1")


def _running(data: Path, times: int) -> bool:
    text = (data / "up.log").read_text()
    return text.count("event=running") >= times and text.count("event=connected") >= 1


def test_a_service_that_is_killed_comes_back_and_sigterm_ends_all_cleanly(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    with service(data, "up", settings=settings) as process:
        until(lambda: _running(data, 1), "both services run")
        first = _children(process.pid)["run"]
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: _running(data, 2), "the dataflow runs again")
        second = _children(process.pid)
        assert set(second) == {"ingest", "run"}
        assert second["run"].pid != first.pid
        assert stop(process, signal.SIGTERM) == 0
        assert not [child for child in second.values() if child.is_running()]
    assert "clean=true" in (data / "up.log").read_text()


def test_signals_that_come_by_the_dozen_end_all_cleanly(tmp_path: Path, settings: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    with service(data, "up", settings=settings) as process:
        until(lambda: _running(data, 1), "both services run")
        services = list(_children(process.pid).values())
        for _ in range(200):
            for each in (process.pid, *(child.pid for child in services)):
                with suppress(ProcessLookupError):  # it has ended already
                    os.kill(each, signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert not [child for child in services if child.is_running()]
    assert "clean=true" in (data / "up.log").read_text()


def test_no_service_outlives_a_supervisor_that_is_killed(tmp_path: Path, settings: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    with service(data, "up", settings=settings) as process:
        until(lambda: _running(data, 1), "both services run")
        services = list(_children(process.pid).values())
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    _, alive = psutil.wait_procs(services, timeout=WAIT_S)
    assert not alive
