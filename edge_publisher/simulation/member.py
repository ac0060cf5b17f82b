"""One device of a simulated fleet, with the ledger of what it accepted."""

import json
import random
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_publisher.agent import Accepted, Agent
from edge_publisher.link import Link
from edge_publisher.model import Model
from edge_publisher.sensor import Sample, paced
from edge_publisher.simulation.badlink import BadLink
from edge_publisher.simulation.camera import Camera
from edge_publisher.simulation.fleet_settings import DeviceSpec, FleetSettings
from edge_publisher.simulation.garbage import GarbageDevice
from edge_publisher.stop import Stop

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all devices of a fleet share.

    Attributes:
        settings: of the fleet.
        model: that all cameras run.
        images, labels: (n, h, w) uint8 and (n,), what the cameras see.
        elapsed: seconds since the start.
    """

    settings: FleetSettings
    model: Model
    images: NDArray[np.uint8]
    labels: NDArray[np.integer]
    elapsed: Callable[[], float]


class Member(Protocol):
    """A device in the fleet."""

    link: Link

    def run(self, sensing: Event, stop: Event | Stop) -> None:
        """Work until `stop`; observe nothing more once `sensing` is set."""
        ...

    def is_drained(self) -> bool:
        """Whether it observes nothing more and all it accepted is with Gleaner."""
        ...

    def report(self) -> dict[str, Any]:
        """What it did, as numbers."""
        ...

    def close(self) -> None:
        """Close its files."""
        ...


def member(spec: DeviceSpec, scene: Scene) -> Member:
    """The device that `spec` describes.

    Raises:
        LockHeld: another process simulates it in the same folder.
    """
    return (GarbageMember if spec.kind == "garbage" else CameraMember)(spec, scene)


class CameraMember:
    """A real agent before a made-up camera, and its ledger."""

    def __init__(self, spec: DeviceSpec, scene: Scene) -> None:
        self._accepted = 0
        self._raw_bytes = 0
        self._spec = spec
        settings, root = scene.settings, Path(scene.settings.dir)
        seed = (settings.seed, zlib.crc32(spec.device.encode()))
        self.link = Link(spec.device, settings.broker)
        self._camera = Camera(scene.images, scene.labels, seed, spec.effects, scene.elapsed)
        self.agent = Agent(
            device=spec.device,
            site=spec.site,
            model=scene.model,
            folder=root / "devices" / spec.device,
            link=self.link,
            sending=settings.sending,
            storage=settings.storage,
            attributes=spec.attributes,
            uplink=_spoiled(self.link, spec, random.Random(f"{seed}")),
            on_accepted=self._note,
        )
        (root / "ledger").mkdir(parents=True, exist_ok=True)
        # A line is in the file as soon as it is complete.
        self._ledger = (root / "ledger" / f"{spec.device}.jsonl").open("a", buffering=1)
        self._observed_all = Event()

    def run(self, sensing: Event, stop: Event | Stop) -> None:
        """Observe until `sensing` is set, serve the link until `stop` is."""
        self.agent.run(self._samples(sensing), stop)

    def is_drained(self) -> bool:
        """Whether nothing more comes and the outbox is empty."""
        return self._observed_all.is_set() and self.agent.sender.is_drained()

    def report(self) -> dict[str, Any]:
        """Accepted and published so far."""
        return {
            "device": self._spec.device,
            "accepted": self._accepted,
            "refused": self.agent.refused + self.agent.unstored,
            "bytes_published": self.link.published_bytes,
            "bytes_raw": self._raw_bytes,
            "messages_published": self.link.published_messages,
            "resent_batches": self.agent.sender.counts.resent_batches,
            "requests_answered": self.agent.answers.answered,
            "outbox_left": self.agent.outbox.count(),
        }

    def close(self) -> None:
        """Close agent and ledger."""
        self.agent.close()
        self._ledger.close()

    def _samples(self, sensing: Event) -> Iterator[Sample]:
        yield from paced(self._camera, self._spec.rate_hz, sensing)
        self._observed_all.set()

    def _note(self, accepted: Accepted) -> None:
        self._accepted += 1
        self._raw_bytes += accepted.sample_bytes
        line = {
            "device": accepted.device,
            "stream": accepted.stream.hex(),
            "seq": accepted.seq,
            "digest": accepted.digest.hex(),
            "class_id": accepted.class_id,
            "label": accepted.label,
            "t": accepted.device_time_us / 1e6,
        }
        self._ledger.write(json.dumps(line) + "\n")


class GarbageMember:
    """A device that sends nothing of use."""

    def __init__(self, spec: DeviceSpec, scene: Scene) -> None:
        self._spec = spec
        self.link = Link(spec.device, scene.settings.broker)
        self._device = GarbageDevice(spec.device, self.link, scene.settings.seed)

    def run(self, sensing: Event, stop: Event | Stop) -> None:
        """Publish one piece of garbage at the rate, until `sensing` is set."""
        period_s, next_s = 1.0 / self._spec.rate_hz, 0.0
        while not stop.is_set():
            self.link.poll(min(period_s, _POLL_S))
            if not sensing.is_set() and time.monotonic() >= next_s:
                self._device.publish()
                next_s = time.monotonic() + period_s
        self.link.close()

    def is_drained(self) -> bool:
        """Always: it accepts nothing."""
        return True

    def report(self) -> dict[str, Any]:
        """What it published."""
        nothing = dict.fromkeys(("accepted", "refused", "bytes_raw", "resent_batches", "requests_answered"), 0)
        published = {
            "bytes_published": self.link.published_bytes,
            "messages_published": self.link.published_messages,
        }
        return {"device": self._spec.device, **nothing, **published, "outbox_left": 0}

    def close(self) -> None:
        """It has no files."""


def _spoiled(link: Link, spec: DeviceSpec, rng: random.Random) -> BadLink | None:
    if spec.link is None:
        return None
    return BadLink(link, drop=spec.link.drop, duplicate=spec.link.duplicate, reorder=spec.link.reorder, rng=rng)
