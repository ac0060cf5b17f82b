"""Notices of alarms reach a real broker and a real HTTP server, over whatever befalls them and us."""

import gc
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import init_db_dir
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from benchmarks.fleet import fill, write_bundle
from operators.notices import encode
from pipelines.commands import MqttCommands
from pipelines.notifier import Notifier
from pipelines.settings import Alarms, Mqtt
from pipelines.targets import targets_of
from tests.integration.mosquitto import Broker, free_port, running
from tests.integration.service import ask, command, service, stop
from tests.pipelines.commanding import ROOT
from tests.pipelines.hooks import WAIT_S, hooked, until
from tests.pipelines.test_notifying import notice

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

TOPIC = "gleaner/v1/fleet/alarms"
NUMBERS = 150


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """Paho leaves a pair of sockets behind where `loop_start` follows `loop`: they go here, not in another's test."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly, and no proxy of this machine is asked."""
    monkeypatch.setattr("pipelines.backoff._BACKOFF_S", (0.05, 0.2))
    monkeypatch.setenv("no_proxy", "*")


class Ears:
    """A subscriber; `heard` holds (payload, retained) of each message."""

    def __init__(self, port: int, name: str, topic: str = TOPIC) -> None:
        self.heard: list[tuple[dict[str, Any], bool]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.username_pw_set(name)
        self.client.on_message = lambda _c, _d, m: self.heard.append((json.loads(m.payload), m.retain))
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert ready.wait(WAIT_S)

    def ids(self) -> list[str]:
        return [each["id"] for each, _ in tuple(self.heard)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def ears(port: int, name: str, topic: str = TOPIC) -> Iterator[Ears]:
    made = Ears(port, name, topic)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def telling(port: int, webhook: str = "", **mqtt: Any) -> Iterator[Notifier]:
    """A notifier, as the service has it."""
    commands = MqttCommands(Mqtt(port=port, **mqtt))
    notifier = Notifier(targets_of(Alarms(webhook=webhook), commands))
    try:
        yield notifier
    finally:
        notifier.close(0)
        commands.close()


def tell(notifier: Notifier, *numbers: int) -> list[str]:
    """Tell everybody of alarms with these numbers; the ids of the notices."""
    made = [notice(number) for number in numbers]
    for each in made:
        notifier.tell(each["id"], encode(each), notifier.targets)
    return [each["id"] for each in made]


def outcome(target: str, name: str) -> float:
    return REGISTRY.get_sample_value("gleaner_notices_total", {"target": target, "outcome": name}) or 0.0


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_topic_is_told_once_in_order_and_nothing_is_retained(mosquitto: Broker, protocol: str) -> None:
    before = outcome("mqtt", "told")
    with ears(mosquitto.port, "ops") as ops, telling(mosquitto.port, protocol=protocol) as notifier:
        ids = tell(notifier, *range(20))
        notifier.close(WAIT_S)
        until(lambda: len(ops.heard) >= 20)
        assert ops.ids() == ids
        assert outcome("mqtt", "told") - before == 20
    with ears(mosquitto.port, "late") as late, telling(mosquitto.port) as notifier:
        ids = tell(notifier, 99)
        until(lambda: late.heard)
        assert (late.ids(), late.heard[0][1]) == (ids, False)


def test_a_webhook_that_fails_then_is_down_then_answers_is_told_everything_in_order(mosquitto: Broker) -> None:
    with ears(mosquitto.port, "ops") as ops:
        with hooked() as hook, telling(mosquitto.port, hook.url) as notifier:
            hook.status, port = 503, hook.port
            ids = tell(notifier, 1, 2, 3)
            until(lambda: len(hook.heard) >= 2)
            until(lambda: ops.ids() == ids)  # nobody who is away holds up the others
            hook.close()
            ids += tell(notifier, 4)
            until(lambda: ops.ids() == ids)
            assert notifier.untold(ids[0]) == ("webhook",)
            with hooked(port) as again:
                until(lambda: len(again.taken()) == 4)
                assert [each["id"] for each in again.taken()] == ids
            until(lambda: not notifier.untold(ids[3]))
        assert ops.ids() == ids


def test_a_broker_that_comes_late_and_goes_and_comes_gets_everything(tmp_path: Path) -> None:
    port = free_port()
    with telling(port, session_expiry=60) as notifier:
        ids = tell(notifier, 1, 2)
        with running(tmp_path / "first", port=port), ears(port, "ops") as ops:
            until(lambda: ops.ids() == ids)
        ids += tell(notifier, 3, 4)
        with running(tmp_path / "second", port=port), ears(port, "ops") as ops:
            until(lambda: not notifier.untold(ids[3]))
            more = tell(notifier, 5)
            until(lambda: more[0] in ops.ids())
    assert not any(notifier.untold(each) for each in ids)


def rights(folder: Path) -> tuple[str, ...]:
    """Settings of a broker with the rights that the docs give."""
    [acl] = re.findall(r"^```acl\n(.*?)^```$", (ROOT / "docs" / "alarms.md").read_text(), re.MULTILINE | re.DOTALL)
    folder.mkdir()
    (folder / "acl").write_text(acl)
    (folder / "acl").chmod(0o600)
    return (f"acl_file {folder / 'acl'}",)


def test_with_the_rights_in_the_docs_only_the_server_writes_and_only_people_read(tmp_path: Path) -> None:
    settings = rights(tmp_path / "rights")
    with (
        running(tmp_path / "broker", settings=settings) as broker,
        telling(broker.port, username="gleaner") as notifier,
        ears(broker.port, "ops") as ops,
        ears(broker.port, "cam-1", "gleaner/#") as device,
    ):
        device.client.publish(TOPIC, b'{"id": "forged"}', qos=1).wait_for_publish(WAIT_S)
        ids = tell(notifier, 1)
        until(lambda: ops.heard)
        device.client.publish("gleaner/v1/7f/cam-1/up/status", b"", qos=1).wait_for_publish(WAIT_S)
        assert ops.ids() == ids
        assert device.heard == []


def test_a_broker_that_does_not_allow_it_says_so_and_the_notice_is_given_up(tmp_path: Path) -> None:
    before, settings = outcome("mqtt", "refused"), rights(tmp_path / "rights")
    with (
        capture_logs() as logs,
        running(tmp_path / "broker", settings=settings) as broker,
        telling(broker.port, username="nobody", protocol="5") as notifier,
    ):
        tell(notifier, 1, 2)
        notifier.close(WAIT_S)
    assert outcome("mqtt", "refused") - before == 2
    assert [entry["why"] for entry in logs if "given up" in entry["event"]] == [
        f"the broker refuses {TOPIC}: Not authorized; may this user publish there?"
    ]


def test_kill_9_loses_no_notice_and_tells_none_that_is_not_committed(mosquitto: Broker, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    init_db_dir(tmp_path / "db", 1)
    chance = random.Random(5)

    def life(number: int) -> "subprocess.Popen[bytes]":
        words = [str(tmp_path), hook.url, str(mosquitto.port), str(number), str(NUMBERS)]
        program = [sys.executable, "-m", "tests.integration.notices_flow", *words]
        return subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    with hooked() as hook, ears(mosquitto.port, "ops") as ops:
        for number in range(4):
            hook.status, begun = chance.choice([200, 503]), len(hook.heard)
            process = life(number)
            until(lambda begun=begun: len(hook.heard) > begun)
            time.sleep(chance.uniform(0.05, 0.25))
            process.send_signal(signal.SIGKILL)
            assert process.wait(WAIT_S) == -signal.SIGKILL
        hook.status = 200
        assert life(4).wait(60) == 0
        until(lambda: len({each["cause"] for each, _ in tuple(ops.heard)}) == NUMBERS)
        for told in (hook.taken(), [each for each, _ in ops.heard]):
            ways = defaultdict(set)
            for each in told:
                ways[each["cause"]].add((each["id"], each["alarms"][0]["cohort"]))
            assert ways.keys() == {f"cause-{number}" for number in range(NUMBERS)}
            assert {len(way) for way in ways.values()} == {1}, "told before it was committed"
            assert len(set.union(*ways.values())) == NUMBERS


def test_a_service_that_is_killed_tells_each_change_that_the_lake_has(mosquitto: Broker, tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data / "log", 6000, 4, seed=3, partitions=4)
    write_bundle(data / "models" / "bench-1", seed=3, confidence=(4.0, 2.0))
    with hooked() as hook, ears(mosquitto.port, "ops") as ops:
        settings = (
            *("drift.window=0.5", "drift.round=0.25", "drift.grace=0.25", "drift.by=site,device"),
            *("drift.false_alarm_days=0.00002", "flow.epoch=0.2", "flow.batch_records=500"),
            *(f"mqtt.port={mosquitto.port}", f"alarms.webhook={hook.url}"),
        )
        with service(data, "run", settings=settings) as process:
            until(lambda: hook.heard)
            assert stop(process, signal.SIGKILL) == -signal.SIGKILL
        done = subprocess.run(
            command(data, "run", "--drain", settings=settings), cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        turns = (
            "select state <> coalesce(lag(state) over (partition by alarm_id order by revision), '') as new from alarms"
        )
        [(changes,)] = ask(data / "lake", f"select count(*) from ({turns}) where new")
        assert changes > 10
        for told in (hook.taken(), [each for each, _ in ops.heard]):
            counts = {each["id"]: each["count"] for each in told}
            assert sum(counts.values()) == changes
            assert len(counts) < changes
