"""What the log hands to the dataflow: messages as they were received."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Consecutive records of one log partition.

    The columns are lists, because payloads are Python bytes on both sides of them;
    everything after `decode` is Arrow. Time comes from the log alone: a tick is a
    record that ingest writes on a timer, so a replay sees the same time pass.

    Attributes:
        partition: number of the log partition.
        offsets: (n,) place in the partition, increasing.
        received_us: (n,) microseconds since 1970, never decreasing.
        topics: (n,) as received.
        payloads: (n,) as received.
        tick_us: the time of the tick that follows these records, if one does.
    """

    partition: int
    offsets: list[int]
    received_us: list[int]
    topics: list[str]
    payloads: list[bytes]
    tick_us: int | None = None
