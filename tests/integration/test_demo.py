"""The demo as a newcomer runs it: its last line says what happened, and its exit status whether all is there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mosquitto import program

pytestmark = pytest.mark.integration

KEYS = {
    "accepted", "durable", "missing", "doubled", "duplicates_removed", "rejects", "gaps", "alarms", "drifted_sites",
    "requested", "delivered", "expired", "mistake_rate_selected", "mistake_rate_fleet", "bytes_published", "bytes_raw",
    "seconds",
}  # fmt: skip


def _demo(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipelines.cli", "demo", "--json", "--duration", "30s", *arguments]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_the_demo_finds_the_smeared_site_and_its_mistakes_and_loses_nothing(tmp_path: Path, broker: str) -> None:
    if broker == "mosquitto":
        program()
    told = _demo(tmp_path, "--broker", broker, "--seed", "3", "--lake", str(tmp_path / "lake"))
    assert told.keys() >= KEYS
    assert told["accepted"] == told["durable"] > 2000
    assert told["missing"] == told["doubled"] == told["invented"] == told["altered"] == 0
    assert told["duplicates_removed"] > 0
    assert told["rejects"].keys() >= {"crc_mismatch", "malformed", "wrong_shard"}
    assert told["drifted_sites"] == [told["smeared_site"]]
    assert all(alarm["delay_windows"] >= 1 for alarm in told["alarms"])
    assert told["requested"] == told["delivered"] + told["expired"] + told["refused"]
    assert told["delivered"] > 10
    assert told["mistake_rate_selected"] >= 3 * told["mistake_rate_fleet"] > 0
    assert told["bytes_published"] < 0.2 * told["bytes_raw"]
    assert list((tmp_path / "lake" / "samples").rglob("*.parquet"))
