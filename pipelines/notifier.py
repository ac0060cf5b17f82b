"""The notifier: tells people of alarms, with a courier for each way to reach them.

It never holds up the flow, and a target that is away holds up no other.
"""

import time
from collections.abc import Sequence

from pipelines import metrics
from pipelines.courier import Courier, Target


class Notifier:
    """Tells every target, in the background, until it is closed."""

    def __init__(self, targets: Sequence[Target]) -> None:
        """Start a courier for each target."""
        self._couriers: dict[str, Courier] = {}
        for target in targets:
            self._couriers[target.name] = Courier(target, self._count)
        self._count()

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of those to tell."""
        return tuple(self._couriers)

    def tell(self, notice_id: str, body: bytes, targets: Sequence[str]) -> None:
        """Tell these targets; returns at once. One that there is no more is left out."""
        for name in targets:
            if name in self._couriers:
                self._couriers[name].put(notice_id, body)
        self._count()

    def untold(self, notice_id: str) -> tuple[str, ...]:
        """The targets that have neither taken nor refused a notice yet."""
        return tuple(name for name, courier in self._couriers.items() if courier.has(notice_id))

    def forget(self, notice_id: str) -> None:
        """Tell a notice to nobody any more."""
        for courier in self._couriers.values():
            courier.drop(notice_id)
        self._count()

    def close(self, patience_s: float) -> None:
        """End, once all is told or so many seconds have passed; the next start tells what is left."""
        end = time.monotonic() + patience_s
        for courier in self._couriers.values():
            courier.wait(end - time.monotonic())
        for courier in self._couriers.values():
            courier.close()

    def _count(self) -> None:
        waiting: set[str] = set()
        for courier in tuple(self._couriers.values()):
            waiting.update(courier.ids())
        metrics.NOTICES_WAITING.set(len(waiting))
