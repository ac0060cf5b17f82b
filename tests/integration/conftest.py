from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.mosquitto import Broker, running


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A broker with its host and port."""
    with running(tmp_path / "mosquitto") as broker:
        yield broker
