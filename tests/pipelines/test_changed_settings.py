"""Settings that change between two runs: what was counted by the old ones must not stop what the new ones decide."""

from pathlib import Path

import pytest

from benchmarks.fleet import DIMS, write_bundle
from pipelines.log import LogWriter, Message
from pipelines.views import connect
from schemas.topics import Up, up_topic
from tests.factories import NOON, header, payload
from tests.pipelines.commanding import QUIET, Gleaner, sets

SECOND = 1_000_000
SMALL = ("flow.epoch=0.1", "log.partitions=2", "drift.grace=1", "drift.false_alarm_days=0.001")


def go_on(folder: Path, begin: int, end: int) -> None:
    """A device sends ten rows each second, into a log that ticks."""
    with LogWriter(folder / "log", 2) as writer:
        for second in range(begin, end):
            now = NOON + second * SECOND
            of = header(
                model="bench", model_version=1, dims=DIMS, device_time_us=now - SECOND, count=10, first_seq=10 * second
            )
            writer.append([Message(up_topic("cam-1", Up.INFERENCES), payload(of, second))], now)
            writer.tick(now)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
def test_other_rounds_and_windows_are_judged_and_selected_from(
    before: int, after: int, tmp_path: Path, gleaner: Gleaner
) -> None:
    write_bundle(tmp_path / "models" / "bench-1", seed=1)
    rates = (
        "select.labels_per_hour=36000",
        "select.labels_per_device_hour=36000",
        "select.bytes_per_hour=1000000000000000",
    )
    for length, (begin, end) in ((before, (0, 40)), (after, (40, 100))):
        go_on(tmp_path, begin, end)
        times = (f"drift.round={length}", f"drift.window={length}", f"select.round={length}")
        done = gleaner(*sets(f"data_dir={tmp_path}", *QUIET, *SMALL, *rates, *times), "run", "--drain", "--mute")
        assert done.status == 0, done.err
    lake = connect(tmp_path / "lake")
    ends = lake.execute("select distinct epoch_us(window_end) - ? from drift order by 1", [NOON]).fetchall()
    lengths = lake.execute(
        "select distinct epoch(window_end - window_start) from drift where window_start >= to_timestamp(?)",
        [NOON / 1e6 + 48],
    ).fetchall()
    assert ends[-1][0] >= 90 * SECOND
    assert lengths == [(float(after),)]
    selected = lake.execute("select max(epoch_us(changed)) - ? from selections", [NOON]).fetchone()
    assert selected is not None
    assert selected[0] >= 90 * SECOND
