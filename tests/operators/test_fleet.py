"""From panes to alarms: raised, confirmed, retracted, cleared; whatever came late, the record ends the same."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.cohorts import levels
from operators.fleet import Fleet, decide
from operators.panes import layout_of
from operators.reference import Reference
from operators.rounds import Part, Rounds
from operators.scale import Scale, universal
from operators.silence import Change, Silence, Turn
from operators.watch import Policy, Told, Watched, watch
from operators.windows import PaneKey, Panes

WINDOW = 1_000
SCALE = universal()
LAYOUT = layout_of(SCALE)
POLICY = Policy(
    levels=levels(("site",)),
    window_us=WINDOW,
    grace_us=200,
    round_us=1_000,
    horizon_us=200 * WINDOW,
    interval_windows=1_000,
    max_cohorts=64,
    first_events=2_000,
    silence_us=5 * WINDOW,
)
CALM, MOVED = 2.0, 0.6
Ints = NDArray[np.int64]


class Strangers:
    """References of nothing: every cohort is compared with its own first windows."""

    scales: ClassVar[dict[tuple[str, int], Scale]] = {}

    def of(self, model: str, version: int, level: str, cohort: str) -> Reference | None:
        return None


def pane(seed: int, steepness: float = CALM, events: int = 200) -> Ints:
    rng = np.random.default_rng(seed)
    made = np.zeros(LAYOUT.width, np.int64)
    made[[LAYOUT.rows, LAYOUT.events]] = events
    for feature in SCALE.features:
        shares = np.arange(1, feature.bins + 1) ** (steepness if feature.name == "confidence" else 1.0)
        made[LAYOUT.at[feature.name]] = rng.multinomial(events, shares / shares.sum())
    return made


def key(site: str, window: int) -> PaneKey:
    return ("digits", 1, "site", site, window * WINDOW)


@dataclass
class World:
    """One bucket of cohorts and the fleet, fed round by round."""

    policy: Policy = POLICY
    watched: Watched = field(default_factory=lambda: Watched(Rounds(1)))
    fleet: Fleet = field(default_factory=lambda: Fleet(Rounds(1)))
    windows: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    complete: dict[tuple[str, int, str, str], int] = field(default_factory=dict)

    def round(self, number: int, panes: Panes, complete: int = -1, silences: tuple[Change, ...] = ()) -> None:
        self.complete |= dict.fromkeys((each[:4] for each in panes), complete)
        if not panes and complete > -1:
            self.complete = dict.fromkeys(self.complete, complete)
        content = Told(panes, self.complete, silences)
        for verdict in watch(self.watched, Part(0, number, content), Strangers(), self.policy, 64):
            self.windows += verdict.windows
            for turns in decide(self.fleet, Part(0, verdict.round, verdict.judged), self.policy):
                self.alarms += turns.rows
                self.told += turns.told

    def states(self) -> list[str]:
        return [row["state"] for row in self.told]

    def record(self) -> list[tuple[Any, ...]]:
        """What the last word is on each alarm that was not retracted."""
        last = {row["alarm_id"]: row for row in self.alarms}
        columns = ("level", "cohort", "state", "statistic", "since", "raised_at", "cleared_at", "events", "e_value")
        columns += ("needed", "moved")
        kept = [row for row in last.values() if row["state"] != "retracted"]
        return sorted(tuple(row[name] for name in columns) for row in kept)

    def evidence(self) -> dict[tuple[Any, ...], float]:
        return {(row["cohort"], row["window_start"]): row["e_value"] for row in self.windows}


def stream(steepness: Iterable[float], sites: Iterable[str] = ("north",)) -> Iterator[Panes]:
    """Window by window; the site's seed is in its name."""
    for window, steep in enumerate(steepness):
        yield {key(site, window): pane(1000 * at + window, steep) for at, site in enumerate(sites)}


DRIFT = [CALM] * 30 + [MOVED] * 6
BACK = DRIFT + [CALM] * 30


def run(steepness: Iterable[float], complete: bool = True) -> World:
    world = World()
    for window, panes in enumerate(stream(steepness)):
        world.round(window + 1, panes, (window + 1) * WINDOW if complete else -1)
    for more in range(3):
        world.round(len(list(steepness)) + more + 1, {})
    return world


