"""The commands `drift`, how each cohort stands, and `drift alarms`, what there has been."""

import sys
from typing import Annotated, Final

import typer

from pipelines.cli import explain, rebase
from pipelines.cli.context import Context, JsonOption, LakeOption, context_of, print_rows
from pipelines.cli.standing import tell_standings, tell_statistics
from pipelines.drift.accuracy import accuracy_of
from pipelines.drift.standing import standings
from pipelines.gleaning import Plan
from pipelines.planning import load_bundles, plan_of
from pipelines.views import columns_of, connect, rows_of
from schemas.errors import BundleError, InputError

ModelOption = Annotated[str | None, typer.Option("--model", help="Only this model.")]
LevelOption = Annotated[str | None, typer.Option("--level", help="Only cohorts of this level, as in drift.by.")]

_STATISTICS: Final = """
select model, model_version, level, cohort, statistic, window_start, events, e_value,
       population_stability, population_stability_low, population_stability_high,
       jensen_shannon, jensen_shannon_low, jensen_shannon_high,
       kolmogorov_smirnov, kolmogorov_smirnov_low, kolmogorov_smirnov_high,
       wasserstein, wasserstein_low, wasserstein_high,
       maximum_mean_discrepancy, maximum_mean_discrepancy_high, opinions
from current_drift d semi join (
    select model, model_version, level, cohort, max(window_start) as window_start
    from current_windows group by model, model_version, level, cohort) n
using (model, model_version, level, cohort, window_start)
where model = coalesce($model, model) and level = coalesce($level, level)
order by model, model_version, level, cohort, e_value desc nulls last, statistic"""
_ALARMS: Final = """
select alarm_id, state, model, model_version, level, cohort, statistic, since, raised_at, cleared_at, events, e_value,
       needed, cause, revision, changed
from current_alarms
where model = coalesce($model, model) and level = coalesce($level, level)
and starts_with(cause, coalesce($cause, '')) and (not $open or state in ('raised', 'confirmed'))
order by raised_at desc, alarm_id limit $limit"""

app = typer.Typer(invoke_without_command=True)


@app.callback()
def drift(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    level: LevelOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every statistic of the newest windows.")] = False,
) -> None:
    """How far each cohort is from what its model was accepted on; exit 1 while an alarm lasts."""
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    said = context_of(context)
    connection = connect(said.lake(lake))
    plan = _plan(said)
    found = [
        each
        for each in standings(connection, plan.policy.interval_windows)
        if (model is None or each.cohort[0] == model) and (level is None or each.cohort[2] == level)
    ]
    if every:
        statistics = connection.execute(_STATISTICS, {"model": model, "level": level})
        tell_statistics(rows_of(statistics), as_json)
    else:
        since = {each.cohort: begin for each in found if (begin := each.since or each.recent_since)}
        accuracy = accuracy_of(connection, since, plan.references)
        tell_standings(found, accuracy, as_json)
    if not found:
        told = "no such cohort has been judged" if model or level else "no window has been judged yet"
        sys.stderr.write(f"{told}\n")
    raise typer.Exit(1 if any(each.alarms for each in found) else 0)


@app.command("alarms")
def alarms(
    context: typer.Context,
    lake: LakeOption = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    level: LevelOption = None,
    cause: Annotated[str | None, typer.Option(help="Only those of one cause: an id, or its first digits.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
) -> None:
    """Every alarm there has been, as it now stands, newest first."""
    connection = connect(context_of(context).lake(lake))
    of = {"model": model, "level": level, "cause": cause, "open": only_open, "limit": limit}
    told = connection.execute(_ALARMS, of)
    columns, rows = columns_of(told), told.fetchall()
    shown = len(columns) if as_json else len(columns) - 2
    print_rows(columns[:shown], [row[:shown] for row in rows], as_json)


app.command("explain")(explain.explain_command)
app.command("rebase")(rebase.rebase_command)


def _refuse_options(context: typer.Context) -> None:
    """An option before the name of the subcommand would be forgotten."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise InputError(f"say options behind `drift {context.invoked_subcommand}`, not before it")


def _plan(said: Context) -> Plan:
    """What the service decides by; a bundle that can't be read hides no alarm."""
    settings = said.settings()
    try:
        return plan_of(settings, 1, load_bundles(settings.models_dir))
    except BundleError as error:
        sys.stderr.write(f"without bundles, so labels are not taken into account: {error}\n")
        return plan_of(settings, 1, [])
