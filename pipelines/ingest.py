"""Ingest: MQTT to the log, and only then the acknowledgement.

It knows no protobuf and no statistics, so it stays up while the rest restarts; a
message that nobody can read is logged and acknowledged like any other. One thread
does it all: what it acknowledges went through this very connection, so an id of an
older connection can never acknowledge a message that is not on disk.
"""

import json
import select
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event
from typing import Any, Final

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import MQTTErrorCode

from pipelines import metrics, progress
from pipelines.backoff import Backoff
from pipelines.log import LogWriter, Message
from pipelines.mqtt import open_client, session_present
from pipelines.settings import Settings
from schemas.errors import BrokerUnavailable, Unavailable

UP_FILTER: Final = "gleaner/v1/+/+/up/+"
_QUIET_S: Final = 0.05
_TRIM_EVERY_S: Final = 10.0
_FULL_DISK_S: Final = 5.0
_GROUP_BYTES: Final = 16 << 20
_TRIM_RECORDS: Final = 20_000
_CLOCK_SLACK_US: Final = 60_000_000
log = structlog.get_logger()


@dataclass(slots=True)
class Group:
    """Messages that will go to disk together.

    Attributes:
        messages: what to log.
        ids: packet ids to acknowledge, in the order of receipt.
        size: of the payloads in bytes.
    """

    messages: list[Message] = field(default_factory=list)
    ids: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0

    def take(self, message: paho.MQTTMessage) -> None:
        """Add one received message."""
        self.messages.append(Message(_topic(message), bytes(message.payload), _properties(message)))
        self.ids.append((message.mid, message.qos))
        self.size += len(message.payload)


def ingest(settings: Settings, stop: Event) -> None:
    """Run until `stop` is set, through every loss of the broker.

    Args:
        settings: of the server.
        stop: ends it after the group at hand.

    Raises:
        LakeError, LockHeld: the log can't be written.
    """
    with LogWriter(settings.log_dir, settings.log.partitions) as writer:
        housekeeping = _Housekeeping(settings, writer)
        backoff = Backoff()
        while not stop.is_set():
            try:
                client = open_client(
                    settings.mqtt, f"{settings.mqtt.client_id}-ingest", manual_ack=True, keep_session=True
                )
            except BrokerUnavailable as error:
                log.warning("no broker", why=str(error))
                housekeeping.wait(stop, backoff.next_s())
                continue
            backoff = Backoff()
            try:
                _serve(client, settings, writer, housekeeping, stop)
            except Unavailable as error:  # nothing of it was acknowledged: the broker keeps it
                log.error("nothing is taken from the broker", why=str(error))  # noqa: TRY400 - no traceback helps
                stop.wait(_FULL_DISK_S)
            metrics.CONNECTED.set(0)


def _serve(
    client: paho.Client,
    settings: Settings,
    writer: LogWriter,
    housekeeping: "_Housekeeping",
    stop: Event,
) -> None:
    """Log what arrives over one connection, until it breaks or the log takes no more."""
    group = Group()

    def on_subscribe(_client: Any, _userdata: Any, _mid: int, codes: list[Any], _properties: Any) -> None:
        if any(code.is_failure for code in codes):
            log.error("the broker refused the subscription", filter=UP_FILTER, hint="check its access list")
            return
        metrics.CONNECTED.set(1)  # not before: without a subscriber the broker drops what comes
        log.info("connected", broker=f"{settings.mqtt.host}:{settings.mqtt.port}", session=session_present(client))

    client.on_subscribe = on_subscribe
    client.on_message = lambda _client, _userdata, message: group.take(message)
    client.subscribe(UP_FILTER, qos=1)
    try:
        while not stop.is_set() and client.is_connected():
            if not _receive(client, group, settings.log.commit_records, settings.log.commit_wait):
                break
            if group.messages:
                writer.append(group.messages, _now_us())
                _acknowledge(client, group)
            housekeeping.turn()
    finally:
        client.disconnect()
        _flush(client)


def _receive(client: paho.Client, group: Group, most: int, wait: timedelta) -> bool:
    """Read what is there, up to `most` messages or for `wait` after the first; whether the link stands."""
    deadline = None
    while len(group.messages) < most and group.size < _GROUP_BYTES:
        socket = client.socket()
        if socket is None:
            return False
        left = _QUIET_S if deadline is None else deadline - time.monotonic()
        if left <= 0 or not (_pending(socket) or select.select([socket], [], [], left)[0]):
            break
        if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        if deadline is None and group.messages:
            deadline = time.monotonic() + wait.total_seconds()
    _flush(client)
    return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS


def _acknowledge(client: paho.Client, group: Group) -> None:
    for mid, qos in group.ids:
        client.ack(mid, qos)
    _flush(client)
    metrics.LOGGED.inc(len(group.messages))
    group.messages.clear()
    group.ids.clear()
    group.size = 0


def _flush(client: paho.Client) -> None:
    while client.want_write() and client.loop_write() == MQTTErrorCode.MQTT_ERR_SUCCESS:
        pass


def _pending(socket: Any) -> bool:
    """Whether a TLS socket has bytes that `select` does not see."""
    return hasattr(socket, "pending") and socket.pending() > 0


def _topic(message: paho.MQTTMessage) -> str:
    """The topic; empty where the broker let one pass that is no UTF-8, so that it is rejected like any other."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""


def _properties(message: paho.MQTTMessage) -> str | None:
    content_type = getattr(getattr(message, "properties", None), "ContentType", None)
    return json.dumps({"content_type": content_type}) if content_type else None


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(slots=True)
class _Housekeeping:
    """What happens on a timer: ticks, and forgetting what is committed and old."""

    settings: Settings
    writer: LogWriter
    ticked_s: float = 0.0
    trimmed_s: float = 0.0
    clock_behind: bool = False

    def turn(self) -> None:
        now = time.monotonic()
        if now - self.ticked_s >= self.settings.log.tick.total_seconds():
            self.ticked_s = now
            self._mind_clock()
            self.writer.tick(_now_us())
        if now - self.trimmed_s >= _TRIM_EVERY_S:
            behind = self._trim()
            self.trimmed_s = 0.0 if behind else now

    def _mind_clock(self) -> None:
        """Say, once, that the clock went back: nothing is decided until log time has been caught up."""
        ahead_us = self.writer.ahead_us(_now_us())
        if (ahead_us > _CLOCK_SLACK_US) != self.clock_behind:
            self.clock_behind = not self.clock_behind
            told = log.error if self.clock_behind else log.info
            told("the clock is behind the log", log_time_ahead_s=ahead_us // 1_000_000, until_then="no window closes")

    def wait(self, stop: Event, seconds: float) -> None:
        """Let time pass in the log while there is no broker."""
        end = time.monotonic() + seconds
        while not stop.is_set() and time.monotonic() < end:
            with suppress(Unavailable):  # said once there is something to write
                self.turn()
            stop.wait(min(self.settings.log.tick.total_seconds(), max(0.0, end - time.monotonic())))

    def _trim(self) -> bool:
        """Forget some of what may be forgotten; whether there is more."""
        before = _now_us() - int(self.settings.log.keep.total_seconds() * 1e6)
        gone = [
            self.writer.trim(partition, offset, before, _TRIM_RECORDS)
            for partition, offset in progress.read(self.settings.data_dir).items()
            if partition < self.writer.partitions
        ]
        return max(gone, default=0) == _TRIM_RECORDS
