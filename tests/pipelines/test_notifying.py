"""Notices leave once their epoch is committed, and stay in the state until everybody has been told."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from operators.notices import Notice, encode, notices
from pipelines import notifying
from pipelines.healing import Healing
from pipelines.notifier import Notifier
from pipelines.notifying import NoticePart, NoticeSink
from pipelines.sources import Stopper
from pipelines.webhook import Webhook
from tests.operators.test_notices import alarm
from tests.pipelines.counting import Numbers
from tests.pipelines.hooks import WAIT_S, Hook, hooked, until

NUMBERS = 40


def notice(number: int, life: int = 0) -> Notice:
    """Of one alarm; each life of the flow makes others, so that it shows which of them were told."""
    [made] = notices([alarm(number, cause=f"cause-{number}", cohort=f"life-{life}")])
    return made


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("gleaner_notices_total", {"target": "webhook", "outcome": outcome}) or 0.0


def waiting() -> float | None:
    return REGISTRY.get_sample_value("gleaner_notices_waiting")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly."""
    monkeypatch.setattr("pipelines.backoff._BACKOFF_S", (0.01, 0.05))


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as made:
        yield made


@pytest.fixture
def notifier(hook: Hook) -> Iterator[Notifier]:
    made = Notifier([Webhook(hook.url)])
    yield made
    made.close(0)


@pytest.fixture
def sink(notifier: Notifier, tmp_path: Path) -> NoticeSink:
    return NoticeSink(notifier, 1, Healing(tmp_path / "healing"), Stopper())


def part_of(sink: NoticeSink, resumed: Any = None) -> NoticePart:
    return sink.build_part("people", "000", resumed)


# in a dataflow


def live(life: int, abort_at: int | None, hook: Hook, folder: Path) -> None:
    """One life of a dataflow over the numbers that were not committed yet, a few in each epoch."""
    notifier = Notifier([Webhook(hook.url)])
    flow = Dataflow("notices")
    numbers = op.input("numbers", flow, Numbers(NUMBERS + 5, abort_at, 0.002))  # the last ones tell nothing
    made = op.map("make", numbers, lambda n: ("000", (notice(n, life),) if n < NUMBERS else ()))
    op.output("people", made, NoticeSink(notifier, 1, Healing(folder / "healing"), Stopper()))
    epoch = timedelta(milliseconds=0 if abort_at is None else 2 * life)  # 0: an epoch for each number
    try:
        cluster_main(flow, [], 0, epoch_interval=epoch, recovery_config=RecoveryConfig(folder / "db"))
    finally:
        notifier.close(WAIT_S if hook.status == 200 else 0.05)


@pytest.mark.parametrize("seed", range(4))
def test_over_aborts_each_notice_is_told_and_only_if_it_is_committed(hook: Hook, tmp_path: Path, seed: int) -> None:
    (tmp_path / "db").mkdir()
    init_db_dir(tmp_path / "db", 1)
    chance = random.Random(seed)
    for life, abort_at in enumerate([*sorted(chance.sample(range(2, NUMBERS), 5)), None]):
        hook.status = 503 if abort_at is not None and chance.random() < 0.5 else 200
        live(life, abort_at, hook, tmp_path)
    told: dict[str, set[tuple[str, str]]] = {}
    for each in hook.taken():
        told.setdefault(each["cause"], set()).add((each["id"], each["alarms"][0]["cohort"]))
    assert told.keys() == {f"cause-{number}" for number in range(NUMBERS)}
    assert all(len(ways) == 1 for ways in told.values()), "a notice of an epoch that was not committed was told"
    assert len({next(iter(ways))[1] for ways in told.values()}) > 1  # of several lives


# epoch by epoch


def test_nothing_is_told_before_its_epoch_is_committed(hook: Hook, sink: NoticeSink, notifier: Notifier) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),), (), (notice(2), notice(3))])
    part.snapshot()
    notifier.close(0.3)
    assert hook.heard == []


def test_what_is_committed_is_told_with_the_first_item_of_the_next_epoch(hook: Hook, sink: NoticeSink) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),), (notice(2),)])
    assert [each[:2] for each in part.snapshot()] == [(n["id"], encode(n)) for n in (notice(1), notice(2))]
    part.write_batch([()])
    until(lambda: len(hook.taken()) == 2)
    assert hook.taken() == [notice(1), notice(2)]


