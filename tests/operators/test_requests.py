"""Requests: each is asked until it ends, and ends once."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import Receipt
from operators.requests import Open, Patience, answer, ask, tick
from operators.select import Selection, request_id
from operators.tabulate import tabulate
from schemas.errors import Reason
from schemas.tables import SAMPLES, SELECTIONS
from schemas.wire_pb2 import Sample
from tests.factories import NOON, STREAM, candidate

RAW = b"the raw sample"
PATIENCE = Patience(retry_us=100, expire_us=1000)


def selection(seq: int = 0, time_us: int = NOON, **changes: Any) -> Selection:
    changes = {"sample_digest": hashlib.sha256(RAW).digest(), "sample_bytes": len(RAW)} | changes
    of = candidate(seq, **changes)
    return Selection(
        request_id=request_id(of.row),
        candidate=of,
        model="digits",
        strategy="control",
        probability=0.25,
        time_us=time_us,
    )


def opened(*selections: Selection) -> Open:
    requests: Open = {}
    ask(requests, selections or [selection()], PATIENCE)
    return requests


def receipt(device: str = "cam-1", received_us: int = NOON + 50) -> Receipt:
    return Receipt(device, "topic", received_us, 7, b"")


def reply(outcome: str = "delivered", of: Selection | None = None, raw: bytes = RAW) -> Sample:
    id_ = (of or selection()).request_id
    return Sample(schema=1, stream=STREAM, request_id=id_, outcome=outcome, content_type="image/png", sample=raw)


def test_a_selection_is_asked_for_once() -> None:
    requests: Open = {}
    send, rows = ask(requests, [selection(), selection(), selection(1)], PATIENCE)
    assert [request.selection.candidate.row["seq"] for request in send] == [0, 1]
    assert [(row["status"], row["changed"]) for row in rows] == [("requested", NOON)] * 2
    assert ask(requests, [selection(time_us=NOON + 5)], PATIENCE) == ([], [])
    (row,) = tabulate(SELECTIONS, rows[:1]).to_pylist()
    assert (row["request_id"], row["strategy"], row["probability"]) == (selection().request_id.hex(), "control", 0.25)


def test_the_right_bytes_are_delivered() -> None:
    requests = opened()
    found = answer(requests, 3, receipt(), reply(), {})
    assert (requests, found.refusal) == ({}, None)
    (row,), (sample,) = found.selections, tabulate(SAMPLES, found.samples).to_pylist()
    assert (row["status"], row["changed"]) == ("delivered", NOON + 50)
    assert hashlib.sha256(sample["sample"]).digest() == sample["sample_digest"]
    assert (sample["sample"], sample["content_type"]) == (RAW, "image/png")
    assert (sample["log_partition"], sample["log_offset"], sample["model"]) == (3, 7, "digits")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.DIGEST_MISMATCH),
        (b"other bytes", Reason.DIGEST_MISMATCH),
        (RAW + b"\0", Reason.OVERSIZE),  # more than was announced, and charged to the budget
    ],
)
def test_other_bytes_are_rejected_and_still_waited_for(raw: bytes, reason: Reason) -> None:
    requests = opened()
    found = answer(requests, 0, receipt(), reply(raw=raw), {})
    assert found.refusal is not None
    assert found.refusal.error.reason == reason
    assert (found.selections, found.samples) == ((), ())
    assert answer(requests, 0, receipt(), reply(), {}).samples


@pytest.mark.parametrize("outcome", ["evicted", "too_large"])
def test_a_refusal_ends_a_request_with_its_reason(outcome: str) -> None:
    requests = opened()
    found = answer(requests, 0, receipt(), reply(outcome, raw=b""), {})
    assert [(row["status"], row["detail"]) for row in found.selections] == [("refused", outcome)]
    assert (requests, found.samples, found.refusal) == ({}, (), None)


def test_nobody_asked() -> None:
    requests = opened()
    stranger = answer(requests, 0, receipt(), reply(of=selection(5)), {})
    other_device = answer(requests, 0, receipt("cam-2"), reply(), {})
    for found in (stranger, other_device):
        assert found.refusal is not None
        assert found.refusal.error.reason == Reason.UNASKED
        assert (found.selections, found.samples) == ((), ())
    assert len(requests) == 1


def test_a_repeated_reply_says_nothing_new() -> None:
    requests = opened()
    answer(requests, 0, receipt(), reply(), {})
    again = answer(requests, 0, receipt(), reply(), {selection().request_id: None})
    assert (again.selections, again.samples, again.refusal) == ((), (), None)


def test_retries_and_the_end_come_in_log_time() -> None:
    requests, asked, ended = opened(), [], []
    for time in range(NOON, NOON + 2000, 10):
        due, rows = tick(requests, time, PATIENCE)
        asked += [time - NOON for _ in due]
        ended += [(row["status"], row["changed"] - NOON) for row in rows]
    assert asked == list(range(100, 1000, 100))
    assert ended == [("expired", 1000)]
    assert requests == {}


def test_after_a_long_silence_there_is_one_retry_not_many() -> None:
    requests = opened()
    assert len(tick(requests, NOON + 950, PATIENCE)[0]) == 1
    assert tick(requests, NOON + 951, PATIENCE) == ([], [])


def test_what_expired_is_not_asked_for_again() -> None:
    due, rows = tick(opened(), NOON + 5000, PATIENCE)
    assert (due, [row["status"] for row in rows]) == ([], ["expired"])


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "good", "bad", "evicted", "stranger", "tick")), st.integers(0, 3), st.integers(0, 600)
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=200)
@given(EVENTS)
def test_every_request_ends_once(events: list[tuple[str, int, int]]) -> None:
    requests: Open = {}
    ended: dict[bytes, None] = {}
    rows: list[dict[str, Any]] = []
    samples: list[Any] = []
    time, asked = NOON, set[int]()
    for what, seq, later in [*events, ("tick", 0, 5000)]:
        time += later
        if what == "ask" and seq not in asked:
            asked.add(seq)
            rows += ask(requests, [selection(seq, time)], PATIENCE)[1]
        elif what == "tick":
            rows += tick(requests, time, PATIENCE)[1]
        elif what != "ask":
            said = reply(
                "evicted" if what == "evicted" else "delivered", selection(seq), RAW if what == "good" else b"?"
            )
            found = answer(requests, 0, receipt("cam-9" if what == "stranger" else "cam-1", time), said, ended)
            rows += found.selections
            samples += found.samples
        ended |= {bytes.fromhex(row["request_id"]): None for row in rows if row["status"] != "requested"}
    assert requests == {}
    for seq in asked:
        lives = [row["status"] for row in rows if row["seq"] == seq]
        assert lives[0] == "requested"
        assert len(lives) == 2
    assert len(rows) == 2 * len(asked)
    assert len(samples) == sum(row["status"] == "delivered" for row in rows)
