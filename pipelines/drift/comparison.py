"""Comparison: what a cohort is compared with, as the service compares it."""

from dataclasses import dataclass, replace
from typing import Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from operators.cohorts import Cohort
from operators.judge import Basis, Judge, judge_of
from operators.panes import Layout, layout_of
from operators.reference import BLESSED, Reference
from operators.scale import Scale
from operators.watch import Policy, References, basis_of
from pipelines.drift.history import history_of

Ints = NDArray[np.int64]

_FIRST: Final = """
select make_timestamptz(epoch_us(min(window_end))) from (
    select window_end, sum(events) over (order by window_start) as total from current_windows
    where model = ? and model_version = ? and level = ? and cohort = ?)
where total >= ?"""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What a cohort is compared with.

    Attributes:
        cohort: model, model version, level, name.
        basis: as the service has it, but evidence counts up as far as it goes.
        first: (width,) stack of the cohort's first windows; None while they are too few.
        judge: of its windows.
        source: in words.
    """

    cohort: Cohort
    basis: Basis
    first: Ints | None
    judge: Judge
    source: str

    @property
    def scale(self) -> Scale:
        """What is watched."""
        return self.basis.scale

    @property
    def reference(self) -> Reference | None:
        """Of the model, if there is one."""
        return self.basis.reference

    @property
    def layout(self) -> Layout:
        """Of panes on the scale."""
        return layout_of(self.scale)


def comparison_of(
    lake: duckdb.DuckDBPyConnection, cohort: Cohort, references: References, policy: Policy
) -> Comparison:
    """What a cohort is compared with; its first windows are those that the lake has.

    Raises:
        InputError: its windows were counted on another scale.
    """
    basis = replace(basis_of(cohort, references, policy), cap_nats=np.inf)
    layout = layout_of(basis.scale)
    [(until,)] = lake.execute(_FIRST, [*cohort, basis.first_events]).fetchall()
    first = None
    if until is not None:
        first = history_of(lake, cohort, layout.width, until=until).panes[:, layout.stack].sum(axis=0)
    return Comparison(cohort, basis, first, judge_of(basis, first), _source(basis.reference, policy))


def _source(reference: Reference | None, policy: Policy) -> str:
    own = f"the cohort's own first {policy.first_events:,} events"
    if reference is None:
        return f"{own}, since there is no bundle of the model"
    if reference.source == BLESSED:
        whose = f"{reference.level} {reference.cohort}" if reference.level else "the whole model"
        return f"windows of production that were blessed for {whose}, {reference.events:,} events"
    return f"the {reference.rows:,} validation rows of its bundle; latency and quality with {own}"
