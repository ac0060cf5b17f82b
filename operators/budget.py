"""Budget: how much may still be asked for, of labels and of bytes, this hour.

Spending is paced: an allowance grows with log time and can't be saved for longer than
`BURST` of an hour, so that one bad quarter of an hour does not use up the day's
attention. Whatever the pace, no clock hour spends more than its budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

HOUR_US: Final = 3_600_000_000
BURST: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in an hour, for one model.

    Attributes:
        labels: samples.
        bytes: raw bytes of these samples.
        device_labels: samples of one device.
        control_share: part of the labels, in [0, 1], that is drawn at random.
    """

    labels: int
    bytes: int
    device_labels: int
    control_share: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent, and may be now.

    Attributes:
        time_us: log time of the last allowance; -1 before the first.
        labels, bytes: allowance, unspent.
        control: allowance of control samples, a part of `labels`.
        hour: the clock hour the totals below are of.
        hour_labels, hour_bytes: spent in it.
        by_device: device → labels spent in it; at most as many as `hour_labels`.
    """

    time_us: int = -1
    labels: float = 0.0
    bytes: float = 0.0
    control: float = 0.0
    hour: int = -1
    hour_labels: int = 0
    hour_bytes: int = 0
    by_device: Mapping[str, int] = field(default_factory=dict)


def allow(spent: Spent, budget: Budget, start_us: int, end_us: int) -> Spent:
    """The allowance at the end of a round, `start_us … end_us` in log time.

    Time between the rounds counts too: it could have been used.
    """
    since = start_us if spent.time_us < 0 else spent.time_us
    share = max(0, end_us - since) / HOUR_US
    longest = max(BURST, min(1.0, (end_us - start_us) / HOUR_US))  # a long round may spend all that grew in it
    labels = min(spent.labels + budget.labels * share, max(1.0, budget.labels * longest))
    size = min(spent.bytes + budget.bytes * share, budget.bytes * longest)
    control = min(spent.control + budget.labels * budget.control_share * share, labels)
    spent = replace(spent, time_us=end_us, labels=labels, bytes=size, control=control)
    hour = end_us // HOUR_US  # the round's selections are of this time, to the lake too
    return spent if hour == spent.hour else replace(spent, hour=hour, hour_labels=0, hour_bytes=0, by_device={})


def affordable(spent: Spent, budget: Budget, device: str, size: int) -> bool:
    """Whether one more sample of `size` bytes from `device` is within every limit."""
    return (
        spent.labels >= 1
        and spent.bytes >= size
        and spent.hour_labels < budget.labels
        and spent.hour_bytes + size <= budget.bytes
        and spent.by_device.get(device, 0) < budget.device_labels
    )


def spend(spent: Spent, device: str, size: int, control: bool) -> Spent:
    """The state after one more sample of `size` bytes from `device`."""
    return replace(
        spent,
        labels=spent.labels - 1,
        bytes=spent.bytes - size,
        control=spent.control - (1 if control else 0),
        hour_labels=spent.hour_labels + 1,
        hour_bytes=spent.hour_bytes + size,
        by_device={**spent.by_device, device: spent.by_device.get(device, 0) + 1},
    )
