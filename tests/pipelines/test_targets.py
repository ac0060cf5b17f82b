"""Targets: whom the settings name, and what can't be told is an error at the start that says what to change."""

import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.commands import Commands, Silence
from pipelines.settings import Alarms
from pipelines.targets import targets_of
from pipelines.webhook import SIGNATURE
from schemas.errors import SettingsError
from tests.pipelines.hooks import hooked


class Sent:
    """Keeps what it is given to deliver."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def send(self, topic: str, payload: bytes) -> None:
        raise AssertionError("notices are delivered, not sent")

    def deliver(self, topic: str, payload: bytes, stopping: threading.Event) -> None:
        self.messages.append((topic, payload))


def names(alarms: Alarms, commands: Commands | None = None) -> list[str]:
    return [target.name for target in targets_of(alarms, commands or Sent())]


def test_by_default_a_topic_is_told() -> None:
    sent = Sent()
    [target] = targets_of(Alarms(), sent)
    target.tell(b"{}", threading.Event())
    assert sent.messages == [("gleaner/v1/fleet/alarms", b"{}")]


def test_what_is_empty_is_not_told() -> None:
    assert names(Alarms(topic="")) == []
    assert names(Alarms(topic="", webhook="https://host/")) == ["webhook"]
    assert names(Alarms(webhook="https://host/")) == ["mqtt", "webhook"]


def test_who_tells_devices_nothing_tells_nobody() -> None:
    assert names(Alarms(webhook="https://host/"), Silence()) == []


@pytest.mark.parametrize("topic", ["alarms", "a/b c/ü", "gleaner/v1/fleet/up", "x" * 1024])
def test_topics_that_can_be(topic: str) -> None:
    assert names(Alarms(topic=topic)) == ["mqtt"]


@pytest.mark.parametrize("topic", ["a/+/b", "#", "$SYS/alarms", "a\0b", "a\nb", "x" * 1025, "ü" * 600, "\ud800"])
def test_topics_that_nobody_can_publish_on(topic: str) -> None:
    with pytest.raises(SettingsError, match=r"alarms\.topic .*: nothing can be published there"):
        targets_of(Alarms(topic=topic), Sent())


@pytest.mark.parametrize("topic", ["gleaner/v1/7f/cam-1/up/inferences", "gleaner/v1/x/y/down/ack", "gleaner/v1/a/b/up"])
def test_topics_of_devices_are_theirs(topic: str) -> None:
    with pytest.raises(SettingsError, match=r"alarms\.topic .*: is one of devices"):
        targets_of(Alarms(topic=topic), Sent())


def signature(alarms: Alarms) -> str | None:
    """What a webhook's notice is signed with."""
    with hooked() as hook:
        [target] = targets_of(alarms.model_copy(update={"topic": "", "webhook": hook.url}), Sent())
        target.tell(b"{}", threading.Event())
        return hook.heard[0][1].get(SIGNATURE)


def test_a_secret_from_a_file_signs_as_one_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret\n")
    from_file = signature(Alarms(webhook_secret_file=tmp_path / "secret"))
    assert from_file == signature(Alarms(webhook_secret=SecretStr("a secret")))
    assert from_file is not None
    assert signature(Alarms()) is None


def test_two_secrets_or_an_unreadable_one_are_an_error(tmp_path: Path) -> None:
    both = Alarms(webhook="https://host/", webhook_secret=SecretStr("x"), webhook_secret_file=tmp_path / "secret")
    with pytest.raises(SettingsError, match=r"alarms\.webhook_secret and alarms\.webhook_secret_file are both set"):
        targets_of(both, Sent())
    missing = Alarms(webhook="https://host/", webhook_secret_file=tmp_path / "secret")
    with pytest.raises(SettingsError, match=r"alarms\.webhook_secret_file .*: can't be read"):
        targets_of(missing, Sent())
    (tmp_path / "secret").write_text(" \n")
    with pytest.raises(SettingsError, match=r"alarms\.webhook_secret_file .*: is empty"):
        targets_of(missing, Sent())
