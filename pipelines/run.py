"""Run: the dataflow as a process, from settings to a clean stop."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main
from threadpoolctl import threadpool_limits

from pipelines.commands import Commands
from pipelines.courier import Target
from pipelines.fitness import check_private, patiently, prepare_recovery, unfit
from pipelines.gleaning import Plan, build
from pipelines.healing import Healing, OutOfStep, heal
from pipelines.lake import Lake, Tables
from pipelines.lock import hold
from pipelines.log import log_id, partitions_of
from pipelines.notifier import Notifier
from pipelines.notifying import NoticeSink
from pipelines.planning import load_bundles, plan_of
from pipelines.progress import Progress
from pipelines.publisher import Publisher
from pipelines.settings import Settings
from pipelines.sinks import LakeSink, RequestSink
from pipelines.sources import LogSource, Stopper
from pipelines.store import open_store
from pipelines.targets import targets_of
from schemas.errors import GleanerError, LakeError

_OPEN_API: Final = "BYTEWAX_DATAFLOW_API_ENABLED"
"""Set to anything, it makes Bytewax serve without a password on every interface."""
_STOP_S: Final = 10.0
_TELL_S: Final = 2.0
_DRAIN_S: Final = float(timedelta(days=365).total_seconds())
_ANSWER_BYTES: Final = 384
"""More than the answer to a request takes without the sample's bytes."""
log = structlog.get_logger()


def run(settings: Settings, commands: Commands, stopper: Stopper) -> None:
    """Run the flow until the stopper is clean, or an interrupt.

    Args:
        settings: of the server.
        commands: tells devices.
        stopper: ends it; `stopper.requested.set()` from a signal handler stops cleanly.

    Raises:
        SettingsError, LakeError, BundleError, UnsafeFolder: something it needs is not as it must be.
        LockHeld: another process runs the flow of this data folder.
        Fatal: the log is older than the lake, or another data folder writes to the lake.
    """
    os.environ.pop(_OPEN_API, None)
    lock = hold(settings.data_dir / "run.lock", "runs this dataflow")
    try:
        _run(settings, commands, stopper)
    finally:
        os.close(lock)


def _run(settings: Settings, commands: Commands, stopper: Stopper) -> None:
    check_private(settings.recovery_dir)
    bundles = load_bundles(settings.models_dir)
    lake = Lake(open_store(settings.lake_place), settings.staging_dir)
    healing = Healing.resume(settings.data_dir / "healing")
    job = Job(
        settings=settings,
        plan=plan_of(settings, partitions_of(settings.log_dir), bundles),
        lake=lake,
        commands=commands,
        targets=targets_of(settings.alarms, commands),
        stopper=stopper,
        healing=healing,
    )
    why = patiently(partial(unfit, settings.log_dir, settings.recovery_dir, lake, healing), stopper.requested)
    log.info(
        "running", models=[f"{b.manifest.name}:{b.manifest.version}" for b in bundles], lake=str(settings.lake_place)
    )
    while not stopper.requested.is_set():
        if why:
            patiently(partial(_heal, why, job), stopper.requested)
        try:
            flow(job)
            break
        except OutOfStep as error:
            why = str(error)
    healing.close()
    log.info("stopped", clean=stopper.clean.is_set())


def _heal(why: str, job: "Job") -> None:
    settings = job.settings
    heal(why, job.healing, job.lake, settings.lake_place, settings.log_dir, settings.recovery_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one run of the flow is made of.

    Attributes:
        settings: of the server.
        plan: what it decides by.
        lake: where rows go.
        commands: tells devices.
        targets: who is told of alarms.
        stopper: ends it.
        healing: what to leave out because the lake has it.
        ends: partition → offset of the last record to read; all of the log where none is named.
        keep: what of the rows to write.
        commits: partition → offset up to which it is committed; kept up to date while it runs.
    """

    settings: Settings
    plan: Plan
    lake: Lake
    commands: Commands
    stopper: Stopper
    healing: Healing
    targets: Sequence[Target] = ()
    ends: Mapping[int, int] = field(default_factory=dict)
    keep: Callable[[Tables], Tables] | None = None
    commits: dict[int, int] = field(default_factory=dict)


def flow(job: Job) -> None:
    """The dataflow, from its last commit to its end.

    Raises:
        OutOfStep: its recovery store does not fit the lake.
        GleanerError: why it can't go on.
    """
    settings, stopper = job.settings, job.stopper
    prepare_recovery(settings.recovery_dir)
    publisher = Publisher(job.lake, job.commands, _on_published(job), settings.lake.staging_bytes)
    notifier = Notifier(job.targets)
    stopper.begin()
    job.commits.clear()
    try:
        with threadpool_limits(1, "blas"):  # its own threads would spin beside the workers, for nothing
            cli_main(  # type: ignore[no-untyped-call]
                _flow_of(job, publisher, notifier),
                workers_per_process=min(
                    settings.flow.workers, job.plan.partitions
                ),  # one that reads nothing never ends
                epoch_interval=settings.flow.epoch,
                recovery_config=RecoveryConfig(settings.recovery_dir, timedelta(0)),  # type: ignore[no-untyped-call]
            )
        _see_published(publisher, stopper)
    except KeyboardInterrupt:
        log.warning("interrupted; the next start goes on from the last commit")
    except BytewaxRuntimeError as error:
        publisher.halt()
        raise _cause_of(error) from error
    finally:
        notifier.close(_TELL_S if stopper.clean.is_set() else 0)


def _flow_of(job: Job, publisher: Publisher, notifier: Notifier) -> Dataflow:
    settings, plan = job.settings, job.plan
    lake = LakeSink(
        lake=job.lake,
        publisher=publisher,
        healing=job.healing,
        keep=job.keep or job.healing.leave_out,
        log=log_id(settings.log_dir),
        commits=job.commits,
        partitions=plan.partitions,
        stopper=job.stopper,
    )
    source = LogSource(settings.log_dir, settings.flow, job.stopper, job.commits, publisher.is_full, job.ends)
    most_bytes = settings.wire.max_payload_bytes - _ANSWER_BYTES
    requests = RequestSink(job.commands, most_bytes, plan.partitions, job.healing)
    people = NoticeSink(notifier, plan.partitions, job.healing, job.stopper)
    return build(plan, source, lake, requests, people, job.healing.seeds)


def _on_published(job: Job) -> Callable[[int, int], None]:
    progress = Progress(job.settings.data_dir)

    def note(partition: int, offset: int) -> None:
        progress.published(partition, offset)
        job.healing.published(partition, offset)

    return note


def _see_published(publisher: Publisher, stopper: Stopper) -> None:
    """Wait for what is committed to reach the lake: at the end of a log as long as it takes, else a while."""
    patience_s = _DRAIN_S if stopper.at_end and not stopper.signalled.is_set() else _STOP_S
    if not publisher.close(patience_s, stopper.signalled if stopper.at_end else None):
        log.warning("the store is away: what is committed waits on local disk for the next start")


def _cause_of(error: BaseException) -> BaseException:
    """What ended the flow, told as ours where it is known: the dataflow engine wraps it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, GleanerError | OSError):
        cause = cause.__cause__
    if isinstance(cause, OSError):
        where, why = cause.filename or "a file", cause.strerror or cause
        return LakeError(f"{where}: {why}; nothing is lost, the next start goes on from the last commit")
    return cause or error


def stop_on_signals(stopper: Stopper) -> None:
    """SIGTERM and SIGINT stop cleanly; a second SIGINT stops at once."""

    def handle(number: int, _frame: object) -> None:
        if stopper.requested.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopper.signalled.set()
        stopper.requested.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
