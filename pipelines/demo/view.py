"""What a person sees of a running demo: a live table, or a line now and then."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.demo.plan import BAD_SITE, SITES, DemoPlan

_LINE_EVERY_S: Final = 5.0


class View(Protocol):
    """Something that shows the state once a second."""

    def show(self, t: float, told: Mapping[str, Mapping[str, Any]], counters: Mapping[str, float]) -> None:
        """Show the state at `t` seconds."""

    def __enter__(self) -> "View":
        """Start showing."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""


class LiveView:
    """A table that is drawn again in place."""

    def __init__(self, plan: DemoPlan) -> None:
        """On stderr, so that stdout stays clean."""
        self._plan = plan
        self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)

    def show(self, t: float, told: Mapping[str, Mapping[str, Any]], counters: Mapping[str, float]) -> None:
        """Draw the table."""
        table = Table(
            title=f"gleaner demo, {max(0, t):.0f} s: {_phase(self._plan, t)}", caption=_summary(told, counters)
        )
        for column in ("site", "connected", "accepted", "not durable yet", "drift"):
            table.add_column(column)
        for site in SITES:
            line = told.get(site, {})
            table.add_row(
                site,
                str(line.get("connected", "")),
                str(line.get("accepted", "")),
                str(line.get("outbox_left", "")),
                _alarms(site, counters),
            )
        self._live.update(table)

    def __enter__(self) -> "LiveView":
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


class LineView:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, plan: DemoPlan) -> None:
        """On stderr."""
        self._plan = plan
        self._next = 0.0

    def show(self, t: float, told: Mapping[str, Mapping[str, Any]], counters: Mapping[str, float]) -> None:
        """Write a line, if it is time."""
        if t < self._next:
            return
        self._next = t + _LINE_EVERY_S
        alarms = "; ".join(f"{site} ALARM" for site in SITES if _alarms(site, counters))
        sys.stderr.write(
            f"{t:5.0f} s  {_phase(self._plan, t)}: {_summary(told, counters)}{'; ' + alarms if alarms else ''}\n"
        )

    def __enter__(self) -> "LineView":
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to restore."""


def _phase(plan: DemoPlan, t: float) -> str:
    if t < 0:
        return "starting"
    if t < plan.smear_at_s:
        return "all is well"
    return (
        f"the lenses at {BAD_SITE} are smeared"
        if t < plan.duration_s
        else "the cameras have stopped; waiting for the last rows"
    )


def _summary(told: Mapping[str, Mapping[str, Any]], counters: Mapping[str, float]) -> str:
    accepted = sum(line.get("accepted", 0) for line in told.values())
    rejects = sum(value for name, value in counters.items() if name.startswith("gleaner_rejects_total"))
    return (
        f"{accepted} accepted, {counters.get('gleaner_inferences_total', 0):.0f} in the flow, "
        f"{counters.get('gleaner_duplicates_total', 0):.0f} duplicates removed, {rejects:.0f} rejects, "
        f"{counters.get('gleaner_selections_total/requested', 0):.0f} samples asked for, "
        f"{counters.get('gleaner_selections_total/delivered', 0):.0f} delivered"
    )


def _alarms(site: str, counters: Mapping[str, float]) -> str:
    """Whether the site alarms as a whole; labels stand in the order of their names, the cohort and its level first."""
    prefix = f"gleaner_alarming/{site}/site/"
    return "ALARM" if any(value for name, value in counters.items() if name.startswith(prefix)) else ""
