"""Watermarks: what a device has told completely follows from the set of its messages, not from their order."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cohorts import levels
from operators.decode import Clock, decode
from operators.dedup import dedup
from operators.hellos import MAX_DEVICES, Facts, Known
from operators.streams import Streams
from operators.validate import ModelShape
from operators.watermarks import IN_HAND_US, NEWEST, Home, Progress, Watermarks
from pipelines.states import pack, unpack
from schemas.embedding import Codec
from schemas.envelope import seal
from schemas.topics import Up
from schemas.wire_pb2 import Gap, Gaps, Hello, Status
from tests.factories import LABELS, NOON, STREAM, Message, header, log, payload

SECOND = 1_000_000
LATER = NOON + 3600 * SECOND  # when all of it arrives
KNOWN = {("digits", 3): ModelShape(labels=LABELS, codec=Codec.I8, dims=4)}
OTHER = bytes(16)


@dataclass(frozen=True)
class Piece:
    """One message, and what follows from it: for each number the time of its row, or None where it has none."""

    device: str
    stream: bytes
    first: int
    times: tuple[int | None, ...]
    home: Home
    message: Message


def rows(device: str, stream: bytes, first: int, times: Sequence[int | None], **more: Any) -> Piece:
    """Rows, those without a time faulty; times in seconds after noon."""
    of = header(stream=stream, first_seq=first, count=len(times), **more)
    scores = np.array([[np.nan if time is None else 0.5, 0.2] for time in times], np.float32)
    delta = np.array([(time or 0) * SECOND for time in times], np.int32)
    sealed = payload(of, first, scores=scores.ravel(), device_time_delta_us=delta)
    told = tuple(None if time is None else NOON + time * SECOND for time in times)
    return Piece(device, stream, first, told, (of.site, of.model, of.model_version), (device, Up.INFERENCES, sealed))


def given_up(device: str, stream: bytes, first: int, count: int) -> Piece:
    gap = Gap(first_seq=first, last_seq=first + count - 1, reason="full", device_time=NOON)
    sealed = seal(Gaps(schema=1, stream=stream, gaps=[gap]))
    return Piece(device, stream, first, (None,) * count, ("", "", 0), (device, Up.GAPS, sealed))


def word(device: str, stream: bytes, next_seq: int, second: int, kind: Up = Up.STATUS) -> Message:
    of = Status if kind is Up.STATUS else Hello
    time = NOON + second * SECOND + IN_HAND_US
    return device, kind, seal(of(schema=1, stream=stream, next_seq=next_seq, device_time=time))


@st.composite
def pieces(draw: st.DrawFn, device: str, stream: bytes) -> list[Piece]:
    """The messages of one stream: its numbers cut into runs, each once; clocks may step back."""
    made: list[Piece] = []
    at = 0
    for count in draw(st.lists(st.integers(1, 4), max_size=6)):
        if draw(st.integers(0, 4)) == 0:
            made.append(given_up(device, stream, at, count))
        else:
            times = draw(st.lists(st.none() | st.integers(0, 900), min_size=count, max_size=count))
            site, version = draw(st.sampled_from(("north", "south"))), draw(st.sampled_from((3, 4)))
            if version == 4:  # nothing is known of it, so only scores can be faulty
                times = [time or 0 for time in times]
            made.append(rows(device, stream, at, times, site=site, model_version=version))
        at += count
    return made


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Piece], list[Message]]:
    """The messages of two devices, some of which never arrive, and what the devices say of themselves."""
    all_pieces: list[Piece] = []
    words: list[Message] = []
    for device, stream in itertools.product(("cam-1", "cam-2"), (STREAM, OTHER)):
        all_pieces += [each for each in draw(pieces(device, stream)) if draw(st.integers(0, 5))]
        for _ in range(draw(st.integers(0, 2))):
            kind = draw(st.sampled_from((Up.STATUS, Up.HELLO)))
            words.append(word(device, stream, draw(st.integers(0, 20)), draw(st.integers(0, 900)), kind))
    return all_pieces, words


def run(messages: Sequence[Message], cuts: Sequence[int] = (), received_us: int = LATER) -> Watermarks:
    streams: Streams = {}
    watermarks = Watermarks()
    edges = [0, *sorted({min(cut, len(messages)) for cut in cuts}), len(messages)]
    for first, last in itertools.pairwise(edges):
        records = log(messages[first:last], first, received_us)
        unique = dedup(streams, decode(records, KNOWN, clock=Clock()))
        watermarks.advance(unique.inferences, unique.devices, unique.acks)
        watermarks = Watermarks.of(unpack(pack(watermarks.snapshot())))
    return watermarks


def wanted(all_pieces: Sequence[Piece], words: Sequence[Message], device: str) -> int:
    """By the definition, number by number."""
    streams: dict[bytes, dict[int, int | None]] = {}
    for piece in all_pieces:
        if piece.device == device:
            streams.setdefault(piece.stream, {}).update(zip(itertools.count(piece.first), piece.times, strict=False))
    said: dict[bytes, list[tuple[int, int]]] = {}
    for sender, kind, sealed in words:
        if sender == device:
            told = (Status if kind is Up.STATUS else Hello).FromString(sealed)
            said.setdefault(told.stream, []).append((told.next_seq - 1, told.device_time - IN_HAND_US))
    found = []
    for stream in streams.keys() | said.keys():
        times = streams.get(stream, {})
        lived = [time for time in times.values() if time is not None] + [time for _, time in said.get(stream, [])]
        if not lived:  # nothing but rejects and gaps
            continue
        through = next(number for number in itertools.count() if number not in times) - 1
        settled = [(number, time) for number, time in times.items() if time is not None and number <= through]
        last, until = max(settled, default=(-1, -1))
        said_last, said_until = max(said.get(stream, []), default=(-1, -1))
        if last <= said_last <= through:
            until = said_until
        found.append((max(lived), stream, until))
    return max(found)[2] if found else -1


@settings(deadline=None, max_examples=150)
@given(fleets(), st.data())
def test_the_same_messages_in_any_order_give_the_same_watermarks(
    fleet: tuple[list[Piece], list[Message]], data: st.DataObject
) -> None:
    all_pieces, words = fleet
    messages = [piece.message for piece in all_pieces] + words
    again = data.draw(st.lists(st.sampled_from(messages), max_size=5) if messages else st.just([]))
    order = data.draw(st.permutations(messages + again))
    watermarks = run(order, data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    for device in ("cam-1", "cam-2"):
        assert watermarks.through_us(device) == wanted(all_pieces, words, device)
        homes = {piece.home for piece in all_pieces if piece.device == device and set(piece.times) != {None}}
        assert homes == set(watermarks.devices[device].homes if device in watermarks.devices else ())


@settings(deadline=None, max_examples=60)
@given(fleets(), st.lists(st.integers(0, 30), max_size=5))
def test_where_the_log_is_cut_changes_nothing(fleet: tuple[list[Piece], list[Message]], cuts: list[int]) -> None:
    messages = [piece.message for piece in fleet[0]] + fleet[1]
    assert run(messages, cuts) == run(messages)


def test_a_hole_holds_it_and_its_end_lets_it_jump() -> None:
    first, second, third = (rows("cam-1", STREAM, 2 * at, (10 * at, 10 * at + 5)) for at in range(3))
    assert run([first.message]).through_us("cam-1") == NOON + 5 * SECOND
    assert run([first.message, third.message]).through_us("cam-1") == NOON + 5 * SECOND
    assert run([first.message, third.message, second.message]).through_us("cam-1") == NOON + 25 * SECOND
    assert run([third.message]).through_us("cam-1") == -1


def test_rejects_and_gaps_settle_their_numbers() -> None:
    start, end = rows("cam-1", STREAM, 0, (0, None, None)), rows("cam-1", STREAM, 5, (50,))
    assert run([start.message, end.message]).through_us("cam-1") == NOON
    lost = given_up("cam-1", STREAM, 3, 2)
    assert run([start.message, end.message, lost.message]).through_us("cam-1") == NOON + 50 * SECOND


def test_a_device_that_sees_nothing_says_so() -> None:
    start = rows("cam-1", STREAM, 0, (0, 1))
    told, early = word("cam-1", STREAM, 2, 600), word("cam-1", STREAM, 3, 700)
    assert run([start.message, told]).through_us("cam-1") == NOON + 600 * SECOND
    assert run([start.message, told, early]).through_us("cam-1") == NOON + SECOND  # number 2 is on its way


def test_the_word_of_a_clock_that_is_ahead_is_not_believed_beyond_its_receipt() -> None:
    start, told = rows("cam-1", STREAM, 0, (0, 1)), word("cam-1", STREAM, 2, 86_400)
    assert run([start.message, told], received_us=LATER).through_us("cam-1") == LATER + 1000 - IN_HAND_US


def test_after_a_lost_outbox_only_the_new_stream_is_waited_for() -> None:
    old = rows("cam-1", STREAM, 7, (0, 1))
    new = rows("cam-1", OTHER, 0, (100,))
    for order in itertools.permutations([old.message, new.message]):
        assert run(order).through_us("cam-1") == NOON + 100 * SECOND


def test_a_clock_that_is_off_counts_by_the_time_that_its_rows_have() -> None:
    ahead = rows("cam-1", STREAM, 0, (2_000,))
    skew = Clock().skew_us
    assert run([ahead.message], received_us=NOON).through_us("cam-1") == NOON + skew


def test_a_cohort_is_as_complete_as_the_least_of_its_devices() -> None:
    by = levels(["fleet", "site", "site/class", "attributes.lens"])
    known = Known({"cam-2": Facts(attributes=(("lens", "wide"),))})
    messages = [
        rows("cam-1", STREAM, 0, (10,), site="north").message,
        rows("cam-2", STREAM, 0, (20,), site="north").message,
        rows("cam-3", STREAM, 4, (30,), site="south").message,  # the first four are missing
        rows("cam-2", STREAM, 1, (40,), site="north", model_version=4).message,
    ]
    watermarks = run(messages)
    ten, forty = NOON + 10 * SECOND, NOON + 40 * SECOND
    assert watermarks.complete(by, known) == {
        ("digits", 3, "fleet", "fleet"): -1,
        ("digits", 3, "site", "north"): ten,
        ("digits", 3, "site", "south"): -1,
        ("digits", 3, "site/class", "north/*"): ten,
        ("digits", 3, "site/class", "south/*"): -1,
        ("digits", 3, "attributes.lens", "unknown"): -1,
        ("digits", 3, "attributes.lens", "wide"): forty,
        ("digits", 4, "fleet", "fleet"): forty,
        ("digits", 4, "site", "north"): forty,
        ("digits", 4, "site/class", "north/*"): forty,
        ("digits", 4, "attributes.lens", "wide"): forty,
    }
    without = watermarks.complete(by, known, {"cam-1", "cam-3"})
    assert without["digits", 3, "fleet", "fleet"] == without["digits", 3, "site", "north"] == forty
    assert ("digits", 3, "site", "south") not in without


def test_home_is_where_the_latest_row_comes_from() -> None:
    early = rows("cam-1", STREAM, 0, (10,), site="north")
    late = rows("cam-1", STREAM, 1, (20,), site="south", model_version=4)
    for order in itertools.permutations([early.message, late.message]):
        assert run(order).home("cam-1") == ("south", "digits", 4)
    assert run([]).home("cam-1") is None
    assert run([word("cam-1", STREAM, 0, 0)]).home("cam-1") is None


def test_devices_are_forgotten_by_when_they_were_heard() -> None:
    watermarks = run([rows("cam-1", STREAM, 0, (10,)).message, rows("cam-2", STREAM, 0, (10,)).message])
    watermarks.forget(LATER + 1000)
    assert set(watermarks.devices) == {"cam-2"}


def test_state_is_bounded() -> None:
    messages = [
        rows("cam-1", bytes([number] * 16), 0, (number,), site=f"site-{number}").message for number in range(40)
    ]
    (progress,) = run(messages).devices.values()
    newest = range(40 - NEWEST, 40)
    assert sorted(progress.tracks) == [bytes([number] * 16).hex() for number in newest]
    assert sorted(home[0] for home in progress.homes) == sorted(f"site-{number}" for number in newest)
    full = Watermarks({f"cam-{number}": Progress() for number in range(MAX_DEVICES)})
    unique = dedup({}, decode(log([rows("one-more", STREAM, 0, (1,)).message], received_us=LATER), KNOWN))
    full.advance(unique.inferences, unique.devices, unique.acks)
    assert "one-more" not in full.devices
