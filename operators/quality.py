"""Quality: how many records of each cohort and window were rejected or given up.

They have no row, so their site and model are those of the device's latest row when the round ends. What comes
of a device without any row is in the tables `rejects` and `gaps`, but counts for no cohort; nor does any of it
for a cohort by class.

A reject counts in the window of its receipt: what could not be used says nothing of its time that can be
relied on. A gap counts in the window of its `device_time`, held near the receipt like that of a row. So gaps
come out the same in any order (unless a clock is off), rejects only for the same log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from operators.cohorts import Level
from operators.decode import Clock
from operators.hellos import Known
from operators.runs import Ints, times_of
from operators.watermarks import Home

MOST: Final = 2**32
"""A single range of numbers counts as no more than this: a device may claim any."""
Counts = tuple[int, int]
"""(rejects, gaps), in records"""
Key = tuple[str, int, str, str, int]
"""(model, model version, level, cohort, start of the window in microseconds)"""


@dataclass(slots=True)
class Quality:
    """What one log partition counted in the round at hand.

    Attributes:
        window_us: length of a window.
        clock: how far devices' clocks are believed.
        counts: (device, start of the window) → counts; as many as the round has rows of `rejects` and `gaps`.
    """

    window_us: int
    clock: Clock
    counts: dict[tuple[str, int], Counts] = field(default_factory=dict)

    def add(self, rejects: pa.RecordBatch, gaps: pa.RecordBatch) -> None:
        """Take in the rows of a batch; a reject whose numbers can't be read counts as one."""
        if rejects.num_rows:
            self._add(rejects, times_of(rejects, "received"), lambda records: (records, 0))
        if gaps.num_rows:
            received = times_of(gaps, "received")
            near = np.clip(
                times_of(gaps, "device_time"), received - self.clock.horizon_us, received + self.clock.skew_us
            )
            self._add(gaps, near, lambda records: (0, records))

    def close(self, levels: Sequence[Level], known: Known, home: Callable[[str], Home | None]) -> dict[Key, Counts]:
        """What the round counted, by cohort and window; nothing is left here.

        Args:
            levels: that cut cohorts.
            known: what devices said of themselves.
            home: where a device's latest row came from.
        """
        counts, self.counts = self.counts, {}
        told: dict[Key, Counts] = {}
        for (device, start), more in counts.items():
            at = home(device)
            if at is not None:
                site, model, version = at
                for level in levels:
                    if not level.by_class:
                        cohort = level.of_device(device, site, known.now(device))
                        _count(told, (model, version, level.name, cohort, start), more)
        return told

    def _add(self, rows: pa.RecordBatch, times: Ints, counts: Callable[[int], Counts]) -> None:
        starts = (times // self.window_us * self.window_us).tolist()
        spans = zip(*(rows[name].to_pylist() for name in ("device", "first_seq", "last_seq")), strict=True)
        for start, (device, first, last) in zip(starts, spans, strict=True):
            if device is not None:
                records = 1 if first is None else min(last - first + 1, MOST)
                _count(self.counts, (device, start), counts(records))


def _count(to: dict[Any, Counts], key: Any, more: Counts) -> None:
    before = to.get(key, (0, 0))
    to[key] = (before[0] + more[0], before[1] + more[1])
