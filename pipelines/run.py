"""Run: the dataflow as a process, from settings to a clean stop."""

import io
import os
import signal
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from operators.budget import Budget
from operators.calibration import level_for
from operators.decode import Clock
from operators.reference_file import from_parquet_bytes
from operators.requests import Patience
from operators.validate import ModelShape
from operators.watch import Policy
from pipelines import metrics
from pipelines.commands import Commands
from pipelines.gleaning import Plan, build
from pipelines.lake import Lake
from pipelines.lock import hold
from pipelines.log import LogReader, partitions_of
from pipelines.progress import Progress, read
from pipelines.settings import Settings
from pipelines.sinks import LakeSink, RequestSink
from pipelines.sources import LogSource, Stopper
from schemas import bundle, wire
from schemas.embedding import Codec
from schemas.errors import BundleError, Fatal, GleanerError, LakeError, UnsafeFolder

_DAY: Final = timedelta(days=1)
_OPEN_API: Final = "BYTEWAX_DATAFLOW_API_ENABLED"
"""Set to anything, it makes Bytewax serve without a password on every interface."""
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
        LakeError, BundleError, UnsafeFolder: something it needs is not as it must be.
        LockHeld: another process runs the flow of this data folder.
        Fatal: the log or the lake is not the one that the recovery store knows.
    """
    os.environ.pop(_OPEN_API, None)
    lock = hold(settings.data_dir / "run.lock", "runs this dataflow")
    try:
        _run(settings, commands, stopper)
    finally:
        os.close(lock)


def _run(settings: Settings, commands: Commands, stopper: Stopper) -> None:
    bundles = load_bundles(settings.models_dir)
    plan = plan_of(settings, partitions_of(settings.log_dir), bundles)
    lake = Lake(settings.lake_dir, settings.staging_dir)
    _prepare_recovery(settings.recovery_dir, lake)
    progress = Progress(settings.data_dir)
    _check_log(settings)
    flow = build(
        plan,
        LogSource(settings.log_dir, settings.flow, stopper, _on_commit(progress)),
        LakeSink(lake, commands, plan.partitions, stopper),
        RequestSink(commands, settings.wire.max_payload_bytes - _ANSWER_BYTES, plan.partitions),
    )
    log.info("running", models=[f"{b.manifest.name}:{b.manifest.version}" for b in bundles], lake=str(lake.root))
    try:
        cli_main(  # type: ignore[no-untyped-call]
            flow,
            workers_per_process=min(settings.flow.workers, plan.partitions),  # one that reads nothing never ends
            epoch_interval=settings.flow.epoch,
            recovery_config=RecoveryConfig(settings.recovery_dir, timedelta(0)),  # type: ignore[no-untyped-call]
        )
    except KeyboardInterrupt:
        log.warning("interrupted; the next start goes on from the last commit")
    except BytewaxRuntimeError as error:
        raise _cause_of(error) from error
    log.info("stopped", clean=stopper.clean.is_set())


def _cause_of(error: BaseException) -> BaseException:
    """What ended the flow, told as ours where it is known: the dataflow engine wraps it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, GleanerError | OSError):
        cause = cause.__cause__
    if isinstance(cause, OSError):
        where, why = cause.filename or "a file", cause.strerror or cause
        return LakeError(f"{where}: {why}; nothing is lost, the next start goes on from the last commit")
    return cause or error


def _check_log(settings: Settings) -> None:
    """Raise unless the log still is the one that the flow has read: offsets of another mean other records."""
    for partition, offset in read(settings.data_dir).items():
        if partition >= partitions_of(settings.log_dir):
            continue
        with closing(LogReader(settings.log_dir, partition)) as reader:
            if reader.last_given() < offset:
                raise Fatal(
                    f"{settings.log_dir}: partition {partition} ends before offset {offset}, which was read already; "
                    "the log was replaced, or is an old copy: put the right one back, or choose a new data_dir "
                    "and lake.path"
                )


