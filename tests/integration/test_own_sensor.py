"""The page about devices, followed: its Python code runs against a real broker."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.edge_publisher.models import written
from tests.integration.mosquitto import Broker
from tests.integration.receiver import Receiver, until

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "device.md"


def test_the_sensor_of_the_page_reaches_the_server(mosquitto: Broker, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), page)
    written(tmp_path / "model")
    stop, receiver = threading.Event(), Receiver(mosquitto.port)
    arguments = (stop, mosquitto.host, mosquitto.port, tmp_path / "state", tmp_path / "model")
    thread = threading.Thread(target=page["run"], args=arguments)
    thread.start()
    try:
        until(lambda: len(receiver.seen()) >= 3)
        assert receiver.hellos[0].site == "roof"
    finally:
        stop.set()
        thread.join()
        receiver.close()