def test_a_change_raises_one_alarm_that_says_what_moved_and_since_when() -> None:
    world = run(DRIFT)
    assert world.states() == ["raised", "confirmed"]
    (alarm,) = world.record()
    assert alarm[:2] == ("site", "north")
    row = world.alarms[-1]
    assert row["statistic"] == "confidence"
    assert abs(row["since"] // WINDOW - 30) <= 1
    assert row["raised_at"] // WINDOW <= 34
    assert row["e_value"] >= row["needed"] >= POLICY.interval_windows * (1 - 1e-9)
    assert row["cause"] == row["alarm_id"]
    assert row["moved"].startswith('[{"statistic":"confidence"')


def test_an_alarm_is_confirmed_once_no_row_can_be_missing() -> None:
    assert run(DRIFT, complete=False).states() == ["raised"]
    assert "confirmed" in run(DRIFT).states()


def test_it_clears_when_the_world_is_as_before() -> None:
    world = run(BACK)
    assert world.states()[-1] == "cleared"
    assert world.alarms[-1]["cleared_at"] // WINDOW > 36
    assert not [alarm for alarm in world.fleet.alarms if alarm.is_open]


def test_a_calm_world_raises_nothing() -> None:
    assert run([CALM] * 120).alarms == []


def test_late_rows_take_an_alarm_back() -> None:
    """One device drifts while all others are away; with them the site hardly moved."""
    world = World()
    for window in range(33):
        steep = MOVED if window >= 30 else CALM
        events = 60 if window >= 30 else 200
        world.round(window + 1, {key("north", window): pane(window, steep, events)})
    world.round(35, {})
    assert world.states() == ["raised"]
    world.round(36, {key("north", window): pane(window + 500, CALM, 1500) for window in range(30, 33)})
    assert world.states() == ["raised", "retracted"]
    assert world.record() == []


@settings(deadline=None, max_examples=25)
@given(
    away=st.lists(st.integers(0, 35), unique=True, max_size=12),
    parts=st.integers(1, 3),
)
def test_what_comes_late_changes_the_same_windows_and_the_same_record(away: list[int], parts: int) -> None:
    on_time, late = World(), World()
    held: list[Panes] = []
    for window, panes in enumerate(stream(DRIFT, ("north", "south"))):
        split = {site: (pane_ // 2, pane_ - pane_ // 2) for site, pane_ in panes.items()}
        on_time.round(window + 1, panes)
        if window in away:
            held.append({site: half for site, (half, _) in split.items()})
            late.round(window + 1, {site: rest for site, (_, rest) in split.items()})
        else:
            late.round(window + 1, panes)
    for at in range(parts):
        more: Panes = {}
        for panes in held[at::parts]:
            more |= panes
        late.round(40 + at, more)
        on_time.round(40 + at, {})
    for world in (late, on_time):
        world.round(50, {}, 10**9)
    assert late.evidence() == on_time.evidence()
    assert late.record() == on_time.record()


def test_alarms_of_one_cause_share_it() -> None:
    world = World()
    sites = ("a", "b", "c", "d")
    for window, panes in enumerate(stream(DRIFT, sites)):
        world.round(window + 1, panes)
    assert len(world.record()) == len(sites)
    assert len({row["cause"] for row in world.told}) == 1


def test_an_alarm_outlasts_the_horizon() -> None:
    policy = replace(POLICY, horizon_us=12 * WINDOW)
    world = World(policy)
    for window, panes in enumerate(stream([CALM] * 30 + [MOVED] * 40 + [CALM] * 40)):
        world.round(window + 1, panes, (window + 1) * WINDOW)
    assert world.states().count("raised") + world.states().count("confirmed") >= 1
    assert "retracted" not in world.states()
    assert world.states()[-1] == "cleared"
    assert len({row["alarm_id"] for row in world.alarms}) == 1


@pytest.mark.parametrize(
    ("turns", "states"),
    [
        ((Turn.RAISED, Turn.CLEARED), ["raised", "cleared"]),
        ((Turn.RAISED, Turn.RETRACTED), ["raised", "retracted"]),
    ],
)
def test_a_silent_device_is_an_alarm(turns: tuple[Turn, ...], states: list[str]) -> None:
    world = World()
    for number, turn in enumerate(turns):
        until = 9 * WINDOW if turn is Turn.CLEARED else None
        change = Change(turn, Silence("cam-1", WINDOW, until), ("north", "digits", 1))
        world.round(number + 1, {}, silences=(change,))
    assert world.states() == states
    assert {(row["level"], row["cohort"], row["statistic"]) for row in world.told} == {("device", "cam-1", "silence")}
    assert len({row["alarm_id"] for row in world.told}) == 1