def load_bundles(folder: Path) -> list[bundle.Bundle]:
    """Every bundle below `folder`: folders with a manifest, and tars."""
    if not folder.is_dir():
        return []
    found = sorted({path.parent for path in folder.rglob(bundle.MANIFEST)} | set(folder.rglob("*.tar")))
    bundles = [bundle.read(path) for path in found]
    ids = [(each.manifest.name, each.manifest.version) for each in bundles]
    for name, version in ids:
        if ids.count((name, version)) > 1:
            raise BundleError(f"{folder}: model {name} version {version} is there twice; raise the version of one")
    return bundles


def plan_of(settings: Settings, partitions: int, bundles: list[bundle.Bundle]) -> Plan:
    """What the flow decides by, from settings and bundles."""
    drift, choice = settings.drift, settings.select
    references = {}
    shapes = {}
    for each in bundles:
        manifest = each.manifest
        model = manifest.name, manifest.version
        if bundle.REFERENCE in each.contents:
            references[model] = from_parquet_bytes(each.contents[bundle.REFERENCE])
        shapes[model] = ModelShape(labels=len(manifest.labels), codec=manifest.embedding_codec, dims=_dims(each))
    alpha = level_for(drift.false_alarms_per_day, _DAY / drift.window, drift.cohorts, consecutive=drift.consecutive)
    return Plan(
        partitions=partitions,
        limits=wire.Limits(payload_bytes=settings.wire.max_payload_bytes, rows=settings.wire.max_rows),
        clock=Clock(skew_us=_us(settings.wire.clock_skew), horizon_us=_us(settings.wire.clock_horizon)),
        shapes=shapes,
        references=references,
        policy=Policy(
            window_us=_us(drift.window),
            grace_us=_us(drift.grace),
            round_us=_us(drift.round),
            horizon_us=_us(drift.horizon),
            alpha=alpha,
            consecutive=drift.consecutive,
            min_rows=drift.min_rows,
        ),
        budget=Budget(
            labels=choice.labels_per_hour,
            bytes=choice.bytes_per_hour,
            device_labels=choice.labels_per_device_hour,
            control_share=choice.control_share,
        ),
        select_round_us=_us(choice.round),
        select_seed=choice.seed,
        patience=Patience(retry_us=_us(settings.requests.retry), expire_us=_us(settings.requests.expire)),
    )


def _dims(of: bundle.Bundle) -> int:
    """Values of an embedding as it travels: a projection has a row for the mean, and one for each of them."""
    if of.manifest.embedding_codec is not Codec.PCA_I8:
        return of.manifest.embedding_dims
    try:
        return len(np.load(io.BytesIO(of.contents[bundle.PROJECTION]), allow_pickle=False)) - 1
    except (ValueError, EOFError, TypeError) as error:
        raise BundleError(f"{of.manifest.name}: {bundle.PROJECTION} is not an array: {error}") from error


def stop_on_signals(stopper: Stopper) -> None:
    """SIGTERM and SIGINT stop cleanly; a second SIGINT stops at once."""

    def handle(number: int, _frame: object) -> None:
        if stopper.requested.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopper.requested.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _on_commit(progress: Progress) -> Callable[[int, int], None]:
    def note(partition: int, offset: int) -> None:
        progress.committed(partition, offset)
        metrics.COMMITTED.labels(f"{partition:03d}").set(offset)

    return note


def _prepare_recovery(folder: Path, lake: Lake) -> None:
    """Check or create the recovery store: whoever can write its pickles can run code here."""
    if not folder.exists() or not any(folder.iterdir()):
        if not lake.is_empty():
            raise LakeError(
                f"{lake.root} holds rows, but their recovery store {folder} is gone: going on would write rows "
                "twice; restore the store from a backup, or choose an empty lake.path"
            )
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        init_db_dir(folder, 1)  # type: ignore[no-untyped-call]
    about = folder.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise UnsafeFolder(f"{folder}: must belong to this user and be private; chown it, and chmod 700 {folder}")
