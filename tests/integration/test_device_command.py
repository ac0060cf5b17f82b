"""`gleaner-edge run` as a process: real broker, a directory of images, a clean end."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_publisher import netpbm
from tests.edge_publisher.models import written
from tests.integration.mosquitto import Broker
from tests.integration.receiver import Receiver, until

pytestmark = pytest.mark.integration

CONFIG = """
device = "cam-1"
site = "north"
bundle = "model"
folder = "state"
sensor = {{ directory = "samples", rate_hz = 100 }}
broker = {{ host = "127.0.0.1", port = {port}, password_file = "secret" }}
sending = {{ batch_seconds = 0.1 }}
attributes = {{ lens = "wide" }}
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_device_sends_its_directory_and_ends_when_told(
    mosquitto: Broker, tmp_path: Path, ending: signal.Signals
) -> None:
    written(tmp_path / "model")
    (tmp_path / "samples").mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (7, 64, 64)).astype(np.uint8)):
        (tmp_path / "samples" / f"{number}.pgm").write_bytes(netpbm.write(image))
    (tmp_path / "secret").write_text("word\n")
    config = tmp_path / "device.toml"
    config.write_text(CONFIG.format(port=mosquitto.port))
    receiver = Receiver(mosquitto.port)
    command = [sys.executable, "-m", "edge_publisher.cli", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        until(lambda: set(receiver.seen()) == set(range(7)))
        child.send_signal(ending)
        _, told = child.communicate(timeout=20)
    receiver.close()
    assert child.returncode == 0
    assert dict(receiver.hellos[0].attributes) == {"lens": "wide"}
    assert "connected by MQTT 5" in told
    assert "Traceback" not in told
    assert "word" not in told
