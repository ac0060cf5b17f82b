"""The drift benchmark: a claim holds where the detector is well, and fails where it is broken."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import fleet, ours, report
from benchmarks.drift.__main__ import _names
from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.claims import d05_small_windows, d06_order, d08_localisation
from benchmarks.drift.interval import Interval, delays, median_delay, share_within, told
from benchmarks.drift.ours import watch_numbers
from benchmarks.drift.peers import ask
from benchmarks.drift.peers.loop import along
from benchmarks.drift.streams import scalars, source
from operators.dedup import dedup
from operators.detectors.shiryaev_roberts import ShiryaevRoberts


def tiny(seed: int = 7) -> Run:
    return Run(seed=seed, quick=True, peers=ask.Peers(wanted=False))


class Off(ShiryaevRoberts):
    """Wrong by so many nats."""

    nats = 0.0

    def fold(self, *given: Any) -> Any:
        state, evidence = super().fold(*given)
        return state, evidence + self.nats


def broken(monkeypatch: pytest.MonkeyPatch, nats: float) -> None:
    monkeypatch.setattr(Off, "nats", nats)
    monkeypatch.setattr(ours, "ShiryaevRoberts", Off)


def failed(claim: Claim) -> list[str]:
    return [limit.what for limit in claim.limits if not limit.holds]


def test_small_windows_and_localisation_hold_with_the_detector_as_it_is() -> None:
    for measure in (d05_small_windows.measure, d08_localisation.measure):
        assert failed(measure(tiny())) == []


def test_a_detector_that_cries_wolf_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, nats=6.0)
    assert failed(d05_small_windows.measure(tiny())) == ["stationary windows that alarm"]
    broken(monkeypatch, nats=12.0)
    assert failed(d08_localisation.measure(tiny())) == ["false-discovery rate"]


def test_a_detector_that_sleeps_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, nats=-50.0)
    assert failed(d05_small_windows.measure(tiny())) == ["power at 0.5 σ over 200 samples"]
    assert failed(d08_localisation.measure(tiny())) == ["power"]


def test_counting_what_came_twice_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d06_order, "FRAMES", 200)
    assert failed(d06_order.measure(tiny())) == []
    monkeypatch.setattr(fleet, "dedup", lambda _, decoded: dedup({}, decoded))  # forgets what it has seen
    assert "windows that differ after a permutation" in failed(d06_order.measure(tiny()))


def test_alarms_do_not_depend_on_how_many_windows_are_folded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = source(7, "chunks")
    watch = watch_numbers(scalars.confidence(rng, 1_000), 10, 1_000.0)
    values = np.concatenate([scalars.confidence(rng, 3_000), scalars.lower(rng, 0.5, 2_000)])
    expected = watch.alarms(values)
    assert expected
    monkeypatch.setattr(ours, "_CHUNKS", (7, 7))
    assert watch.alarms(values) == expected
    after = [at for at in expected if at >= 3_000]
    assert watch.alarms(values, 3_000) == [at for at in expected if at <= after[0]]


def test_a_seed_gives_the_same_figures() -> None:
    assert d05_small_windows.measure(tiny()) == d05_small_windows.measure(tiny())
    assert d05_small_windows.measure(tiny(8)) != d05_small_windows.measure(tiny())


def test_the_interval_is_exact_for_a_poisson_count() -> None:
    # upper limits 3.689 and 18.390 of 0 and 10 counted: Garwood (1936), two-sided 95 %
    assert Interval(0, 1_000).lower == pytest.approx(1_000 / 3.689, rel=1e-3)
    assert Interval(10, 1_000).lower == pytest.approx(1_000 / 18.390, rel=1e-3)
    assert (str(Interval(0, 1_000)), str(Interval(10, 1_000))) == ("> 1,000", "100")


def test_delays_count_from_the_change_on() -> None:
    found = delays([[10, 120, 130], [90], [100]], 100)
    assert found == [20, None, 0]
    assert median_delay(found) == 20
    assert share_within(found, 20) == pytest.approx(1 / 3)
    assert told(found) == "20 (66.7% found)"
    assert told([None, None]) == "never"
    assert told([None, None, 5]) == "∞ (33.3% found)"


def test_what_was_not_measured_does_not_hold() -> None:
    unmeasured = Claim("D0", "", [Limit("delay", float("nan"), "≤", 1.0)])
    assert not unmeasured.passes
    assert not Claim("D0", "", []).passes
    line = json.loads(unmeasured.line(tiny()))
    assert line["figures"] == {"delay": None}
    assert line["failed"] == ["delay: not measured is not ≤ 1"]


def test_a_peer_that_can_not_be_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_network(_: str) -> Path:
        raise subprocess.CalledProcessError(1, "pip", stderr=b"no such package\n")

    monkeypatch.setattr(ask, "FOLDER", tmp_path)
    monkeypatch.setattr(ask, "environment", no_network)
    peers = ask.Peers(wanted=True)
    assert peers.ask("river", {}, {"values": np.zeros(3)}) is None
    claim = Claim(
        "D0", "It is.", [Limit("it", 2.0, "≤", 1.0)], {}, [Table("Some", ("a", "b"), [(1, "x")])], ["A note."]
    )
    page = report.page([claim], Run(seed=7, quick=False, peers=peers), [{"world": "rain", "error": 0.0123}])
    assert "- river: skipped, no such package" in page
    assert "| D0 | **fails** | It is. |" in page
    assert "| 1 | x |" in page
    assert "- **fails** it: 2 is not ≤ 1" in page
    assert "| rain | 0.0123 |" in page


def test_a_question_without_an_answer_is_named_and_the_next_one_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crashes(*_: Any) -> str:
        raise subprocess.CalledProcessError(1, "python", stderr=b"Traceback\nValueError: too few\n")

    monkeypatch.setattr(ask, "FOLDER", tmp_path)
    monkeypatch.setattr(ask, "environment", lambda _: Path("python"))
    monkeypatch.setattr(ask, "_run", crashes)
    peers = ask.Peers(wanted=True)
    assert peers.ask("river", {}, {"values": np.zeros(3)}) is None
    assert peers.failed == ["river: ValueError: too few"]
    monkeypatch.setattr(ask, "_run", lambda *_: '{"alarms": 3}')
    assert peers.ask("river", {}, {"values": np.zeros(3)}) == {"alarms": 3}
    monkeypatch.setattr(ask, "_run", crashes)
    assert peers.ask("river", {}, {"values": np.zeros(3)}) == {"alarms": 3}  # it was kept
    assert peers.ask("river", {}, {"values": np.ones(3)}) is None


def test_a_peer_begins_anew_after_an_alarm_and_stops_after_the_change() -> None:
    def third(seen: list[int], value: int) -> bool:
        seen.append(value)
        return len(seen) == 3

    assert along(list, third, range(10)) == [2, 5, 8]
    assert along(list, third, range(10), change=4) == [2, 5]


def test_claims_are_named_as_they_are() -> None:
    assert _names("d1,D3") == ["D1", "D3"]
    with pytest.raises(Exception, match="no claim D99; there are D1"):
        _names("D99")
