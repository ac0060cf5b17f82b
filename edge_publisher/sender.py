"""What is sent when: the flow from the outbox to Gleaner, and again until Gleaner has it.

`sent` is a cursor that is not kept on disk: everything before it was published in
this life of the agent, and nothing is freed for that. Only Gleaner's own
acknowledgement frees. What it names as holes is sent again; where nothing is
acknowledged for too long, the cursor goes back to the oldest record.

A server that is away is left in peace: each silence is borne for longer than the one
before, and what the broker has nobody to pass on to is not sent at all. A hello now and
then, which costs little and is always answered, finds out when the server is back.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_publisher.batch import BatchLimits, first_batch, payload_of
from edge_publisher.outbox import Outbox, Row
from edge_publisher.ranges import Range, Ranges, joined, without
from edge_publisher.settings import SendingSettings
from edge_publisher.uplink import Uplink
from schemas.envelope import SCHEMA, seal
from schemas.errors import Rejected
from schemas.messages import MAX_RANGES, read_ack
from schemas.topics import Up
from schemas.wire import MAX_SEQ
from schemas.wire_pb2 import Gap, Gaps

_PATIENCE_DOUBLINGS = 5
_HELLO_TIMEOUTS = 3  # of ack_timeout_s, in silence; up to twice that, so that a fleet does not greet at once

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What the sender did: batches published, those of them with a row that went out before, acks heard."""

    batches: int = 0
    resent_batches: int = 0
    acks: int = 0
    rewinds: int = 0


