"""Cohorts: each row is in the cohort that its own values name, however the batch was put together."""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cohorts import ANY_CLASS, Level, codes, levels
from operators.decode import decode
from operators.dedup import Unique, dedup
from operators.hellos import MAX_DEVICES, UNKNOWN, Facts, Known
from operators.streams import Streams
from operators.tabulate import tabulate
from schemas.envelope import seal
from schemas.errors import SettingsError
from schemas.tables import DEVICES
from schemas.topics import Up
from schemas.wire_pb2 import Hello
from tests.factories import STREAM, Message, inferences, log

BY = ("fleet", "site", "device", "hardware", "agent", "attributes.lens", "class", "site/class", "hardware/site/device")
LEVELS = levels(BY)
NOBODY = Known()


def hello(device: str, hardware: str = "pi", lens: str | None = None) -> Message:
    attributes = {} if lens is None else {"lens": lens}
    message = Hello(schema=1, stream=STREAM, hardware=hardware, agent="0.2", attributes=attributes)
    return device, Up.HELLO, seal(message)


def batches(messages: Sequence[Message], cuts: Sequence[int] = ()) -> list[Unique]:
    streams: Streams = {}
    edges = [0, *sorted({min(cut, len(messages)) for cut in cuts}), len(messages)]
    return [dedup(streams, decode(log(messages[a:b], a), {})) for a, b in itertools.pairwise(edges)]


def classes(rows: pa.RecordBatch) -> np.ndarray:
    return np.array([each[0] for each in rows["class_ids"].to_pylist()], np.int64)


def cohorts(level: Level, all_unique: Sequence[Unique]) -> dict[tuple[str, int], str]:
    """(device, number) → cohort."""
    known, found = Known(), {}
    for unique in all_unique:
        known.learn(unique.devices)
        rows = unique.inferences
        place, names = codes(level, rows, known, classes(rows))
        assert sorted(set(place.tolist())) == list(range(len(names)))
        assert len(set(names)) == len(names)
        numbers = zip(rows["device"].to_pylist(), rows["seq"].to_pylist(), strict=True)
        found |= dict(zip(numbers, [names[each] for each in place.tolist()], strict=True))
        known = Known.of(known.snapshot())
    return found


DEVICE = st.sampled_from(("cam-1", "cam-2", "cam-3"))
ROWS = st.tuples(DEVICE, st.sampled_from(("north", "south")), st.integers(1, 4))
HELLOS = st.builds(
    hello, DEVICE, st.sampled_from(("pi", "jetson/8", "")), st.sampled_from((None, "wide", "a/b", "a_b"))
)


def sent(drawn: Sequence[tuple[str, str, int] | Message]) -> list[Message]:
    """Rows of each device numbered in order, hellos as they are."""
    following, messages = dict.fromkeys(("cam-1", "cam-2", "cam-3"), 0), []
    for place, each in enumerate(drawn):
        if isinstance(each[1], Up):
            messages.append(each)
            continue
        device, site, count = each
        messages.append(inferences(device, seed=place, first_seq=following[device], count=count, site=site))
        following[device] += count
    return messages


@settings(deadline=None, max_examples=60)
@given(st.lists(ROWS | HELLOS, max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_a_rows_cohort_is_what_its_values_say_wherever_the_log_is_cut(drawn: list, cuts: list[int]) -> None:
    messages = sent(drawn)
    whole, parts = batches(messages), batches(messages, cuts)
    for level in LEVELS:
        found = cohorts(level, parts)
        assert found == cohorts(level, whole)
        for unique in whole:
            said: dict[str, Facts] = {}
            events = [(row["log_offset"], row) for row in unique.devices.to_pylist()]
            events += [(row["log_offset"], row) for row in unique.inferences.to_pylist()]
            for _, row in sorted(events, key=lambda each: each[0]):
                if "event" in row:
                    said[row["device"]] = Facts(row["hardware"], row["agent"], tuple(row["attributes"]))
                    continue
                cohort = found[row["device"], row["seq"]]
                wanted = level.of_device(row["device"], row["site"], said.get(row["device"], Facts()))
                assert wanted == level.of_any_class(cohort)
                assert cohort == wanted.replace(ANY_CLASS, str(row["class_ids"][0]))


@settings(deadline=None, max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=8), st.data())
def test_a_part_of_the_rows_gives_the_same_cohorts(drawn: list, data: st.DataObject) -> None:
    (unique,) = batches(sent(drawn))
    rows = unique.inferences
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=rows.num_rows, max_size=rows.num_rows)))
    part = rows.filter(pa.array(keep, pa.bool_()))
    for level in LEVELS:
        place, names = codes(level, rows, NOBODY, classes(rows))
        kept, kept_names = codes(level, part, NOBODY, classes(part))
        assert [kept_names[each] for each in kept] == [names[each] for each in place[keep]]


