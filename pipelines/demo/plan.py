"""The demo's world: which devices there are, and what happens to them when."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SITES: Final = ("harbour", "mill", "orchard")
BAD_SITE: Final = SITES[-1]
WINDOW_S: Final = 5.0
RATE_HZ: Final = 6.0
_SMEAR: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What a demo does.

    Attributes:
        seed: of model, cameras, links and selection.
        devices: cameras, on three sites; one more device sends garbage.
        duration_s: how long the cameras run.
        folder: where everything is kept.
        lake: where the tables go.
        broker: `auto`, `mosquitto` or `embedded`.
    """

    seed: int
    devices: int
    duration_s: float
    folder: Path
    lake: Path
    broker: str

    @property
    def smear_at_s(self) -> float:
        """When the lenses of one site are smeared: a window's start, at two fifths of the time."""
        return max(1, round(0.4 * self.duration_s / WINDOW_S)) * WINDOW_S


def settings_toml(plan: DemoPlan, broker: dict[str, Any], ingest_port: int, run_port: int) -> str:
    """The server's settings: those of production, but with seconds where it has minutes."""
    return f"""\
data_dir = "{plan.folder}"

[mqtt]
port = {broker["port"]}
protocol = "{broker["protocol"]}"

[log]
tick = 0.25

[flow]
epoch = 0.5

[lake]
path = "{plan.lake}"

[drift]
window = {WINDOW_S}
grace = 2
round = 1
horizon = "PT1H"

[select]
labels_per_hour = 7200
labels_per_device_hour = 40
round = {WINDOW_S}
seed = "{plan.seed}"

[requests]
retry = 3
expire = 20

[metrics]
ingest_port = {ingest_port}
run_port = {run_port}
"""


def fleet(plan: DemoPlan, site: str, broker: dict[str, Any], start_at: float) -> dict[str, Any]:
    """The settings of the process that runs the devices of one site."""
    cameras = [f"cam-{number:03d}" for number in range(plan.devices) if SITES[number % len(SITES)] == site]
    devices = [_camera(plan, site, name, place) for place, name in enumerate(cameras)]
    if site == SITES[0]:
        devices.append({"device": "cam-broken", "site": site, "rate_hz": 1.0, "kind": "garbage"})
    return {
        "broker": broker,
        "bundle": str(plan.folder / "models" / "digits-1"),
        "images": str(plan.folder / "images.npz"),
        "dir": str(plan.folder / "devices" / site),
        "seed": plan.seed,
        "start_at": start_at,
        "duration_s": plan.duration_s,
        "batch_seconds": 1.0,
        "ack_timeout_s": 3.0,
        "devices": devices,
    }


def _camera(plan: DemoPlan, site: str, name: str, place: int) -> dict[str, Any]:
    """One camera; the second of each site has a bad link, the third of one site goes offline."""
    camera: dict[str, Any] = {"device": name, "site": site, "rate_hz": RATE_HZ}
    if site == BAD_SITE:
        camera["effects"] = [{"effect": "smear", "from_s": plan.smear_at_s, "strength": _SMEAR}]
    if place == 1:
        camera["link"] = {"drop": 0.15, "duplicate": 0.15, "reorder": 0.15}
    if place == 2 and site == SITES[1]:
        camera["offline"] = [{"from_s": 0.2 * plan.duration_s, "to_s": 0.6 * plan.duration_s}]
    return camera
