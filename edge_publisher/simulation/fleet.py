"""Many simulated devices in one process, through the same code as one real device.

What happens is told as one JSON object at a time: `progress` each second,
`drained` once the sensors have stopped and all outboxes are empty, `end` at last.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_publisher.model import Model
from edge_publisher.simulation.fleet_settings import DeviceSpec, FleetSettings
from edge_publisher.simulation.member import Member, Scene, member
from edge_publisher.stop import Stop
from schemas import bundle
from schemas.errors import SettingsError

_TICK_S: Final = 0.1
_PROGRESS_S: Final = 1.0

Tell = Callable[[dict[str, Any]], None]


def run(settings: FleetSettings, stop: Event | Stop, tell: Tell) -> None:
    """Run the fleet until `stop` is set.

    Raises:
        GleanerError: a bundle, a pool of images or a folder that can't be used.
    """
    images, labels = _pool(Path(settings.images))
    scene = Scene(
        settings=settings,
        model=Model(bundle.read(Path(settings.bundle))),
        images=images,
        labels=labels,
        elapsed=lambda: time.time() - settings.start_at,
    )
    with ExitStack() as files:
        members = []
        for spec in settings.devices:
            members.append(member(spec, scene))
            files.callback(members[-1].close)
        _run(members, scene, stop, tell)
        tell({"event": "end", "devices": [each.report() for each in members]})


def _run(members: Sequence[Member], scene: Scene, stop: Event | Stop, tell: Tell) -> None:
    sensing = Event()
    with ThreadPoolExecutor(len(members), thread_name_prefix="device") as pool:
        try:
            stop.wait(max(0.0, -scene.elapsed()))
            working = [pool.submit(each.run, sensing, stop) for each in members]
            _watch(members, scene, sensing, stop, tell)
        finally:
            sensing.set()
            stop.set()
        _raise_first(working)


def _watch(members: Sequence[Member], scene: Scene, sensing: Event, stop: Event | Stop, tell: Tell) -> None:
    """Switch links and sensors by the clock, and tell how it goes, until `stop`."""
    told_s, drained = -_PROGRESS_S, False
    while not stop.wait(_TICK_S):
        t = scene.elapsed()
        if t >= scene.settings.duration_s:
            sensing.set()
        for each, spec in zip(members, scene.settings.devices, strict=True):
            each.link.wanted = sensing.is_set() or not _is_offline(spec, t)
        if t - told_s >= _PROGRESS_S:
            told_s = t
            tell({"event": "progress"} | _totals(members, t))
        if sensing.is_set() and not drained and all(each.is_drained() for each in members):
            drained = True
            tell({"event": "drained"} | _totals(members, t))


def _is_offline(spec: DeviceSpec, t: float) -> bool:
    return any(each.from_s <= t and (each.to_s is None or t < each.to_s) for each in spec.offline)


def _totals(members: Sequence[Member], t: float) -> dict[str, Any]:
    reports = [each.report() for each in members]
    sums = {key: sum(report[key] for report in reports) for key in reports[0] if key != "device"}
    return {"t": round(t, 3), "connected": sum(each.link.connected for each in members), **sums}


def _raise_first(working: Sequence[Future[None]]) -> None:
    for each in working:
        each.result()


def _pool(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images (n, h, w) uint8 and labels (n,) of an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as found:
            images, labels = found["images"], found["labels"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SettingsError(f"{path}: an .npz with images and labels is needed: {error}") from error
    fits = images.ndim == 3 and images.dtype == np.uint8 and labels.shape == images.shape[:1] and len(images) > 0
    if not fits or labels.dtype.kind not in "iu":
        raise SettingsError(f"{path}: images must be (n, h, w) uint8 and labels (n,) integers")
    return images, labels
