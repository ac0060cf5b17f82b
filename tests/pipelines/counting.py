"""A source of numbers for tests of sinks: it remembers how far it is, and can be made to end without a word."""

import time
from dataclasses import dataclass

from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition


@dataclass(frozen=True)
class Numbers(FixedPartitionedSource[int, int]):
    """0, 1, 2 … below `end`, one at a time.

    Attributes:
        end: the first number that does not come.
        abort_at: the flow aborts before this number; None for a flow that ends by itself.
        pause_s: before each number.
    """

    end: int
    abort_at: int | None = None
    pause_s: float = 0.0

    def list_parts(self) -> list[str]:
        return ["numbers"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "NumbersPart":
        return NumbersPart(self, resume_state or 0)


class NumbersPart(StatefulSourcePartition[int, int]):
    def __init__(self, source: Numbers, place: int) -> None:
        self._source, self._next = source, place

    def next_batch(self) -> list[int]:
        if self._next == self._source.abort_at:
            raise AbortExecution
        if self._next >= self._source.end:
            raise StopIteration
        time.sleep(self._source.pause_s)
        self._next += 1
        return [self._next - 1]

    def snapshot(self) -> int:
        return self._next
