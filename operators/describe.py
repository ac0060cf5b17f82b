"""Describe: judged windows as rows of the lake, and what moved where there may be an alarm."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.cohorts import Cohort
from operators.detectors.registry import detector
from operators.diagnose import diagnose
from operators.dispersion import dispersion
from operators.expected_accuracy import Accuracies, accuracies, expected_accuracy
from operators.features import Feature, places
from operators.fleet_control import weights
from operators.judge import Basis, Judge, Part
from operators.mmd import maximum_mean_discrepancy, null_interval
from operators.moved import Moved, MovedBin, moved
from operators.onset import leading, onset
from operators.panes import layout_of
from operators.reference import Reference
from operators.scale import QUALITY
from operators.series import Folded, Series, is_provisional
from operators.space import WAVE_UNIT
from operators.tabulate import day_of

Ints = NDArray[np.int64]
_MOST_MOVED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What moved in a cohort, as of one window.

    Attributes:
        statistic: with the most evidence.
        group: features that stand for one thing.
        since: start of the window in which it most likely began, in microseconds.
        events: from then on.
        moved: JSON: what moved, most evidence first.
    """

    statistic: str
    group: str
    since: int
    events: int
    moved: str


def describe(series: Series, basis: Basis, folded: Folded, at: int) -> Finding:
    """What moved in the windows up to a judged one.

    Args:
        series: the cohort.
        basis: what it is compared with.
        folded: its judged windows.
        at: place of one among them.
    """
    judge, layout = folded.judge, layout_of(basis.scale)
    starts = sorted(start for start in series.panes if start <= folded.starts[at])
    panes = np.stack([series.panes[start] for start in starts]).astype(np.int64)
    stacks = panes[:, layout.stack]
    evidence = folded.evidence[at]
    feature = int((evidence + np.log(weights(judge.features))).argmax())
    ratios, log_weights = judge.log_ratios(stacks, dispersion(stacks, judge.features), feature)
    began = onset(ratios[:, leading(ratios, log_weights)]).window
    summed = stacks[began:].sum(axis=0)
    found = moved(judge.features, judge.stack, summed, evidence)[:_MOST_MOVED]
    nats = dict(zip((each.name for each in judge.features), evidence.tolist(), strict=True))
    told = [_moved(basis, judge, each, nats[each.name]) for each in found if each.share > 0]
    return Finding(
        statistic=judge.features[feature].name,
        group=judge.features[feature].group,
        since=starts[began],
        events=int(panes[began:, layout.events].sum()),
        moved=json.dumps(told, separators=(",", ":"), ensure_ascii=False),
    )


def window_row(
    cohort: Cohort, series: Series, basis: Basis, folded: Folded, at: int, now_us: int, watermark: int, window_us: int
) -> dict[str, Any]:
    """The row of `windows` for one judged window.

    Args:
        cohort: that it belongs to.
        series: of the cohort; knows the revision.
        basis: what it is compared with.
        folded: judged windows.
        at: place of one among them.
        now_us: log time.
        watermark: event time up to which no device of the cohort has more to tell.
        window_us: length of a window.
    """
    start, pane, layout = folded.starts[at], folded.panes[at], layout_of(basis.scale)
    quality = dict(zip(QUALITY, pane[layout.at["quality"]].tolist(), strict=True))
    accuracy: tuple[float | None, float | None] = (None, None)
    if basis.reference is not None and (known := _accuracies(basis.reference)) is not None:
        found = expected_accuracy(known, pane[layout.at["confidence"]])
        accuracy = (_number(found.value), _number(found.error))
    return _of_window(cohort, start, series.said[start][0], window_us) | {
        "changed": now_us,
        "rows": int(pane[layout.rows]),
        "events": int(pane[layout.events]),
        "clock_off": quality["clock_off"],
        "rejects": quality["reject"],
        "gaps": quality["gap"],
        "complete": watermark >= start + window_us,
        "expected_accuracy": accuracy[0],
        "expected_accuracy_error": accuracy[1],
        "e_value": float(np.exp(folded.total[at])),
        "provisional": is_provisional(basis),
        "counts": np.minimum(pane, 2**31 - 1).astype(np.int32),
    }


