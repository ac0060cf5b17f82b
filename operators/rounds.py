"""Rounds: what several partitions say of the same stretch of log time, together.

Partitions are read at their own pace. Decisions that look at all of them wait here
until each has told its part of a round, and then take the parts in a fixed order:
so a replay, or a restart in the middle, decides the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What one partition has to say of a round.

    Attributes:
        partition: which one.
        round: number of the round; a partition's rounds increase, but may skip some.
        content: whatever it says.
    """

    partition: int
    round: int
    content: T


@dataclass(slots=True)
class Rounds(Generic[T]):
    """Parts that wait for the others.

    Attributes:
        partitions: how many parts make a round whole.
        told: partition → the last round it told.
        waiting: parts of rounds that are not whole yet; as many rounds as the fastest
            partition is ahead of the slowest.
    """

    partitions: int
    told: dict[int, int] = field(default_factory=dict)
    waiting: list[Part[T]] = field(default_factory=list)

    def add(self, part: Part[T]) -> Iterator[list[Part[T]]]:
        """Take a part in; give each round that it makes whole, in order.

        A partition that skipped a round had nothing to say of it.
        """
        self.told[part.partition] = part.round
        self.waiting.append(part)
        if len(self.told) < self.partitions:
            return
        whole = min(self.told.values())
        ready = sorted((p for p in self.waiting if p.round <= whole), key=lambda p: (p.round, p.partition))
        self.waiting = [p for p in self.waiting if p.round > whole]
        for number in sorted({p.round for p in ready}):
            yield [p for p in ready if p.round == number]

    def snapshot(self) -> tuple[Any, ...]:
        """The state as plain values."""
        return (tuple(self.told.items()), tuple((p.partition, p.round, p.content) for p in self.waiting))

    @classmethod
    def restore(cls, partitions: int, state: tuple[Any, ...] | None) -> "Rounds[T]":
        """What `snapshot` gave, or the empty state."""
        if state is None:
            return cls(partitions)
        told, waiting = state
        return cls(partitions, dict(told), [Part(*each) for each in waiting])
