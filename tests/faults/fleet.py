"""Who is in the fleet: which process holds which devices, and what they are like."""

from dataclasses import dataclass
from typing import Final

from edge_publisher.settings import BrokerSettings, SendingSettings, StorageSettings

SENDING: Final = SendingSettings(
    batch_rows=16, batch_seconds=0.5, ack_timeout_s=1.5, max_unacknowledged=512, status_seconds=2.0
)
_ROOMY: Final = StorageSettings(outbox_bytes=16 << 20, ring_bytes=4 << 20)
_TINY: Final = StorageSettings(outbox_bytes=512 << 10, ring_bytes=4 << 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One device.

    Attributes:
        process: name of the process that it lives in.
        model: `small`, or `wide` for one whose outbox is so small that a few seconds without Gleaner fill it.
        every_s: between two bursts, on average.
        burst: most records of one burst.
    """

    device: str
    process: str
    model: str = "small"
    every_s: float = 0.3
    burst: int = 8

    @property
    def storage(self) -> StorageSettings:
        """What it may keep."""
        return _TINY if self.model == "wide" else _ROOMY


FLEET: Final = (
    Spec(device="cam-a1", process="devices-a"),
    Spec(device="cam-a2", process="devices-a", burst=3),
    Spec(device="tiny-a", process="devices-a", model="wide", every_s=0.2, burst=12),
    Spec(device="cam-b1", process="devices-b"),
    Spec(device="cam-b2", process="devices-b", every_s=0.6, burst=20),
    Spec(device="tiny-b", process="devices-b", model="wide", every_s=0.2, burst=12),
)
"""Devices whose records are in a ledger."""
GARBAGE: Final = {"devices-b": "garbage-1"}
"""Devices that send nothing of use, and keep no ledger."""
PROCESSES: Final = tuple(sorted({spec.process for spec in FLEET}))
PARTITIONS: Final = 2


def broker(port: int) -> BrokerSettings:
    """A link that comes back fast."""
    return BrokerSettings(host="127.0.0.1", port=port, keepalive_s=5, backoff_first_s=0.1, backoff_most_s=0.5)
