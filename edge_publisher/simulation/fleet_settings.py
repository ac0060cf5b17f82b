"""The settings of a simulated fleet, read from one JSON file; an unknown key is an error."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_publisher.settings import (
    BrokerSettings,
    SendingSettings,
    StorageSettings,
    check_attributes,
    check_broker,
    check_device,
    demand,
    filled,
)
from edge_publisher.settings import check_sending as check_flow
from edge_publisher.simulation.camera import EffectSettings
from edge_publisher.simulation.effects import EFFECTS
from schemas.errors import SettingsError

KINDS: Final = ("camera", "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """Probabilities, for each message, that it is lost, sent twice or sent after the next."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """The link is down from … to, in seconds since the start; None: until the sensors stop."""

    from_s: float
    to_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One device of the fleet; its attributes are those of its hello."""

    device: str
    site: str
    rate_hz: float = 5.0
    link: LinkFaults | None = None
    effects: tuple[EffectSettings, ...] = ()
    offline: tuple[Offline, ...] = ()
    kind: str = "camera"
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """A fleet and its time.

    Attributes:
        broker: where all devices connect.
        bundle: path of the model.
        images: path of an .npz with `images` (n, 8, 8) uint8 and `labels` (n,).
        dir: root of the devices' folders and of the ledger.
        seed: of everything random.
        start_at: seconds since 1970 that count as t = 0.
        duration_s: how long the sensors run.
        devices: the fleet.
        batch_rows, batch_seconds, ack_timeout_s, ring_bytes, outbox_bytes: of every device.
    """

    bundle: str
    images: str
    dir: str
    duration_s: float
    devices: tuple[DeviceSpec, ...]
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    seed: int = 7
    start_at: float = field(default_factory=time.time)
    batch_rows: int = 64
    batch_seconds: float = 1.0
    ack_timeout_s: float = 10.0
    ring_bytes: int = 8 << 20
    outbox_bytes: int = 16 << 20

    @property
    def sending(self) -> SendingSettings:
        """How each device sends."""
        return SendingSettings(
            batch_rows=self.batch_rows,
            batch_seconds=self.batch_seconds,
            ack_timeout_s=self.ack_timeout_s,
            status_seconds=10.0,
        )

    @property
    def storage(self) -> StorageSettings:
        """What each device may keep."""
        return StorageSettings(outbox_bytes=self.outbox_bytes, ring_bytes=self.ring_bytes)


def read(path: Path) -> FleetSettings:
    """The fleet in a JSON file; relative paths in it are relative to the working directory.

    Raises:
        SettingsError: no such file, no JSON, an unknown key or an impossible value.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: can't be read: {error}") from error
    settings, where = filled(FleetSettings, raw, str(path)), str(path)
    check_broker(settings.broker, where)
    check_flow(settings.sending, where)
    twice = [name for name, times in Counter(each.device for each in settings.devices).items() if times > 1]
    demand(not twice, where, f"more than one device is called {', '.join(twice)}")
    demand(bool(settings.devices), where, "a fleet needs devices")
    for each in settings.devices:
        _check(each, f"{where}: {each.device}")
    return settings


def _check(each: DeviceSpec, where: str) -> None:
    check_device(each.device, each.site, where)
    check_attributes(each.attributes, where)
    demand(each.kind in KINDS, where, f"kind must be one of {', '.join(KINDS)}")
    demand(0 < each.rate_hz <= 1000, where, "rate_hz must be above 0, at most 1000")
    for effect in each.effects:
        demand(effect.effect in EFFECTS, where, f"effect must be one of {', '.join(EFFECTS)}")
        demand(0 <= effect.strength <= 1, where, "strength must be 0 to 1")
    faults = each.link or LinkFaults()
    chances = (faults.drop, faults.duplicate, faults.reorder)
    demand(all(0 <= chance < 1 for chance in chances), where, "drop, duplicate and reorder must be 0 to below 1")