def test_no_rows_no_cohorts() -> None:
    (unique,) = batches([hello("cam-1")])
    for level in LEVELS:
        place, names = codes(level, unique.inferences, NOBODY, np.zeros(0, np.int64))
        assert (place.shape, names) == ((0,), [])


def test_names_of_several_parts_stand_in_the_order_of_the_setting() -> None:
    (unique,) = batches([inferences("cam-1", site="north"), inferences("cam-2", site="south")])
    (level,) = levels(["device/site"])
    place, names = codes(level, unique.inferences, NOBODY, np.zeros(4, np.int64))
    assert [names[each] for each in place] == ["cam-1/north"] * 2 + ["cam-2/south"] * 2


def test_a_value_with_a_stroke_is_one_value_and_what_was_not_said_is_unknown() -> None:
    facts = Facts("", "1/2", (("lens", "a/b"),))
    assert facts.value("hardware") == facts.value("attributes.colour") == UNKNOWN
    assert (facts.value("agent"), facts.value("attributes.lens")) == ("1_2", "a_b")


def test_only_hellos_count_and_a_repeat_changes_nothing() -> None:
    known = Known()
    rows = [
        {"event": "hello", "device": "cam-1", "log_offset": 1, "hardware": "pi", "agent": "1", "attributes": []},
        {"event": "status", "device": "cam-1", "log_offset": 2},
        {"event": "hello", "device": "cam-1", "log_offset": 3, "hardware": "pi", "agent": "1", "attributes": []},
    ]
    known.learn(tabulate(DEVICES, rows))
    assert known.now("cam-1") == Facts("pi", "1")
    assert known.earlier == {"cam-1": [(-1, Facts()), (1, Facts("pi", "1"))]}
    known.learn(tabulate(DEVICES, rows[2:]))
    assert known.earlier == {}


def test_beyond_the_bound_what_a_device_says_stays_unknown() -> None:
    known = Known({f"cam-{number}": Facts("pi") for number in range(MAX_DEVICES)})
    row = {"event": "hello", "log_offset": 1, "hardware": "jetson", "agent": "1", "attributes": []}
    known.learn(tabulate(DEVICES, [row | {"device": "one-more"}, row | {"device": "cam-7"}]))
    assert (known.now("one-more"), known.now("cam-7")) == (Facts(), Facts("jetson", "1"))


@pytest.mark.parametrize(
    "name",
    ["", "sites", "site/", "site/site", "attributes", "attributes.", "attributes.Lens", "fleet/site", "site device"],
)
def test_an_unknown_level_is_an_error_that_names_the_choices(name: str) -> None:
    with pytest.raises(SettingsError, match=r"fleet.*site, device, hardware, agent, class and attributes\.NAME"):
        levels(["site", name])


def test_no_level_and_levels_that_cut_alike_are_errors() -> None:
    with pytest.raises(SettingsError, match="empty"):
        levels([])
    with pytest.raises(SettingsError, match="'device/site' makes the same cohorts as 'site/device'"):
        levels(["site", "site/device", "device/site"])
    with pytest.raises(SettingsError, match="same cohorts"):
        levels(["site", "site"])
