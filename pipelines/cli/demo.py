"""The command `demo`: watch the whole loop run, then see what it found."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import typer
from rich.console import Console

from pipelines.cli.context import JsonOption, context_of, print_object, print_rows
from pipelines.demo.plan import SITES, WINDOW_S, DemoPlan
from pipelines.demo.report import QUESTIONS, Totals, is_sound, next_commands, open_lake, report, shown
from pipelines.demo.view import LineView, LiveView, View
from pipelines.demo.world import World
from pipelines.models.build import build_digits
from pipelines.views import columns_of
from schemas.errors import InputError, LakeError

_SETTLE_S: Final = 2 * WINDOW_S
_DRAIN_S: Final = 40.0


def demo(
    context: typer.Context,
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the model, the cameras and the links.")] = 7,
    devices: Annotated[int, typer.Option(min=6, max=300, help="Cameras, on three sites.")] = 24,
    duration: Annotated[str, typer.Option(help="How long the cameras run, as 45s.")] = "45s",
    lake: Annotated[Path | None, typer.Option(help="Folder for the tables; must be empty.")] = None,
    broker: Annotated[str, typer.Option(help="auto, mosquitto or embedded.")] = "auto",
) -> None:
    """A fleet of cameras, a broker and the whole service, here and now; exit 1 if a row is missing or doubled."""
    context_of(context)
    began = time.monotonic()
    plan = _plan(seed, devices, duration, lake, broker)
    _say(f"everything is kept in {shown(plan.folder)}; training a model on half of 1,797 handwritten digits")
    built = build_digits(plan.folder / "models" / "digits-1", seed=seed)
    _say(
        f"accuracy on the other half {built.int8_accuracy:.1%}, {built.int8_bytes} bytes, p50 {built.p50_latency_us} µs"
    )
    with World(plan) as world:
        if world.broker == "embedded":
            _say("no Mosquitto here: using the embedded broker (MQTT 3.1.1, for demos only)")
        world.start()
        _watch(world, plan, as_json)
        counters = world.metrics()
        world.stop()
        totals = _totals(world, counters, time.monotonic() - began)
        opened = open_lake(plan)
        result = report(plan, opened, world.start_at, totals)
    if not as_json:
        _tell(plan, result, opened, world.config)
    else:
        print_object(result)
    raise typer.Exit(0 if is_sound(result) else 1)


def _plan(seed: int, devices: int, duration: str, lake: Path | None, broker: str) -> DemoPlan:
    seconds = _duration(duration)
    if broker not in ("auto", "mosquitto", "embedded"):
        raise InputError(f"--broker {broker}: auto, mosquitto or embedded")
    if str(lake).startswith("s3:"):
        raise InputError(f"--lake {lake}: a demo writes to a folder")
    folder = Path("gleaner-data").resolve() / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    lake = (lake or folder / "lake").resolve()
    try:
        folder.mkdir(parents=True)
        lake.mkdir(parents=True, exist_ok=True)
        if any(lake.iterdir()):
            raise LakeError(f"{lake}: not empty; a demo needs a lake of its own")
    except OSError as error:
        raise LakeError(f"{error.filename}: can't be created: {error.strerror}") from error
    return DemoPlan(seed=seed, devices=devices, duration_s=seconds, folder=folder, lake=lake, broker=broker)


def _duration(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError as error:
        raise InputError(f"--duration {text}: say seconds, as 45s") from error
    if not 25 <= seconds <= 3600:
        raise InputError(f"--duration {text}: 25s to 3600s; drift needs a few windows before and after it starts")
    return seconds


def _watch(world: World, plan: DemoPlan, as_json: bool) -> None:
    """Show the demo until every device has nothing left to send and every request has ended."""
    view: View = LiveView(plan) if sys.stderr.isatty() and not as_json else LineView(plan)
    settled: float | None = None
    with view:
        while True:
            world.check()
            t = time.time() - world.start_at
            counters = world.metrics()
            view.show(t, world.told, counters)
            if len(world.drained) == len(SITES):
                settled = settled or max(t, plan.duration_s) + _SETTLE_S
            if t > plan.duration_s + _DRAIN_S or (settled and t > settled and _open(counters) == 0):
                return
            time.sleep(0.5)


def _open(counters: dict[str, float]) -> float:
    """Requests that have not ended."""
    of = {
        status: counters.get(f"gleaner_selections_total/{status}", 0)
        for status in ("requested", "delivered", "expired", "refused")
    }
    return of["requested"] - of["delivered"] - of["expired"] - of["refused"]


def _totals(world: World, counters: dict[str, float], seconds: float) -> Totals:
    reports = [device for told in world.told.values() for device in told.get("devices", ())]
    return Totals(
        duplicates=int(counters.get("gleaner_duplicates_total", 0)),
        bytes_published=sum(device["bytes_published"] for device in reports),
        bytes_raw=sum(device["bytes_raw"] for device in reports),
        seconds=seconds,
    )


def _tell(plan: DemoPlan, result: dict[str, Any], lake: duckdb.DuckDBPyConnection, config: Path) -> None:
    out = Console(highlight=False, soft_wrap=True)
    rejects = ", ".join(f"{count} {reason}" for reason, count in result["rejects"].items()) or "none"
    out.print(
        f"\n[bold]{result['accepted']} inferences accepted by the devices, {result['durable']} in the lake[/bold]"
    )
    out.print(
        f"  missing {result['missing']}, doubled {result['doubled']}, altered {result['altered']} "
        "(against the devices' own ledgers)"
    )
    out.print(f"  duplicates removed {result['duplicates_removed']}, gaps {result['gaps']}, rejects: {rejects}")
    out.print(
        f"[bold]drift: {', '.join(result['drifted_sites']) or 'nowhere'}[/bold] (smeared: {result['smeared_site']})"
    )
    for alarm in result["alarms"]:
        late = f", {alarm['delay_windows']} windows after the smear" if alarm["delay_windows"] else ""
        out.print(
            f"  {alarm['site']}: {alarm['statistic']} at {datetime.fromtimestamp(alarm['window'], UTC):%H:%M:%S}{late}"
        )
    out.print(
        f"[bold]{result['requested']} samples asked for, {result['delivered']} delivered[/bold], "
        f"{result['expired']} expired, {result['refused']} refused"
    )
    out.print(
        f"  the model is wrong for {_percent(result['mistake_rate_selected'])} of the selected, "
        f"for {_percent(result['mistake_rate_fleet'])} of all"
    )
    share = result["bytes_published"] / max(1, result["bytes_raw"])
    out.print(
        f"  {result['bytes_published']:,} bytes published, {share:.1%} of the "
        f"{result['bytes_raw']:,} bytes of all raw samples"
    )
    for question, query in QUESTIONS:
        out.print(f"\n[bold]{question}[/bold]\n[dim]{query}[/dim]")
        answer = lake.execute(query)
        print_rows(columns_of(answer), answer.fetchall(), as_json=False)
    out.print(f"\nLook further (lake: {shown(plan.lake)}):")
    for command in next_commands(plan, config, [alarm["alarm_id"] for alarm in result["alarms"]]):
        out.print(f"  {command}")


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.1%}"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


COMMANDS = (demo,)
