"""Wrong input ends in a clear word: exit status 2, one line on stderr that says what to do, no traceback."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_publisher import cli as edge
from pipelines.log import LogWriter
from pipelines.views import connect
from schemas import bundle
from schemas.bundle import MODEL
from tests.edge_publisher.models import linear_model, manifest
from tests.factories import NOON
from tests.integration.mosquitto import running
from tests.integration.service import until
from tests.pipelines.commanding import QUIET, WAIT_S, Gleaner, sets, started
from tests.pipelines.lakes import inference, lake

RUN = ("run", "--drain", "--mute")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is also the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(folder: Path) -> list[str]:
    """Options for a data folder with a log, and no metrics."""
    with LogWriter(folder / "log", 4) as writer:
        writer.tick(NOON)
    return sets(f"data_dir={folder}", "flow.epoch=0.1", *QUIET)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of loopback on which somebody else listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


# no broker


def test_up_without_a_broker_says_where_it_looked(data: list[str], unused_port: int, gleaner: Gleaner) -> None:
    gleaner(*data, "--set", f"mqtt.port={unused_port}", "up").refused(f"127.0.0.1:{unused_port}", "mqtt.host/port")


@pytest.mark.parametrize("host", ["", "no such host", "host.invalid", "x" * 300, "a..b"])
def test_a_broker_that_can_not_be_named_is_said(host: str, data: list[str], gleaner: Gleaner) -> None:
    gleaner(*data, "--set", f"mqtt.host={host}", "up").refused(f"no MQTT broker at {host}:1883")


def test_something_that_is_no_broker_is_said(data: list[str], gleaner: Gleaner) -> None:
    with socket.socket() as odd:
        odd.bind(("127.0.0.1", 0))
        odd.listen(0)
        port = odd.getsockname()[1]
        odd.close()
        gleaner(*data, "--set", f"mqtt.port={port}", "up").refused(f"127.0.0.1:{port}")


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_certificates_that_can_not_be_read_are_named(
    content: str | None, folder: Path, data: list[str], gleaner: Gleaner
) -> None:
    if content:
        (folder / "ca.pem").write_text(content)
    gleaner(*data, "--set", f"mqtt.ca_file={folder}/ca.pem", "up").refused("mqtt.ca_file", "ca.pem")


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_password_file_that_can_not_be_read_is_named(command: str, data: list[str], gleaner: Gleaner) -> None:
    gleaner(*data, "--set", "mqtt.password_file=none.txt", command).refused("mqtt.password_file", "none.txt")


# ports


@pytest.mark.parametrize("command", ["ingest", "run"])
def test_a_metrics_port_that_is_taken_is_said(command: str, taken_port: int, gleaner: Gleaner) -> None:
    told = gleaner("--set", f"metrics.{command}_port={taken_port}", command)
    told.refused(f"127.0.0.1:{taken_port}", "choose another port, or 0")


# settings


def test_a_setting_that_is_not_known_is_named_wherever_it_stands(
    folder: Path, gleaner: Gleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    gleaner("--set", "drift.windw=5", "config").refused("drift.windw", "gleaner config")
    monkeypatch.setenv("GLEANER_DRIFT__WINDW", "5")
    gleaner("config").refused("drift.windw", "gleaner config")
    monkeypatch.delenv("GLEANER_DRIFT__WINDW")
    (folder / "gleaner.toml").write_text("[drift]\nwindw = 5\n")
    gleaner("config").refused("drift.windw", "gleaner config")
    gleaner("--config", "none.toml", "config").refused("none.toml", "no such settings file")


@pytest.mark.parametrize("by", ["sight", "site/site", "class/", "attributes.", "site,site"])
def test_a_cohort_that_can_not_be_is_said(by: str, data: list[str], gleaner: Gleaner) -> None:
    gleaner(*data, "--set", f"drift.by={by}", *RUN).refused("drift.by")


def test_a_second_opinion_that_nobody_has_is_said(data: list[str], gleaner: Gleaner) -> None:
    gleaner(*data, "--set", "drift.second_opinions=oracle", *RUN).refused("oracle", "adwin")


# lake and log


@pytest.mark.parametrize("command", [("sql", "select 1"), ("drift",), ("samples",)])
def test_a_lake_that_is_not_there_is_said(command: tuple[str, ...], gleaner: Gleaner) -> None:
    gleaner(*command, "--lake", "none").refused("none: no lake here", "--lake")


@pytest.mark.parametrize("setting", ["lake.path=file/lake", "lake.path=file"])
def test_a_lake_that_can_not_be_made_is_said(setting: str, folder: Path, data: list[str], gleaner: Gleaner) -> None:
    (folder / "file").touch()
    gleaner(*data, "--set", setting, *RUN).refused(setting.partition("=")[2], "can't be created")


def test_a_lake_that_must_not_be_written_is_said(folder: Path, data: list[str], gleaner: Gleaner) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "lake").mkdir(mode=0o500)
    gleaner(*data, *RUN).refused("not writable", "lake.path")


@pytest.mark.parametrize("command", ["ingest", "run"])
def test_a_data_folder_that_can_not_be_made_is_said(command: str, folder: Path, gleaner: Gleaner) -> None:
    (folder / "file").touch()
    gleaner(*sets("data_dir=file/data", *QUIET), command, *(RUN[1:] if command == "run" else ())).refused("file/data")


@pytest.mark.parametrize("command", [RUN, ("status",), ("decode", "0:1")])
def test_no_log_is_said(command: tuple[str, ...], folder: Path, gleaner: Gleaner) -> None:
    gleaner(*sets(f"data_dir={folder}", *QUIET), *command).refused("no log here", "gleaner ingest")


def test_another_number_of_partitions_is_said(data: list[str], gleaner: Gleaner) -> None:
    gleaner(*data, "--set", "log.partitions=5", "ingest").refused("created with 4 partitions", "log.partitions=4")


# bundles


def packed(folder: Path, **changes: object) -> None:
    bundle.write(folder, manifest(files={}, **changes), {MODEL: linear_model().SerializeToString()})


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"input_name": "picture"}, "picture"),
        ({"scores_output": "marks"}, "marks"),
        ({"labels": ("a", "b", "c")}, "3"),
        ({"embedding_dims": 7}, "7"),
        ({"minimum_runtime": "99.0"}, "99.0"),
    ],
)
def test_a_bundle_that_does_not_fit_its_model_is_said(
    changes: dict[str, object], word: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed(folder / "bundle", **changes)
    assert edge.main(["check-bundle", str(folder / "bundle")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert word in err
    assert "Traceback" not in err


def test_two_bundles_of_one_version_are_said(folder: Path, data: list[str], gleaner: Gleaner) -> None:
    packed(folder / "models" / "one")
    packed(folder / "models" / "two", top_k=1)
    gleaner(*data, *RUN).refused("model linear version 1 is there twice", "raise the version")


def test_a_damaged_bundle_is_said(folder: Path, data: list[str], gleaner: Gleaner) -> None:
    packed(folder / "models" / "one")
    (folder / "models" / "one" / MODEL).write_bytes(b"another model")
    gleaner(*data, *RUN).refused(f"{MODEL} is not the file that bundle.json describes")


# recovery


def test_a_recovery_folder_that_others_can_read_is_refused(folder: Path, data: list[str], gleaner: Gleaner) -> None:
    assert gleaner(*data, *RUN).status == 0
    (folder / "recovery").chmod(0o755)
    gleaner(*data, *RUN).refused("recovery", "private", "chmod 700")
    (folder / "recovery").chmod(0o700)
    assert gleaner(*data, *RUN).status == 0


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_rows_without_their_recovery_store_are_not_written_twice(
    left: str, folder: Path, data: list[str], gleaner: Gleaner
) -> None:
    lake(folder, {"inferences": [inference(0)]})
    if left == "an empty folder":
        (folder / "recovery").mkdir(mode=0o700)
    assert "event=healing" in gleaner(*data, *RUN).err
    assert connect(folder / "lake").execute("select count(*) from inferences").fetchall() == [(1,)]


def test_a_start_that_was_cut_off_before_its_recovery_store_was_there_is_made_good(
    folder: Path, data: list[str], gleaner: Gleaner
) -> None:
    (folder / "recovery").mkdir(mode=0o700)
    assert gleaner(*data, *RUN).status == 0


# two at once


def test_a_second_ingest_on_one_log_is_refused(
    folder: Path, unused_port: int, data: list[str], gleaner: Gleaner
) -> None:
    with LogWriter(folder / "log", 4):
        gleaner(*data, "--set", f"mqtt.port={unused_port}", "ingest").refused("another process writes this log")


def test_a_second_dataflow_on_one_data_folder_is_refused(folder: Path, data: list[str], gleaner: Gleaner) -> None:
    first = started("run", f"data_dir={folder}", "mqtt.port=1", "flow.epoch=0.1")
    try:
        until(lambda: (folder / "recovery").exists() or first.poll() is not None, "the first one runs")
        gleaner(*data, *RUN).refused("another process runs this dataflow")
    finally:
        first.terminate()
        first.communicate(timeout=WAIT_S)
    assert first.returncode == 0


# a broker that goes


@pytest.mark.integration
def test_a_broker_that_dies_during_ingest_is_said_and_waited_for(folder: Path, unused_port: int) -> None:
    with running(folder / "broker", port=unused_port) as broker:
        ingest = started("ingest", f"data_dir={folder}", f"mqtt.port={unused_port}")
        assert ingest.stderr is not None
        lines = [ingest.stderr.readline()]
        broker.process.terminate()
        lines.append(ingest.stderr.readline())
    assert "event=connected" in lines[0]
    assert f"no MQTT broker at 127.0.0.1:{unused_port}" in lines[1]
    assert ingest.poll() is None
    ingest.send_signal(signal.SIGTERM)
    out, err = ingest.communicate(timeout=WAIT_S)
    assert (ingest.returncode, out) == (0, "")
    assert "Traceback" not in err


# demo


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--duration", "soon"), "say seconds"),
        (("--duration", "1s"), "25s to 3600s"),
        (("--duration", "nan"), "25s to 3600s"),
        (("--broker", "pigeon"), "auto, mosquitto or embedded"),
        (("--lake", "full"), "not empty"),
        (("--lake", "full/file/lake"), "can't be created"),
        (("--lake", "s3://fleet/one"), "writes to a folder"),
    ],
)
def test_a_demo_that_can_not_be_is_said(arguments: tuple[str, ...], word: str, folder: Path, gleaner: Gleaner) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    gleaner("demo", *arguments).refused(word)


def test_mosquitto_that_is_not_installed_is_said(gleaner: Gleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin"):
        pytest.skip("mosquitto is where it is looked for besides the PATH")
    monkeypatch.setenv("PATH", "")
    gleaner("demo", "--broker", "mosquitto").refused("apt-get install mosquitto", "--broker embedded")