class Sender:
    """Moves the records of one outbox to Gleaner; one thread uses it.

    Args:
        outbox: what is to be sent.
        uplink: where it goes.
        settings: sizes and times.
        clock: monotonic seconds.
        wall_us: microseconds since 1970, for declared gaps.
    """

    def __init__(
        self,
        outbox: Outbox,
        uplink: Uplink,
        settings: SendingSettings,
        clock: Callable[[], float],
        wall_us: Callable[[], int],
    ) -> None:
        self.counts = Counts()
        self._outbox = outbox
        self._uplink = uplink
        self._settings = settings
        self._clock = clock
        self._wall_us = wall_us
        self._sent = 0  # the next number to go out for the first time
        self._ever_sent = 0
        self._holes: Ranges = ()
        self._filled: list[tuple[float, Range]] = []  # holes sent again lately, and when
        self._waiting_since: float | None = None  # a record that no full batch carries yet
        self._quiet_since = clock()
        self._doublings = 0
        self._told_gaps: Ranges = ()
        self._heard = True
        self._healed = 0
        self._rewound_at = self._greeted_at = self._answered_at = clock()
        self._lateness = 1.0

    def on_connected(self, session_present: bool) -> None:
        """A connection stands; a broker that forgot its session may have lost what it took."""
        self._told_gaps = ()
        self._heard = True
        self._quiet_since = self._greeted_at = self._clock()
        if not session_present:
            self._rewind("the broker has no session of ours")

    def on_ack(self, payload: bytes) -> None:
        """Free what Gleaner has, and note what it misses; anything unfit is left alone."""
        try:
            ack = read_ack(payload)
            if ack.stream != self._outbox.stream:
                return
            holes = joined((hole.first_seq, hole.last_seq) for hole in ack.holes)
            freed = self._free(ack.through, holes, ack.ahead)
        except Rejected as error:
            log.warning("an acknowledgement is ignored: %s", error)
            return
        self.counts.acks += 1
        self._answered_at = self._clock()
        self._doublings = 0  # whoever answers is not hammered by a repetition now and then
        self._told_gaps = without(self._told_gaps, [(0, ack.through)])
        if freed:
            self._quiet_since = self._clock()
        not_yet = (self._sent, MAX_SEQ)  # these go out anyway
        self._holes = without(holes, [not_yet, *(pair for _, pair in self._lately())])

    def on_routing(self, heard: bool, lost: int) -> None:
        """What the broker says of our messages.

        Args:
            heard: whether the last one had a subscriber.
            lost: how many had none, since the start.
        """
        self._heard = heard
        if heard and lost > self._healed and self._clock() - self._rewound_at > self._settings.ack_timeout_s:
            self._healed = lost
            self._doublings = 0
            self._rewind("the broker passes our messages on again")

    def wants_hello(self) -> bool:
        """Whether Gleaner should be greeted again; asked again, no more for a while."""
        now = self._clock()
        if self._heard:
            since, timeouts = max(self._answered_at, self._greeted_at), _HELLO_TIMEOUTS
        else:
            since, timeouts = self._greeted_at, 1
        silent = now - since > timeouts * self._settings.ack_timeout_s * self._lateness
        if not silent or (self._heard and not self._waits()):
            return False
        self._greeted_at = now
        self._lateness = random.uniform(1.0, 2.0)
        return True

    def step(self) -> None:
        """Publish what is due, as far as the link takes it and somebody is there for it."""
        if not self._uplink.connected or not self._heard:
            return
        self._mind_silence()
        self._declare_gaps()
        while self._holes and self._send_from_hole():
            pass
        while self._send_next():
            pass

    def is_drained(self) -> bool:
        """Whether Gleaner has everything: no record and no gap is left."""
        return self._outbox.first_seq() is None and not self._outbox.has_gaps()

    def _send_next(self) -> bool:
        """Publish the next batch, where one is due; whether there may be more."""
        oldest = self._outbox.first_seq()
        start = max(self._sent, oldest if oldest is not None else 0)
        if oldest is None or start - oldest >= self._settings.max_unacknowledged:
            return False
        rows = self._outbox.read(start, self._settings.batch_rows)
        if not rows or not self._is_due(len(rows)):
            return False
        last = self._publish(rows)
        if last is None:
            return False
        if oldest >= self._sent:  # nothing was on its way: silence begins to count now
            self._quiet_since = self._clock()
        self._sent = last + 1
        self._waiting_since = None
        return True

    def _is_due(self, rows: int) -> bool:
        """Whether a full batch is there, or has been waited for long enough."""
        now = self._clock()
        if self._waiting_since is None:
            self._waiting_since = now
        waited = now - self._waiting_since >= self._settings.batch_seconds
        return waited or rows >= self._settings.batch_rows

    def _send_from_hole(self) -> bool:
        """Publish the start of the first hole; whether the link took it."""
        first, last = self._holes[0]
        rows = self._outbox.read(first, self._settings.batch_rows, last)
        done = self._publish(rows) if rows else last
        if done is None:
            return False
        self._filled.append((self._clock(), (first, done)))
        self._holes = without(self._holes, [(first, done)])
        return True

    def _publish(self, rows: list[Row]) -> int | None:
        """Publish the first batch of `rows`; gives its last number, None where the link takes nothing now."""
        payload_bytes = min(self._settings.payload_bytes, self._uplink.max_payload_bytes)
        limits = BatchLimits(rows=self._settings.batch_rows, payload_bytes=payload_bytes)
        batch = first_batch(rows, limits)
        if not batch:
            return self._give_up(rows[:1], "too_large")
        try:
            payload = payload_of(batch, self._outbox.stream)
        except ValueError:
            return self._give_up(batch, "unreadable")
        if not self._uplink.publish(Up.INFERENCES, payload):
            return None
        self._outbox.note_sent(batch[-1].seq)
        self.counts.batches += 1
        self.counts.resent_batches += batch[0].seq < self._ever_sent
        self._ever_sent = max(self._ever_sent, batch[-1].seq + 1)
        return batch[-1].seq

    def _give_up(self, batch: Sequence[Row], reason: str) -> int:
        """Declare records that can never be sent, so that they do not block what comes after."""
        first, last = batch[0].seq, batch[-1].seq
        self._outbox.give_up(first, last, reason, self._wall_us())
        log.error("records %d to %d are given up: %s", first, last, reason)
        return last

    def _declare_gaps(self) -> None:
        """Tell of gaps that Gleaner has not been told of on this connection."""
        gaps = self._outbox.gaps() if self._outbox.has_gaps() else []
        news = [gap for gap in gaps if without([(gap.first_seq, gap.last_seq)], self._told_gaps)][:MAX_RANGES]
        if not news:
            return
        message = Gaps(schema=SCHEMA, stream=self._outbox.stream)
        for gap in news:
            said = Gap(first_seq=gap.first_seq, last_seq=gap.last_seq, reason=gap.reason)
            said.device_time = gap.device_time_us
            message.gaps.append(said)
        if self._uplink.publish(Up.GAPS, seal(message)):
            self._outbox.note_sent(news[-1].last_seq)
            self._told_gaps = joined([*self._told_gaps, *((gap.first_seq, gap.last_seq) for gap in news)])

    def _mind_silence(self) -> None:
        """Go back to the oldest record where nothing sent was acknowledged for too long.

        The patience doubles while no acknowledgement comes at all, so that a server
        in trouble is left in peace.
        """
        patience_s = self._settings.ack_timeout_s * 2**self._doublings
        if self._waits() and self._clock() - self._quiet_since > patience_s:
            self._doublings = min(self._doublings + 1, _PATIENCE_DOUBLINGS)
            self._rewind(f"nothing was acknowledged for {patience_s:.0f} s")

    def _waits(self) -> bool:
        """Whether something was sent that is not acknowledged."""
        oldest = self._outbox.first_seq()
        return (oldest is not None and oldest < self._sent) or (bool(self._told_gaps) and self._outbox.has_gaps())

    def _free(self, through: int, holes: Ranges, ahead: int) -> int:
        before = self._outbox.restores, self._outbox.renumbered
        freed = self._outbox.ack(through, holes, ahead)
        if self._outbox.restores > before[0]:
            log.error(
                "Gleaner has numbers that this outbox never gave: it is an old copy, as of a backup; %d records of "
                "its own get new numbers. Never restore an outbox: delete its folder, and it starts a new stream",
                self._outbox.renumbered - before[1],
            )
        return freed

    def _rewind(self, why: str) -> None:
        if self._sent:
            log.info("sending again from the oldest record: %s", why)
            self.counts.rewinds += 1
        self._sent = 0
        self._told_gaps = ()
        self._quiet_since = self._rewound_at = self._clock()

    def _lately(self) -> list[tuple[float, Range]]:
        """Holes filled so short a time ago that the answer may not know it."""
        since = self._clock() - self._settings.ack_timeout_s / 2
        self._filled = [(when, pair) for when, pair in self._filled if when >= since]
        return self._filled