def drift_rows(
    cohort: Cohort, series: Series, basis: Basis, folded: Folded, told: Sequence[int], window_us: int
) -> Iterator[dict[str, Any]]:
    """The rows of `drift` for some judged windows: one for each statistic, see `window_row`."""
    judge = folded.judge
    e_values = np.exp(folded.evidence)
    for part in judge.parts:
        features = [judge.features[which] for which in part.which]
        reference = judge.stack[part.columns]
        rows = max(min(int(reference[place].sum()) for place in places(features)), 1)
        stacks = folded.stacks[list(told)][:, part.columns]
        # their null intervals are drawn once for each reference; for each cohort's own first windows they cost too much
        diagnoses = diagnose(features, reference, rows, stacks) if _is_given(basis, part) else {}
        opinions = _opinions(series, basis, features, reference, part.columns)
        for window, at in enumerate(told):
            for f, (feature, place) in enumerate(zip(features, places(features), strict=True)):
                row = _of_window(cohort, folded.starts[at], series.said[folded.starts[at]][0], window_us)
                row |= {"statistic": feature.name, "events": int(stacks[window, place].sum())}
                row["e_value"] = float(e_values[at, part.which[f]])
                row["opinions"] = opinions.get((folded.starts[at], f), [])
                for name, each in diagnoses.items():
                    row[name] = _number(each.value[window, f])
                    row[f"{name}_low"], row[f"{name}_high"] = (
                        _number(each.low[window, f]),
                        _number(each.high[window, f]),
                    )
                yield row
    if basis.reference is not None and basis.scale.space is not None:
        yield from _discrepancies(cohort, series, basis.reference, folded, told, window_us)


def _discrepancies(
    cohort: Cohort, series: Series, reference: Reference, folded: Folded, told: Sequence[int], window_us: int
) -> Iterator[dict[str, Any]]:
    """The rows for the embedding as a whole."""
    layout = layout_of(reference.scale)
    panes = folded.panes[list(told)]
    events, own = panes[:, layout.waved], int(reference.pane[layout.waved])
    sums, known = panes[:, layout.waves], reference.pane[layout.waves]
    distance = maximum_mean_discrepancy(sums, events, known, own, WAVE_UNIT)
    interval = null_interval(known, reference.wave_products, own, events, WAVE_UNIT)
    for window, at in enumerate(told):
        start = folded.starts[at]
        yield _of_window(cohort, start, series.said[start][0], window_us) | {
            "statistic": "embedding",
            "events": int(events[window]),
            "maximum_mean_discrepancy": _number(distance[window]),
            "maximum_mean_discrepancy_high": _number(interval[window, 1]),
        }


def _opinions(
    series: Series, basis: Basis, features: Sequence[Feature], reference: Ints, columns: Ints
) -> dict[tuple[int, int], list[str]]:
    """(start of a window, place of a feature) → names of the second opinions that see a change there."""
    found: dict[tuple[int, int], list[str]] = {}
    if not basis.opinions:
        return found
    starts = sorted(series.panes)
    layout = layout_of(basis.scale)
    stacks = np.stack([series.panes[start][layout.stack] for start in starts]).astype(np.int64)[:, columns]
    for name in basis.opinions:
        second = detector(name, features, reference, 1)
        _, evidence = second.fold(second.begin(), stacks, np.ones((len(starts), len(features))))
        for window, f in np.argwhere(np.isposinf(evidence)).tolist():
            found.setdefault((starts[window], f), []).append(name)
    return found


def _is_given(basis: Basis, part: Part) -> bool:
    """Whether features are compared with the model's reference."""
    return basis.given is not None and bool(basis.given[part.columns].any())


def _of_window(cohort: Cohort, start: int, revision: int, window_us: int) -> dict[str, Any]:
    model, version, level, name = cohort
    return {
        "date": day_of(start),
        "model": model,
        "model_version": version,
        "level": level,
        "cohort": name,
        "window_start": start,
        "window_end": start + window_us,
        "revision": revision,
    }


def _moved(basis: Basis, judge: Judge, found: Moved, evidence: float) -> dict[str, Any]:
    feature = next(each for each in judge.features if each.name == found.name)

    def told(one: MovedBin) -> dict[str, Any]:
        name = basis.scale.bin_name(feature, one.place)
        return {"bin": name, "expected": round(one.expected, 4), "observed": round(one.observed, 4)}

    return {
        "statistic": found.name,
        "evidence": round(evidence, 2),
        "shift": None if found.mean_shift is None else round(found.mean_shift, 3),
        "bins": [told(one) for one in (*found.grown, *found.shrunk)],
    }


@lru_cache(maxsize=1024)
def _accuracies(reference: Reference) -> Accuracies | None:
    return accuracies(reference.labelled, reference.correct, reference.scale.confidence_edges)


def _number(value: Any) -> float | None:
    """A float, None where it is not a number."""
    return float(value) if np.isfinite(value) else None
