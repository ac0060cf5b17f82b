"""A simulated fleet as a process of its own, a real broker, and a server that acknowledges what arrives."""

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.edge_publisher.models import written
from tests.integration.keeper import Keeper
from tests.integration.mosquitto import Broker

pytestmark = pytest.mark.integration


def fleet(tmp_path: Path, port: int) -> Path:
    written(tmp_path / "model")
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(50) % 10)
    devices = [
        {"device": "cam-1", "site": "north", "rate_hz": 40},
        {"device": "cam-2", "site": "north", "rate_hz": 40, "link": {"drop": 0.3, "duplicate": 0.3, "reorder": 0.3}},
        {"device": "cam-3", "site": "south", "rate_hz": 40, "offline": [{"from_s": 0.5, "to_s": None}]},
        {
            "device": "cam-4",
            "site": "south",
            "rate_hz": 40,
            "effects": [{"effect": "smear", "from_s": 1, "to_s": None}],
            "attributes": {"lens": "wide"},
        },
        {"device": "cam-5", "site": "south", "rate_hz": 20, "kind": "garbage"},
    ]
    settings = {
        "broker": {"host": "127.0.0.1", "port": port, "backoff_first_s": 0.05, "backoff_most_s": 0.2},
        "bundle": str(tmp_path / "model"),
        "images": str(tmp_path / "images.npz"),
        "dir": str(tmp_path / "fleet"),
        "start_at": time.time(),
        "duration_s": 2.5,
        "devices": devices,
        "batch_rows": 8,
        "batch_seconds": 0.2,
        "ack_timeout_s": 0.5,
    }
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(settings))
    return file


def test_what_the_ledgers_hold_arrives_once_or_more_and_nothing_else(mosquitto: Broker, tmp_path: Path) -> None:
    with Keeper(mosquitto.port) as keeper:
        command = [sys.executable, "-m", "edge_publisher.cli", "--quiet", "simulate", "--config"]
        child = subprocess.Popen([*command, str(fleet(tmp_path, mosquitto.port))], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        told = []
        for line in child.stdout:
            told.append(json.loads(line))
            if told[-1]["event"] == "drained":
                child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        child.stdout.close()
    assert {event["event"] for event in told[:-1]} == {"progress", "drained"}
    assert told[-1]["event"] == "end"
    ledger: dict[str, dict[int, str]] = defaultdict(dict)
    for file in (tmp_path / "fleet" / "ledger").iterdir():
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            assert entry["seq"] not in ledger[entry["device"]]
            ledger[entry["device"]][entry["seq"]] = entry["digest"]
    assert sorted(ledger) == ["cam-1", "cam-2", "cam-3", "cam-4"]
    assert keeper.rows == ledger
    assert (keeper.attributes["cam-1"], keeper.attributes["cam-4"]) == ({}, {"lens": "wide"})
    ends = {device["device"]: device for device in told[-1]["devices"]}
    assert {name: ends[name]["accepted"] for name in ledger} == {name: len(rows) for name, rows in ledger.items()}
    assert all(device["outbox_left"] == 0 for device in ends.values())
    assert ends["cam-2"]["resent_batches"] > 0
    assert keeper.refused["cam-5"] > 0
    assert keeper.wrong_topics > 0
    assert told[0]["event"] == "progress"
    assert min(len(rows) for rows in ledger.values()) > 30
