"""The check sees each thing that can be wrong, and nothing where nothing is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.log import Message
from schemas.topics import Up, up_topic
from tests.factories import NOON, STREAM, header, payload
from tests.faults.ledger import Ledger
from tests.faults.samples import digest_of
from tests.faults.synthetic import DEVICE, GONE, SEED, Synthetic, ack, gap, outcome, reject, row, sound
from tests.pipelines import lakes


def _drop_row(made: Synthetic) -> None:
    del made.tables["inferences"][2]


def _add(table: str, *rows: dict[str, Any]) -> Callable[[Synthetic], None]:
    return lambda made: made.tables[table].extend(rows)


def _set(table: str, place: int, **changes: Any) -> Callable[[Synthetic], None]:
    return lambda made: made.tables[table][place].update(changes)


def _clear(table: str) -> Callable[[Synthetic], None]:
    return lambda made: made.tables.pop(table) and None


def _said(outcome: dict[str, Any]) -> Callable[[Synthetic], None]:
    return lambda made: made.outcomes.__setitem__(outcome["n"], outcome)


def _logged(topic: str, content: bytes) -> Callable[[Synthetic], None]:
    return lambda made: made.messages.append(Message(topic, content))


def _may_not_shed(made: Synthetic) -> None:
    made.events.clear()


UP = up_topic(DEVICE, Up.INFERENCES)
OTHER = STREAM[::-1]
WRONG = [
    ("lost", _drop_row),
    ("ack_before_durable", _drop_row),
    ("logged_but_lost", _drop_row),
    ("lost", _clear("gaps")),
    ("doubled", _add("inferences", row(2, log_offset=77))),
    ("repeated", _add("inferences", row(2))),
    ("doubled", _add("inferences", row(2, seq=50))),
    ("doubled", _add("gaps", gap(2, 2))),
    ("doubled", _add("gaps", gap(GONE, GONE, log_offset=900))),
    ("invented", _add("inferences", row(2, seq=50, sample_digest=bytes(32)))),
    ("invented", _add("inferences", row(2, device="somebody"))),
    ("invented", _add("gaps", gap(70, 75))),
    ("altered", _set("inferences", 1, sample_bytes=1)),
    ("altered", _set("inferences", 1, device_time=1)),
    ("altered", _set("inferences", 1, seq=60)),
    ("altered", _set("inferences", 1, sample_digest=bytes(32))),
    ("altered", _set("inferences", 1, stream=OTHER.hex())),
    ("refused_but_present", _said({"do": "refused", "n": 1})),
    ("rejected_though_sound", _add("rejects", reject(11, device=DEVICE, stream=STREAM.hex(), first_seq=0, last_seq=0))),
    ("gap_unexplained", _may_not_shed),
    ("repeated", _add("rejects", reject(9))),
    ("ack_before_durable", lambda made: made.acks.append(ack(2, ahead=9, holes=[[3, 6]]))),
    ("logged_but_lost", _logged(UP, payload(header(first_seq=40, count=2)))),
    ("reject_missing", _logged(UP, b"garbage")),
    ("selection_without_one_end", lambda made: made.tables["selections"].pop()),
    ("selection_without_one_end", _add("selections", lakes.selection("ab", "expired", NOON + 2))),
    ("delivered_without_sample", _clear("samples")),
    ("delivered_without_sample", _set("selections", 1, status="expired")),
    ("sample_altered", _set("samples", 0, sample=b"other")),
]


def test_a_sound_world_has_no_finding(tmp_path: Path) -> None:
    verdict = sound().judge(tmp_path)
    assert verdict.findings == {}
    assert verdict.counts["records"] == 6
    assert verdict.counts["gaps"] == 1
    assert verdict.counts["rejects"] == 1


@pytest.mark.parametrize(("kind", "wrong"), WRONG, ids=[f"{place}-{kind}" for place, (kind, _) in enumerate(WRONG)])
def test_what_is_wrong_is_found(kind: str, wrong: Callable[[Synthetic], Any], tmp_path: Path) -> None:
    made = sound()
    wrong(made)
    assert kind in made.judge(tmp_path).findings


@pytest.mark.parametrize("there", [True, False])
def test_a_record_whose_hand_over_was_cut_off_may_be_there_once_or_not_at_all(there: bool, tmp_path: Path) -> None:
    made = sound()
    made.outcomes = made.outcomes[:-1]
    made.acks = [ack(4)]
    if not there:
        made.tables["inferences"].pop()
    assert made.judge(tmp_path).findings == {}


def test_what_was_only_on_a_disk_that_was_wiped_is_excused(tmp_path: Path) -> None:
    made = sound()
    made.events.append({"do": "wiped"})
    made.tables["inferences"].pop()
    made.acks = [ack(4)]
    assert made.judge(tmp_path).findings == {}


def test_what_was_accepted_between_a_copy_and_its_return_is_excused_and_nothing_else(tmp_path: Path) -> None:
    made = sound()
    made.outcomes.insert(3, {"do": "copied", "as": "copy"})
    made.events.append({"do": "restored", "as": "copy"})
    made.tables["inferences"].pop()
    assert made.judge(tmp_path / "excused").findings == {}
    made.tables["inferences"].pop(0)
    assert "lost" in made.judge(tmp_path / "lost").findings


def test_a_fork_that_was_set_aside_with_its_message_is_not_lost(tmp_path: Path) -> None:
    made = sound()
    made.events += [{"do": "copied", "as": "copy"}, {"do": "restored", "as": "copy"}, outcome(5)]
    made.tables["inferences"].pop()
    lost = made.judge(tmp_path / "lost").findings
    assert "lost" in lost
    held = b"before" + digest_of(SEED, DEVICE, 5) + b"after"
    fork = reject(30, device=DEVICE, reason="fork", stream=STREAM.hex(), first_seq=5, last_seq=5, payload=held)
    made.tables["rejects"].append(fork)
    assert made.judge(tmp_path / "held").findings == {}


def test_repeats_are_counted_from_the_log(tmp_path: Path) -> None:
    made = sound()
    made.messages *= 3
    assert made.judge(tmp_path).counts["duplicates_removed"] == 2 * GONE


def test_a_ledger_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = Ledger(tmp_path, DEVICE)
    assert first.intend(SEED, 3) == range(3)
    first.close()
    second = Ledger(tmp_path, DEVICE)
    assert second.intend(SEED, 2) == range(3, 5)
    second.close()
