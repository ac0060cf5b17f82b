"""Quality: each rejected or given-up record counts once, where its device's rows are."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cohorts import levels
from operators.decode import Clock, decode
from operators.dedup import Unique, dedup
from operators.hellos import Facts, Known
from operators.quality import MOST, Key, Quality
from operators.streams import Streams
from operators.tabulate import tabulate
from operators.watermarks import Home, Watermarks
from pipelines.states import pack, unpack
from schemas.envelope import seal
from schemas.tables import GAPS, REJECTS
from schemas.topics import Up
from schemas.wire_pb2 import Gap, Gaps
from tests.factories import NOON, STREAM, Message, inferences, log

MINUTE = 60_000_000
WINDOW = 10 * MINUTE
START = NOON // WINDOW * WINDOW
CLOCK = Clock()
BY = levels(["fleet", "site", "attributes.lens", "site/class"])
HOMES: dict[str, Home] = {"cam-1": ("north", "digits", 3), "cam-2": ("south", "digits", 4)}
KNOWN = Known({"cam-1": Facts(attributes=(("lens", "wide"),))})


def reject(device: str | None, minute: int, first: int | None = None, last: int | None = None) -> dict[str, Any]:
    return {"device": device, "received": START + minute * MINUTE, "first_seq": first, "last_seq": last}


def gap(device: str, minute: int, first: int, last: int, received: int = 500) -> dict[str, Any]:
    return reject(device, received, first, last) | {"device_time": START + minute * MINUTE}


def counted(rejects: Iterable[dict[str, Any]] = (), gaps: Iterable[dict[str, Any]] = ()) -> dict[Key, tuple[int, int]]:
    quality = Quality(WINDOW, CLOCK)
    quality.add(tabulate(REJECTS, list(rejects)), tabulate(GAPS, list(gaps)))
    return quality.close(BY, KNOWN, HOMES.get)


def at_site(told: dict[Key, tuple[int, int]]) -> dict[tuple[str, int], tuple[int, int]]:
    """(site, minute of the window) → counts."""
    return {(key[3], (key[4] - START) // MINUTE): counts for key, counts in told.items() if key[2] == "site"}


def test_rejects_count_in_the_window_of_their_receipt_and_gaps_in_that_of_their_time() -> None:
    told = counted([reject("cam-1", 5, 10, 14), reject("cam-1", 12)], [gap("cam-1", 19, 0, 2), gap("cam-2", 0, 7, 7)])
    assert at_site(told) == {("north", 0): (5, 0), ("north", 10): (1, 3), ("south", 0): (0, 1)}
    assert told["digits", 3, "fleet", "fleet", START] == (5, 0)
    assert told["digits", 4, "fleet", "fleet", START] == (0, 1)
    assert told["digits", 3, "attributes.lens", "wide", START + WINDOW] == (1, 3)
    assert told["digits", 4, "attributes.lens", "unknown", START] == (0, 1)
    assert not any(key[2] == "site/class" for key in told)


def test_a_gap_of_a_wrong_clock_is_held_near_its_receipt() -> None:
    hour = 60
    early, late = gap("cam-1", -90 * 24 * hour, 0, 0), gap("cam-1", 90 * 24 * hour, 1, 1)
    assert at_site(counted([], [early, late])) == {
        ("north", 500 - 30 * 24 * hour): (0, 1),
        ("north", 500): (0, 1),
    }


def test_what_no_known_device_sent_counts_nowhere() -> None:
    assert counted([reject(None, 0), reject("cam-9", 0, 0, 5)], [gap("cam-9", 0, 6, 7)]) == {}


def test_a_device_may_claim_any_number() -> None:
    many = [gap("cam-1", 0, 0, 2**63 - 2)] * 5
    assert at_site(counted([], many)) == {("north", 0): (0, 5 * MOST)}


EVENTS = st.lists(
    st.builds(reject, st.sampled_from(("cam-1", "cam-2", None)), st.integers(0, 40), st.just(3), st.integers(3, 9))
    | st.builds(gap, st.sampled_from(("cam-1", "cam-2")), st.integers(0, 40), st.just(3), st.integers(3, 9)),
    max_size=12,
)


@settings(deadline=None)
@given(EVENTS, st.data())
def test_order_batches_and_restarts_change_nothing(events: list[dict[str, Any]], data: st.DataObject) -> None:
    def split(some: list[dict[str, Any]]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        gaps = [row for row in some if "device_time" in row]
        return tabulate(REJECTS, [row for row in some if "device_time" not in row]), tabulate(GAPS, gaps)

    whole = Quality(WINDOW, CLOCK)
    whole.add(*split(events))
    order = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    first, second = Quality(WINDOW, CLOCK), Quality(WINDOW, CLOCK)
    first.add(*split(order[:cut]))
    second.counts = unpack(pack(first.counts))
    second.add(*split(order[cut:]))
    assert whole.counts == second.counts
    assert whole.close(BY, KNOWN, HOMES.get) == second.close(BY, KNOWN, HOMES.get)
    assert whole.counts == {}


def test_through_dedup_each_lost_record_counts_once_also_when_its_rows_come_after_it() -> None:
    def unique(messages: list[Message], streams: Streams) -> Unique:
        return dedup(streams, decode(log(messages, received_us=NOON), {}))

    of = Gap(first_seq=5, last_seq=9, reason="full", device_time=NOON)
    lost = ("cam-1", Up.GAPS, seal(Gaps(schema=1, stream=STREAM, gaps=[of])))
    damaged = ("cam-1", Up.INFERENCES, inferences("cam-1", first_seq=10)[2][:-1] + b"?")
    streams: Streams = {}
    quality, watermarks = Quality(WINDOW, CLOCK), Watermarks()
    for each in (unique([lost, damaged, lost], streams), unique([inferences("cam-1", site="north")], streams)):
        quality.add(each.rejects, each.gaps)
        watermarks.advance(each.inferences, each.devices, each.acks)
    assert at_site(quality.close(BY, KNOWN, watermarks.home)) == {("north", 0): (1, 5)}
