"""Targets: whom the settings name to be told of alarms."""

import re
import threading
from typing import Final

from pipelines.commands import Commands, Silence
from pipelines.courier import Target
from pipelines.secret import secret
from pipelines.settings import Alarms
from pipelines.webhook import Webhook
from schemas.errors import SettingsError

_MOST_TOPIC_BYTES: Final = 1024
_OF_DEVICES: Final = re.compile(r"gleaner/v1/[^/]*/[^/]*/(up|down)(/.*)?")


class Topic:
    """A target of notices that is a topic at the broker."""

    name = "mqtt"

    def __init__(self, commands: Commands, topic: str) -> None:
        """Check the topic; nothing is sent yet.

        Raises:
            SettingsError: nothing can be published there.
        """
        self._commands, self._topic = commands, topic
        if _OF_DEVICES.fullmatch(topic):
            raise SettingsError(f"alarms.topic {topic}: is one of devices; choose another, as gleaner/v1/fleet/alarms")
        if not topic.isprintable() or set(topic) & set("+#") or topic.startswith("$") or _is_long(topic):
            raise SettingsError(f"alarms.topic {topic!r}: nothing can be published there; say it without +, # and $")

    def tell(self, body: bytes, stopping: threading.Event) -> None:
        """Publish, and wait for the broker's acknowledgement; see `Commands.deliver`."""
        self._commands.deliver(self._topic, body, stopping)


def targets_of(alarms: Alarms, commands: Commands) -> tuple[Target, ...]:
    """Whom to tell; nobody where devices are told nothing either.

    Args:
        alarms: the section of the settings; an empty `topic` or `webhook` is none.
        commands: the connection to the broker.

    Raises:
        SettingsError: one of them can't be told.
    """
    if isinstance(commands, Silence):
        return ()
    found: list[Target] = []
    if alarms.topic:
        found.append(Topic(commands, alarms.topic))
    if alarms.webhook:
        found.append(Webhook(alarms.webhook, _secret(alarms)))
    return tuple(found)


def _secret(alarms: Alarms) -> str:
    """What signs; empty where nothing does. An empty file is an error: it was meant to hold one."""
    found = secret(alarms.webhook_secret.get_secret_value(), alarms.webhook_secret_file, "alarms.webhook_secret")
    if alarms.webhook_secret_file and not found:
        raise SettingsError(f"alarms.webhook_secret_file {alarms.webhook_secret_file}: is empty")
    return found


def _is_long(topic: str) -> bool:
    return len(topic.encode(errors="replace")) > _MOST_TOPIC_BYTES
