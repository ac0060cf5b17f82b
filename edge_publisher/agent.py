"""The agent of one device: observe, infer, keep, send, answer.

Two threads meet at the outbox and nowhere else: the sensor's, which observes, and
the link's, which sends, hears and answers.
"""

import hashlib
import logging
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Final

from edge_publisher.link import Link
from edge_publisher.model import Model, UnusableOutput
from edge_publisher.outbox import Outbox
from edge_publisher.record import Kind, record_of
from edge_publisher.requests import Answers
from edge_publisher.ring import RawSample, Ring
from edge_publisher.sender import Sender
from edge_publisher.sensor import Sample
from edge_publisher.settings import SendingSettings, StorageSettings
from edge_publisher.stop import Stop
from edge_publisher.storage import StorageFailed
from edge_publisher.uplink import Uplink
from schemas.envelope import SCHEMA, seal
from schemas.messages import MAX_TEXT_CHARS
from schemas.topics import Down, Up
from schemas.wire_pb2 import Hello, Status

_POLL_S: Final = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An inference that is on the device's disk.

    Attributes:
        device: its id.
        stream: of its outbox.
        seq: its number there.
        digest: SHA-256 of the raw sample.
        sample_bytes: size of the raw sample.
        class_id: best class.
        label: the true class, in simulations.
        device_time_us: microseconds since 1970.
    """

    device: str
    stream: bytes
    seq: int
    digest: bytes
    sample_bytes: int
    class_id: int
    label: int | None
    device_time_us: int


class Agent:
    """One device.

    Args:
        device: its id.
        site: where it stands.
        model: what it runs; may be shared by agents.
        folder: of its outbox and ring; no other agent's.
        link: to the broker.
        sending, storage: settings.
        attributes: what its hello says of the device in the owner's words.
        uplink: what publishes; the link itself, unless a simulation stands between.
        on_accepted: called with each inference once it is on disk.

    Attributes:
        refused: samples of which no inference could be made.
        unstored: inferences that the disk did not take.

    Raises:
        LockHeld: another agent uses the folder.
        Fatal: a file in it is damaged.
    """

    def __init__(
        self,
        *,
        device: str,
        site: str,
        model: Model,
        folder: Path,
        link: Link,
        sending: SendingSettings = SendingSettings(),
        storage: StorageSettings = StorageSettings(),
        attributes: Mapping[str, str] = MappingProxyType({}),
        uplink: Uplink | None = None,
        on_accepted: Callable[[Accepted], None] | None = None,
    ) -> None:
        self.device, self.site, self.link = device, site, link
        self._attributes = attributes
        self.refused = 0
        self.unstored = 0
        self.outbox = Outbox(folder, max_bytes=storage.outbox_bytes)
        self.ring = Ring(folder, max_bytes=storage.ring_bytes)
        self._model = model
        self._uplink: Uplink = uplink or link
        self._on_accepted = on_accepted
        self.sender = Sender(self.outbox, self._uplink, sending, time.monotonic, _now_us)
        self.answers = Answers(self.ring, self._uplink)
        self._hello_due = False
        self._status_due = time.monotonic()
        self._status_seconds = sending.status_seconds
        m = model.manifest
        self._kind = Kind(m.name, m.version, site, m.top_k, m.embedding_codec, model.dims)
        link.downlink = self

    def observe(self, sample: Sample) -> Accepted | None:
        """Infer and keep; what it gives is accepted. None where no inference came of it, which is counted."""
        now_us, digest = _now_us(), hashlib.sha256(sample.data).digest()
        try:
            inference = self._model.infer(sample.array)
            record = record_of(inference, self._kind, now_us, digest, len(sample.data))
        except ValueError as error:
            self.refused += 1
            told = log.warning if isinstance(error, UnusableOutput) or self.refused == 1 else log.debug
            told("%s: no inference of a sample: %s", self.device, error)
            return None
        self._keep_sample(digest, sample, inference.margin)
        try:
            seq = self.outbox.append([record])[0]
        except StorageFailed as error:
            self.unstored += 1
            log.error("%s: not accepted: %s", self.device, error)  # noqa: TRY400 (a full disk needs no traceback)
            return None
        accepted = Accepted(
            device=self.device,
            stream=self.outbox.stream,
            seq=seq,
            digest=digest,
            sample_bytes=len(sample.data),
            class_id=int(inference.class_ids[0]),
            label=sample.label,
            device_time_us=now_us,
        )
        if self._on_accepted is not None:
            self._on_accepted(accepted)
        return accepted

    def _keep_sample(self, digest: bytes, sample: Sample, margin: float) -> None:
        """Keep the raw sample, before its inference is accepted: what is accepted can be asked for.

        Without room for it, the inference is worth keeping all the same; the sample counts as evicted.
        """
        try:
            self.ring.put(digest, RawSample(sample.data, sample.content_type), margin)
        except StorageFailed as error:
            log.warning("%s: a raw sample is not kept: %s", self.device, error)

    def step(self, timeout_s: float = _POLL_S) -> None:
        """Serve the link for about `timeout_s`: hear, greet, send, answer, report."""
        self.link.poll(timeout_s)
        if not self._uplink.connected:
            return
        self.sender.on_routing(self.link.routing.heard, self.link.routing.lost)
        self._hello_due |= self.sender.wants_hello()
        try:
            self._greet()
            self.sender.step()
            self.answers.step()
            self._report()
        except StorageFailed as error:
            log.error("%s: %s", self.device, error)  # noqa: TRY400 (a full disk needs no traceback)

    def run(self, samples: Iterable[Sample], stop: Event | Stop) -> None:
        """Observe `samples` until they end, and serve the link until `stop` is set."""
        with ThreadPoolExecutor(1, thread_name_prefix=f"link-{self.device}") as pool:
            server = pool.submit(self.serve, stop)
            try:
                for sample in samples:
                    self.observe(sample)
                    if stop.is_set():
                        break
                stop.wait()
            finally:
                stop.set()
            server.result()

    def serve(self, stop: Event | Stop) -> None:
        """Serve the link until `stop` is set, then say goodbye."""
        try:
            while not stop.is_set():
                self.step()
            self.link.close()
        finally:
            stop.set()  # a link that nobody serves must not go unnoticed

    def close(self) -> None:
        """Close the files; nothing is lost by a kill instead."""
        self.outbox.close()
        self.ring.close()

    def on_connected(self, session_present: bool) -> None:
        """Greet, and take up sending."""
        self._hello_due = True
        self.sender.on_connected(session_present)

    def on_message(self, kind: Down, payload: bytes) -> None:
        """Hear an acknowledgement or a request."""
        if kind is Down.ACK:
            try:
                self.sender.on_ack(payload)
            except StorageFailed as error:
                log.warning("%s: an acknowledgement must wait: %s", self.device, error)
        elif kind is Down.REQUESTS:
            self.answers.on_requests(payload)

    def _greet(self) -> None:
        if not self._hello_due:
            return
        hello = Hello(schema=SCHEMA, stream=self.outbox.stream, next_seq=self.outbox.next_seq, device_time=_now_us())
        hello.site, hello.hardware, hello.agent = self.site, platform.machine()[:MAX_TEXT_CHARS], _own_version()
        hello.model, hello.model_version = self._kind.model, self._kind.model_version
        hello.attributes.update(self._attributes)
        self._hello_due = not self._uplink.publish(Up.HELLO, seal(hello))

    def _report(self) -> None:
        if time.monotonic() < self._status_due:
            return
        status = Status(schema=SCHEMA, stream=self.outbox.stream, next_seq=self.outbox.next_seq, device_time=_now_us())
        status.outbox_records, status.outbox_bytes = self.outbox.count(), self.outbox.used_bytes()
        status.ring_samples, status.ring_bytes = self.ring.count(), self.ring.used_bytes()
        status.refused_inferences = self.refused
        status.unrouted_messages, status.outbox_restores = self.link.routing.unrouted, self.outbox.restores
        if self._uplink.publish(Up.STATUS, seal(status)):
            self._status_due = time.monotonic() + self._status_seconds


def _now_us() -> int:
    return max(0, time.time_ns() // 1000)  # a clock before 1970 is none


def _own_version() -> str:
    try:
        return version("gleaner-edge")
    except PackageNotFoundError:
        return "0"
