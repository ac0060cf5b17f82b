"""The commands on drift over what the service itself wrote: a device changes, is found, named, and can be blessed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.log import LogWriter, Message
from schemas.embedding import Codec, encode
from schemas.envelope import seal
from schemas.topics import Up, up_topic
from schemas.wire import Columns, Header
from schemas.wire import encode as encode_message
from schemas.wire_pb2 import Hello
from tests.factories import STREAM
from tests.integration.service import WAIT_S, ask, command, drain
from tests.operators.references import DIMS, draw_rows
from tests.pipelines import drifting
from tests.pipelines.drifting import BAD, CHANGE, EACH, FLEET, SETTINGS, START, WINDOW_US, WINDOWS

pytestmark = pytest.mark.integration

MINUTE = 60_000_000
QUICK = (*SETTINGS, "log.partitions=2", "flow.epoch=0.5", "drift.by=site,site/device")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after the service has read the log of such a fleet to its end."""
    folder = tmp_path_factory.mktemp("service")
    drifting.write_bundle(folder / "models" / "drawn-1")
    with LogWriter(folder / "log", 2) as log:
        log.append([Message(up_topic(device, Up.HELLO), _hello(device)) for device in FLEET], START - MINUTE)
        for window in range(WINDOWS):
            end = START + (window + 1) * WINDOW_US
            log.append([_message(device, place, window) for place, device in enumerate(FLEET)], end)
            for minute in range(1, 10):
                log.tick(end + minute * MINUTE)
    drain(folder, *QUICK)
    return folder


def _hello(device: str) -> bytes:
    hardware = "pi-5" if device == BAD else "pi-4"
    hello = Hello(schema=1, stream=STREAM, next_seq=0, device_time=START, site=FLEET[device], hardware=hardware)
    hello.attributes["lens"] = "wide" if device in (BAD, "cam-2") else "tele"
    return seal(hello)


def _message(device: str, place: int, window: int) -> Message:
    rows = draw_rows(EACH, seed=1000 + window * 100 + place)
    if device == BAD and window >= CHANGE:
        rows = drifting.changed(rows)
    codes, scale = encode(rows.embeddings, Codec.F32)
    header = Header(
        stream=STREAM,
        first_seq=window * EACH,
        count=EACH,
        device_time_us=START + window * WINDOW_US,
        model="drawn",
        model_version=1,
        site=FLEET[device],
        top_k=2,
        codec=Codec.F32,
        dims=DIMS,
    )
    best = rows.class_id.astype(np.uint16)
    columns = Columns(
        device_time_delta_us=(np.arange(EACH) * (WINDOW_US // EACH)).astype(np.int32),
        class_ids=np.stack([best, (best + 1) % 5], axis=1).ravel(),
        scores=np.stack([rows.confidence, rows.second], axis=1).ravel(),
        entropy=rows.entropy,
        embedding=codes,
        embedding_scale=scale,
        sample_digest=b"".join(f"{device}/{window * EACH + at:024d}".encode().ljust(32) for at in range(EACH)),
        sample_bytes=np.full(EACH, 10, np.uint32),
        latency_us=np.full(EACH, 900, np.uint32),
    )
    return Message(up_topic(device, Up.INFERENCES), encode_message(header, columns))


def gleaner(data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    name, *arguments = words
    return subprocess.run(
        command(data, name, *arguments, settings=QUICK), capture_output=True, text=True, timeout=WAIT_S
    )


def told(data: Path, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gleaner(data, *words, "--json").stdout.splitlines()]


def test_the_site_and_the_device_are_in_alarm_and_nobody_else(data: Path) -> None:
    done = gleaner(data, "drift")
    assert (done.returncode, done.stderr) == (1, "")
    alarming = {(each["level"], each["cohort"]) for each in told(data, "drift") if each["alarms"]}
    assert alarming == {("site", "north"), ("site/device", f"north/{BAD}")}
    assert {each["cause"] for each in told(data, "drift", "alarms")} <= {
        each["alarm_id"] for each in told(data, "drift", "alarms")
    }


def test_the_explanation_names_the_device_its_hardware_and_its_lens(data: Path) -> None:
    [alarm] = [each for each in told(data, "drift", "alarms") if each["cohort"] == "north"]
    [found] = told(data, "drift", "explain", alarm["alarm_id"])
    carry = {level: [each["name"] for each in parts if each["carries"]] for level, parts in found["parts"].items()}
    assert (carry["device"], carry["hardware"], carry["attributes.lens"]) == ([BAD], ["pi-5"], ["wide"])
    assert {each["device"] for each in found["examples"]} == {BAD}
    for parts in found["parts"].values():
        assert sum(each["events"] for each in parts) == found["events_since"]


def test_the_lake_is_sound_and_its_windows_hold_each_row_once(data: Path) -> None:
    assert gleaner(data, "verify").returncode == 0
    sums = ask(data / "lake", "select level, sum(rows)::bigint from current_windows group by level order by level")
    assert sums == [("site", len(FLEET) * EACH * WINDOWS), ("site/device", len(FLEET) * EACH * WINDOWS)]


def test_a_reference_that_was_blessed_is_taken_at_the_next_start(data: Path) -> None:
    healthy = ("--from", f"-{WINDOWS * 10}m", "--to", f"-{(WINDOWS - CHANGE + 1) * 10}m")
    done = gleaner(data, "drift", "rebase", "--model", "drawn", "--version", "1", *healthy, "--yes")
    assert done.returncode == 0, done.stderr
    assert (data / "references" / "drawn-1.parquet").exists()
    with LogWriter(data / "log", 2) as log:
        log.tick(START + (WINDOWS + 2) * WINDOW_US)
    drain(data, *QUICK)
    [alarm] = [each for each in told(data, "drift", "alarms", "--open") if each["cohort"] == "north"]
    [found] = told(data, "drift", "explain", alarm["alarm_id"])
    assert found["compared_with"].startswith("windows of production that were blessed for the whole model")
    assert [each["name"] for each in found["parts"]["device"] if each["carries"]] == [BAD]
