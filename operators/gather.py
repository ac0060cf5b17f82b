"""Gather: what one log partition has to say of each round of log time, about drift.

Everything that is counted of its devices' rows, up to when each of them has told everything, and which
of them fell silent. One state for each log partition; it is told whole at the end of a round.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from operators.dedup import Unique
from operators.panes import layout_of
from operators.quality import Counts, Key, Quality
from operators.silence import Silences, last_closed
from operators.watch import Policy, Told
from operators.watermarks import Watermarks
from operators.windows import Counted, Counting, Panes, add_panes, count_rows


@dataclass(slots=True)
class Gathered:
    """What one partition knows, and what it has counted since the last round.

    Attributes:
        quality: rejects and gaps.
        silences: windows in which its devices were there.
        round: the last round that was told; -1 before the first.
        panes: counted since.
        counted: what it remembers of rows.
        watermarks: up to when its devices have told everything.
    """

    quality: Quality
    silences: Silences
    round: int = -1
    panes: Panes = field(default_factory=dict)
    counted: Counted = field(default_factory=Counted)
    watermarks: Watermarks = field(default_factory=Watermarks)


def gather(gathered: Gathered, unique: Unique, counting: Counting, policy: Policy) -> Iterator[tuple[int, Told]]:
    """Take in what is new; give the round that its tick ends, if it ends one.

    Args:
        gathered: the state; updated in place.
        unique: what is new in some records of the log.
        counting: how rows are counted.
        policy: what is watched.
    """
    gathered.counted.known.learn(unique.devices)
    add_panes(gathered.panes, count_rows(gathered.counted, unique.inferences, counting))
    gathered.watermarks.advance(unique.inferences, unique.devices, unique.acks)
    gathered.silences.add(unique.inferences, unique.tick_us)
    gathered.quality.add(unique.rejects, unique.gaps)
    if unique.tick_us is not None and unique.tick_us // policy.round_us > gathered.round:
        gathered.round = unique.tick_us // policy.round_us
        yield gathered.round, _told(gathered, counting, policy)


def _told(gathered: Gathered, counting: Counting, policy: Policy) -> Told:
    """What is to be said of the round; nothing counted is left."""
    now = gathered.round * policy.round_us
    known, home = gathered.counted.known, gathered.watermarks.home
    panes, gathered.panes = gathered.panes, {}
    for key, counts in gathered.quality.close(counting.levels, known, home).items():
        add_panes(panes, _quality_pane(key, counts, counting))
    changes, silent = gathered.silences.tell(last_closed(now, policy.window_us, policy.grace_us), home)
    watermarks = gathered.watermarks.complete(counting.levels, known, silent)
    gathered.watermarks.forget(now - policy.horizon_us)
    return Told(panes, watermarks, tuple(changes))


def _quality_pane(key: Key, counts: Counts, counting: Counting) -> Panes:
    layout = layout_of(counting.scale(key[:2]))
    pane = np.zeros(layout.width, np.int64)
    pane[layout.at["quality"].stop - len(counts) : layout.at["quality"].stop] = counts
    return {key: pane}