def test_a_notice_leaves_the_state_once_it_is_told(hook: Hook, sink: NoticeSink, notifier: Notifier) -> None:
    hook.status = 503
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    first = part.snapshot()
    part.write_batch([(notice(2),)])
    until(lambda: len(hook.heard) >= 1)
    assert [each[0] for each in part.snapshot()] == [notice(1)["id"], notice(2)["id"]]
    hook.status = 200
    part.write_batch([()])
    until(lambda: len(hook.taken()) == 2)
    until(lambda: not notifier.untold(notice(2)["id"]))
    assert part.snapshot() == ()
    assert len(first) == 1
    assert waiting() == 0


def test_a_life_goes_on_telling_what_the_one_before_could_not(hook: Hook, sink: NoticeSink, notifier: Notifier) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    state = part.snapshot()
    later = part_of(sink, state)
    assert later.snapshot() == state
    assert hook.heard == []
    later.write_batch([()])
    until(lambda: hook.taken() == [notice(1)])


def test_only_targets_that_were_not_told_are_told_again(hook: Hook, sink: NoticeSink) -> None:
    state = ((notice(1)["id"], encode(notice(1)), ("mqtt",)), (notice(2)["id"], encode(notice(2)), ("mqtt", "webhook")))
    part = part_of(sink, state)
    part.write_batch([()])
    until(lambda: hook.taken() == [notice(2)])
    until(lambda: part.snapshot() == ())  # there is no target `mqtt` any more


def test_at_a_clean_end_the_last_epoch_is_told_too(hook: Hook, sink: NoticeSink) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    part.snapshot()
    sink.stopper.clean.set()
    part.close()
    until(lambda: hook.taken() == [notice(1)])


def test_at_another_end_the_next_start_tells(hook: Hook, sink: NoticeSink, notifier: Notifier) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    part.snapshot()
    part.close()
    notifier.close(0.2)
    assert hook.heard == []


def test_while_healing_nobody_is_told(hook: Hook, sink: NoticeSink, notifier: Notifier) -> None:
    sink.healing.folder.mkdir()
    sink.healing.begin({0: 10}, 0, {})
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    part.snapshot()
    part.write_batch([()])
    assert part.snapshot() == ()
    sink.healing.published(0, 10)
    assert not sink.healing.active
    part.write_batch([(notice(2),)])
    part.snapshot()
    part.write_batch([()])
    until(lambda: hook.taken() == [notice(2)])


def test_a_run_that_tells_nobody_keeps_what_another_could_not_tell_and_no_more(tmp_path: Path) -> None:
    state = ((notice(1)["id"], encode(notice(1)), ("webhook",)),)
    mute = NoticeSink(Notifier([]), 1, Healing(tmp_path / "healing"), Stopper())
    part = part_of(mute, state)
    for _ in range(3):
        part.write_batch([(notice(2),)])
        assert part.snapshot() == state


def test_each_log_partition_is_one_of_the_sink(sink: NoticeSink, notifier: Notifier) -> None:
    several = NoticeSink(notifier, 3, sink.healing, sink.stopper)
    assert several.list_parts() == ["000", "001", "002"]
    assert [several.part_fn(key) for key in several.list_parts()] == [0, 1, 2]


# bounds


def test_beyond_the_bound_the_oldest_are_dropped_and_it_is_said(
    hook: Hook, sink: NoticeSink, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "MOST_WAITING", 5)
    hook.status, before = 503, count("dropped")
    part = part_of(sink)
    with capture_logs() as logs:
        for number in range(8):
            part.write_batch([(notice(number),)])
            state = part.snapshot()
    assert [each[0] for each in state] == [notice(number)["id"] for number in range(3, 8)]
    assert count("dropped") - before == 3
    assert sum(entry["dropped"] for entry in logs if entry["log_level"] == "error" and "dropped" in entry) == 3
    hook.status = 200
    part.write_batch([()])
    until(lambda: not notifier.untold(notice(7)["id"]))
    causes = [each["cause"] for each in hook.taken()]
    assert causes[-5:] == [f"cause-{number}" for number in range(3, 8)]


def test_the_state_is_bounded_in_bytes_too(hook: Hook, sink: NoticeSink, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(encode(notice(10)))
    monkeypatch.setattr(notifying, "MOST_WAITING_BYTES", 3 * size)
    hook.status = 503
    part = part_of(sink)
    part.write_batch([tuple(notice(number) for number in range(10, 20))])
    assert [each[0] for each in part.snapshot()] == [notice(number)["id"] for number in (17, 18, 19)]


def test_what_is_stored_is_plain(sink: NoticeSink) -> None:
    part = part_of(sink)
    part.write_batch([(notice(1),)])
    [(name, body, targets)] = part.snapshot()
    assert [type(each) for each in (name, body, *targets)] == [str, bytes, str]
