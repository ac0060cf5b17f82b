"""How cohorts stand, for eyes and for machines."""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from operators.cohorts import Cohort
from pipelines.cli.context import print_object, print_rows
from pipelines.drift.accuracy import Accuracy
from pipelines.drift.standing import Standing

_BARS: Final = "▁▂▃▄▅▆▇█"
_ALIKE_SHOWN: Final = 3
_COLUMNS: Final = (
    "model", "level", "cohort", "windows", "events", "e_value", "needed", "recent", "expected accuracy", "statistic",
    "state",
)  # fmt: skip
_OF_ALARM: Final = ("alarm_id", "state", "statistic", "since", "cause")


def tell_standings(found: Sequence[Standing], accuracy: Mapping[Cohort, Accuracy], as_json: bool) -> None:
    """How cohorts stand, as a table in which alarms of one cause stand for each other, or as objects, all of them."""
    if as_json:
        for each in found:
            print_object(_plain(each, accuracy.get(each.cohort)))
        return
    shown, hidden = _grouped(found)
    print_rows(_COLUMNS, [_row(each, accuracy.get(each.cohort)) for each in shown], as_json=False)
    for cause, rest in hidden.items():
        levels = ", ".join(f"{n} of {level}" for level, n in sorted(Counter(each.cohort[2] for each in rest).items()))
        sys.stdout.write(f"… and {len(rest)} more of the same cause ({levels}): gleaner drift alarms --cause {cause}\n")


def _grouped(found: Sequence[Standing]) -> tuple[list[Standing], dict[str, list[Standing]]]:
    """The cohorts to show, and by cause those that are too many of one kind."""
    shown: list[Standing] = []
    causes: Counter[str] = Counter()
    hidden: dict[str, list[Standing]] = {}
    for each in found:
        cause = each.alarms[0]["cause"] if each.alarms else None
        causes[cause or ""] += 1
        if cause and causes[cause] > _ALIKE_SHOWN:
            hidden.setdefault(cause, []).append(each)
        else:
            shown.append(each)
    return shown, hidden


def _row(each: Standing, accuracy: Accuracy | None) -> tuple[Any, ...]:
    model, version, level, cohort = each.cohort
    recent = _sparkline(each.recent, each.needed)
    state = f"ALARM since {_minute(each.since)}" if each.since else ""
    e_value = each.e_value if each.windows else None
    told = (each.windows, each.events, e_value, each.needed, recent, _share(each, accuracy), each.statistic, state)
    return (f"{model} {version}", level, cohort, *told)


def _share(each: Standing, accuracy: Accuracy | None) -> str:
    if accuracy is not None:
        labels = f", {accuracy.labelled} labels" if accuracy.labelled else ""
        return f"{accuracy.value:.1%} ± {accuracy.error:.1%}{labels}"
    if each.expected_accuracy is None or each.expected_accuracy_error is None:
        return ""
    return f"{each.expected_accuracy:.1%} ± {each.expected_accuracy_error:.1%}"


def _plain(each: Standing, accuracy: Accuracy | None) -> dict[str, Any]:
    model, version, level, cohort = each.cohort
    return {
        "model": model,
        "model_version": version,
        "level": level,
        "cohort": cohort,
        "windows": each.windows,
        "until": each.until,
        "events": each.events,
        "e_value": each.e_value,
        "needed": each.needed,
        "recent": list(each.recent),
        "statistic": each.statistic,
        "provisional": each.provisional,
        "accuracy": accuracy.value if accuracy else each.expected_accuracy,
        "accuracy_error": accuracy.error if accuracy else each.expected_accuracy_error,
        "labelled": accuracy.labelled if accuracy else 0,
        "correct": accuracy.correct if accuracy else 0,
        "alarms": [{name: alarm[name] for name in _OF_ALARM} for alarm in each.alarms],
    }


def tell_statistics(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Rows of `drift` as a table or as objects; a star stands by what lies beyond its null interval."""
    if as_json:
        for row in rows:
            print_object(row)
        return
    kept = [name for name in (rows[0] if rows else ()) if not name.endswith(("_low", "_high"))]
    print_rows(kept, [tuple(_marked(row, name) for name in kept) for row in rows], as_json=False)


def _marked(row: dict[str, Any], name: str) -> Any:
    """A value, with a star where it lies beyond its null interval."""
    value, low, high = row[name], row.get(f"{name}_low"), row.get(f"{name}_high")
    if isinstance(value, list):
        return ", ".join(value)
    if value is None or high is None:
        return value
    return f"{value:.4g}{' *' if value > high or (low is not None and value < low) else ''}"


def _sparkline(e_values: Iterable[float], needed: float | None) -> str:
    """Each e-value as a bar on a logarithmic scale; full height is what an alarm needs, and more."""
    full = math.log(needed) if needed and needed > 1 else 1.0
    heights = (math.log(value) / full if value > 0 else 0.0 for value in e_values)
    return "".join(_BARS[int(min(max(height, 0.0), 1.0) * (len(_BARS) - 1))] for height in heights)


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
