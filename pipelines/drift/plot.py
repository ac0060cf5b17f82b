"""Plot: the windows of a cohort with its alarm, as a picture."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from operators.features import places
from pipelines.drift.explain import Explanation, grown_places
from pipelines.drift.history import History
from schemas.errors import InputError, LakeError

KINDS: Final = (".png", ".svg")
_MISSING: Final = "drawing needs matplotlib: pip install 'gleaner-edge[plot]'"
_FIELD: Final = {"color": "#1f4e79", "linewidth": 1.2, "marker": "."}
_MARKS: Final = (("since", "#c55a11", ":"), ("raised_at", "#c00000", "-"), ("cleared_at", "#548235", "-"))


def check_plot(file: Path) -> None:
    """Raise unless such a file can be drawn.

    Raises:
        InputError: its name ends otherwise than in .png or .svg, or matplotlib is not installed.
    """
    if file.suffix.lower() not in KINDS:
        raise InputError(f"--plot {file}: a name that ends in {' or '.join(KINDS)}")
    try:
        import matplotlib  # noqa: F401 – most commands do without
    except ImportError as error:
        raise InputError(_MISSING) from error


def plot(found: Explanation, file: Path) -> None:
    """Draw the e-values of an alarm's cohort, what moved most, and its expected accuracy, over time.

    Args:
        found: of an alarm of drift.
        file: where to; the same explanation gives the same SVG.

    Raises:
        InputError: the alarm is of a silent device, which has no windows; or no picture can be drawn.
        LakeError: the file can't be written.
    """
    check_plot(file)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    history = found.history
    if history is None or found.compared is None:
        raise InputError(f"alarm {found.alarm['alarm_id']} is of a silent device; there are no windows to draw")
    known = bool(np.isfinite(history.accuracy).any())
    figure = Figure(figsize=(10, 7.5 if known else 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3 if known else 2, 1, sharex=True)
    _evidence(panels[0], found, history)
    _grown(panels[1], found, history)
    if known:
        _accuracy(panels[2], history)
    for panel in panels:
        _mark(panel, found)
        panel.grid(alpha=0.3)
    panels[0].legend(loc="upper left", fontsize="small")
    panels[-1].set_xlabel("event time, UTC")
    alarm = found.alarm
    figure.suptitle(
        f"{alarm['level']} {alarm['cohort']}, {alarm['model']} {alarm['model_version']}: "
        f"{alarm['statistic']} ({alarm['state']}, {alarm['alarm_id']})"
    )
    try:
        with rc_context({"svg.hashsalt": "gleaner"}):  # the same names inside each time
            figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise LakeError(f"{file}: {error.strerror}") from error


def _times(history: History) -> Any:
    """Ends of windows: when what is shown of them was known."""
    return history.ends.astype("datetime64[us]")


def _evidence(panel: Any, found: Explanation, history: History) -> None:
    panel.plot(_times(history), np.maximum(history.log_e, 0.0) / np.log(10), **_FIELD)
    needed = np.log10(max(found.alarm["needed"], 1.0))
    panel.axhline(needed, color="#7f7f7f", linestyle="--", label="needed")
    panel.set_ylabel("log₁₀ e-value")


def _grown(panel: Any, found: Explanation, history: History) -> None:
    compared, name = found.compared, found.alarm["statistic"]
    assert compared is not None  # of a silent device there is no plot
    grown = grown_places(found.alarm, compared)
    named = zip(compared.scale.features, places(compared.scale.features), strict=True)
    own = next((place for feature, place in named if feature.name == name), slice(0, 0))
    stacks, reference = history.panes[:, compared.layout.stack], compared.judge.stack
    events = stacks[:, own].sum(axis=1)
    share = np.where(events > 0, stacks[:, grown].sum(axis=1) / np.maximum(events, 1), np.nan)
    panel.plot(_times(history), share, **_FIELD)
    expected = reference[grown].sum() / max(int(reference[own].sum()), 1)
    panel.axhline(expected, color="#7f7f7f", linestyle="--", label="expected")
    panel.set_ylabel(f"{name}:\nshare in the bins\nthat grew")
    panel.set_ylim(0, None)


def _accuracy(panel: Any, history: History) -> None:
    times, value, error = _times(history), history.accuracy, history.accuracy_error
    panel.fill_between(times, value - 2 * error, value + 2 * error, color="#9dc3e6", alpha=0.5, linewidth=0)
    panel.plot(times, value, **_FIELD)
    panel.set_ylabel("expected accuracy\n± 2 standard errors")


def _mark(panel: Any, found: Explanation) -> None:
    for name, color, style in _MARKS:
        time: datetime | None = found.alarm[name]
        if time is not None:
            at = np.datetime64(time.replace(tzinfo=None), "us")
            panel.axvline(at, color=color, linestyle=style, label=name.removesuffix("_at"))
