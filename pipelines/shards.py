"""Which shards an ingest process takes, and so which partitions of the log it writes."""

from dataclasses import dataclass
from itertools import groupby

from schemas.errors import SettingsError
from schemas.topics import SHARDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one ingest process takes of the fleet.

    Attributes:
        filters: what it subscribes to.
        partitions: those that it alone writes, in their order.
        suffix: of its client id, so that no two take each other's session; empty for the whole fleet.
    """

    filters: tuple[str, ...]
    partitions: tuple[int, ...]
    suffix: str


def share_of(told: str, partitions: int) -> Share:
    """What the setting `mqtt.shards` means for a log.

    Args:
        told: shards and ranges of them with a step, two hex digits each, as `00-7f,c0` or `01-ff/4`.
        partitions: of the log.

    Raises:
        SettingsError: it can't be read, or does not hold every shard of a partition that it has a shard of.
    """
    shards = _shards(told)
    owned = tuple(sorted({shard % partitions for shard in shards}))
    for partition in owned:
        whole = set(range(partition, SHARDS, partitions))
        if not whole <= shards:
            raise SettingsError(
                f"mqtt.shards {told}: partition {partition} of {partitions} needs all of its shards, "
                f"{partition:02x}-ff/{partitions}: add {', '.join(f'{s:02x}' for s in sorted(whole - shards)[:4])} …, "
                "or leave the partition to another"
            )
    if len(shards) == SHARDS:
        return Share(filters=("gleaner/v1/+/+/up/+",), partitions=owned, suffix="")
    filters = tuple(f"gleaner/v1/{shard:02x}/+/up/+" for shard in sorted(shards))
    return Share(filters=filters, partitions=owned, suffix=f"-{_runs(owned)}")


def _shards(told: str) -> set[int]:
    found: set[int] = set()
    for part in told.split(","):
        ends, _, step = part.strip().partition("/")
        first, dash, last = ends.partition("-")
        try:
            low, high, by = _shard(first), _shard(last if dash else first), int(step or "1")
            found |= set(range(low, high + 1, by))
        except ValueError as error:
            raise SettingsError(
                f"mqtt.shards {told}: {part.strip()!r} is no shard; say two hex digits, a range or a range with a "
                "step, as 00-7f,c0 or 01-ff/4"
            ) from error
        if low > high or by < 1:
            raise SettingsError(f"mqtt.shards {told}: {part.strip()!r} holds no shard")
    return found


def _shard(text: str) -> int:
    if len(text) != 2 or not text.isalnum():
        raise ValueError(text)
    return int(text, 16)


def _runs(numbers: tuple[int, ...]) -> str:
    """Numbers in few characters, as `0-3_6`."""
    runs = []
    for _, run in groupby(enumerate(numbers), lambda each: each[1] - each[0]):
        some = [number for _, number in run]
        runs.append(f"{some[0]}-{some[-1]}" if len(some) > 1 else f"{some[0]}")
    return "_".join(runs)
