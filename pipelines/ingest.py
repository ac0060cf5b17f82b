"""Ingest: MQTT to the log, and only then the acknowledgement.

It knows no protobuf and no statistics, so it stays up while the rest restarts; a
message that nobody can read is logged and acknowledged like any other.

Where the log takes no more, it hangs up instead of holding the line: what is not
acknowledged stays in the session, which the broker keeps within its own limits for a
client that is away, and nothing piles up here. What the broker drops beyond them is
sent again by the devices, which wait for an acknowledgement of Gleaner's own.
"""

from contextlib import closing, suppress
from functools import partial
from typing import Final

import structlog

from pipelines import metrics, progress
from pipelines.backoff import Backoff
from pipelines.housekeeping import Housekeeping, now_us
from pipelines.log import LogWriter
from pipelines.receiver import Receiver
from pipelines.session import Session
from pipelines.settings import Settings
from pipelines.shards import Share, share_of
from pipelines.stop import Stop, Stopped
from schemas.errors import BrokerUnavailable, Unavailable

_FULL_DISK_S: Final = 5.0
_FULL_LOG_S: Final = 1.0
log = structlog.get_logger()


def ingest(settings: Settings, stop: Stop) -> None:
    """Run until the stop, through every loss of the broker and every lack of room.

    Args:
        settings: of the server.
        stop: ends it after the group at hand.

    Raises:
        SettingsError: `mqtt.shards` can't be taken by itself.
        LakeError, LockHeld: the log can't be written.
    """
    share = share_of(settings.mqtt.shards, settings.log.partitions)
    published = partial(progress.read, settings.data_dir)
    with LogWriter(settings.log_dir, settings.log.partitions, share.partitions, published) as writer:
        housekeeping, backoff = Housekeeping(settings, writer), Backoff()
        while not stop.is_set():
            try:
                if housekeeping.is_full:
                    housekeeping.wait(stop, _FULL_LOG_S)
                else:
                    _connect_and_serve(settings, share, writer, housekeeping, backoff, stop)
            except BrokerUnavailable as error:
                metrics.CONNECTED.set(0)
                log.warning("no broker", why=str(error))
                housekeeping.wait(stop, backoff.next_s())
            except Unavailable as error:  # nothing of it was acknowledged: the broker keeps it
                log.error("nothing is taken from the broker", why=str(error))  # noqa: TRY400 - no traceback helps
                housekeeping.wait(stop, _FULL_DISK_S)
            metrics.CONNECTED.set(0)


def _connect_and_serve(
    settings: Settings, share: Share, writer: LogWriter, housekeeping: Housekeeping, backoff: Backoff, stop: Stop
) -> None:
    """Log what arrives over one connection, until the stop, or the log is full."""
    name, broker = f"{settings.mqtt.client_id}-ingest{share.suffix}", f"{settings.mqtt.host}:{settings.mqtt.port}"
    session = Session(settings.log_dir, name, broker)
    with suppress(Stopped), closing(Receiver(settings.mqtt, name, share.filters, stop)) as receiver:
        session.connected(receiver.session_kept)
        told, wait_s = False, settings.log.commit_wait.total_seconds()
        while not stop.is_set() and not housekeeping.is_full:
            receiver.receive(settings.log.commit_records, housekeeping.group_bytes, wait_s)
            if receiver.subscribed and not told:  # not before: without a subscriber the broker drops what comes
                told = True
                backoff.reset()
                session.subscribed()
                metrics.CONNECTED.set(1)
                log.info("connected", broker=broker, session=receiver.session_kept, partitions=len(share.partitions))
            if receiver.group.messages:
                writer.append(receiver.group.messages, now_us())
                _acknowledge(receiver)
            housekeeping.turn()


def _acknowledge(receiver: Receiver) -> None:
    logged = len(receiver.group.messages)
    receiver.acknowledge()
    metrics.LOGGED.inc(logged)
