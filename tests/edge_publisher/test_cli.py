import json
from pathlib import Path

import numpy as np
import pytest

from edge_publisher import netpbm
from edge_publisher.cli import main
from edge_publisher.outbox import Outbox
from edge_publisher.storage import MIN_BYTES
from tests.edge_publisher.models import written


def configured(tmp_path: Path, more: str = "") -> Path:
    written(tmp_path / "model")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a.pgm").write_bytes(netpbm.write(np.zeros((64, 64), np.uint8)))
    file = tmp_path / "device.toml"
    text = 'device = "cam-1"\nsite = "north"\nbundle = "model"\nfolder = "state"\n[sensor]\ndirectory = "samples"\n'
    file.write_text(text + more)
    return file


def failed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command says before it ends with 2."""
    assert main([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = [line for line in told.err.splitlines() if line.startswith("gleaner-edge: ")]
    assert len(lines) == 1
    assert "Traceback" not in told.err
    return lines[0]


def test_a_good_bundle_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "model")
    assert main(["check-bundle", str(tmp_path / "model")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"model": "linear", "version": 1, "labels": 10, "codec": "i8", "dims": 6}


def test_a_bundle_that_does_not_fit_its_model_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "model", labels=("a", "b", "c"))
    assert "scores has 10 values, but labels 3" in failed(capsys, "check-bundle", tmp_path / "model")
    assert "no such bundle" in failed(capsys, "check-bundle", tmp_path / "none")


def test_a_second_agent_on_one_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    first = Outbox(tmp_path / "state", max_bytes=MIN_BYTES)
    assert "another agent already uses this folder" in failed(capsys, "run", "--config", config)
    first.close()


def test_an_unknown_setting_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, "speed = 1\n")
    assert "unknown setting 'speed'" in failed(capsys, "run", "--config", config)
    assert "can't be read" in failed(capsys, "run", "--config", tmp_path / "none.toml")
    assert "can't be read" in failed(capsys, "simulate", "--config", tmp_path / "none.json")


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    (tmp_path / "state").write_text("a file, not a folder")
    assert "state" in failed(capsys, "run", "--config", config)


def test_damaged_state_is_an_error_that_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.sqlite3").write_bytes(b"damage" * 2000)
    assert "move the file" in failed(capsys, "run", "--config", config)
