"""Fitness: whether log, recovery store and lake are of the same history, looked at before the flow starts."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from bytewax.recovery import init_db_dir

from pipelines.backoff import Backoff
from pipelines.healing import Healing
from pipelines.lake import Lake
from pipelines.log import LogReader, log_id, partitions_of
from pipelines.marker import FOLDER
from pipelines.stop import Stop
from schemas.errors import Fatal, LakeError, Unavailable, UnsafeFolder

T = TypeVar("T")
log = structlog.get_logger()


def unfit(log_folder: Path, recovery: Path, lake: Lake, healing: Healing) -> str:
    """Why the log must be read again from its first record; empty where the flow goes on from its last commit.

    Raises:
        Unavailable: the store does not answer.
        LakeError: the lake holds rows of which nothing says how far they go.
        Fatal: the log is an older copy of the one that the lake was made of.
    """
    markers = {number: lake.marker(number) for number in range(partitions_of(log_folder))}
    logs = {marker.log for marker in markers.values()} - {""}
    if not logs:
        if lake.holds_rows():
            raise LakeError(f"the lake holds rows, but no {FOLDER}/ that says how far they go; choose an empty lake")
        return ""
    if logs != {log_id(log_folder)}:
        return "the lake was made of another log"
    for number, marker in markers.items():
        _check_end(log_folder, number, marker.offset)
    if healing.must_begin_anew:
        return "an earlier healing was broken off"
    return "" if holds_files(recovery) else "the recovery store is gone"


def check_private(folder: Path) -> None:
    """Raise where others can write to a folder: whoever can write Bytewax's pickles can run code here.

    Raises:
        UnsafeFolder: others can.
    """
    if not folder.exists():
        return
    about = folder.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise UnsafeFolder(f"{folder}: must belong to this user and be private; chown it, and chmod 700 {folder}")


def prepare_recovery(folder: Path) -> None:
    """Create the recovery store where there is none.

    Raises:
        UnsafeFolder: others can write to it.
    """
    if not holds_files(folder):
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        init_db_dir(folder, 1)  # type: ignore[no-untyped-call]
    check_private(folder)


def holds_files(folder: Path) -> bool:
    """Whether there is anything in the folder."""
    return folder.is_dir() and any(folder.iterdir())


def patiently(ask: Callable[[], T], stop: Stop) -> T | None:
    """What `ask` gives once the store answers; None where `stop` is set before."""
    backoff, said = Backoff(), ""
    while not stop.is_set():
        try:
            return ask()
        except Unavailable as error:
            if said != str(error):
                said = str(error)
                log.error("waiting for the store", why=said)  # noqa: TRY400 - no traceback helps
            stop.wait(backoff.next_s())
    return None


def _check_end(log_folder: Path, partition: int, offset: int) -> None:
    """Raise where offsets that the lake knows would be given again, to other records."""
    reader = LogReader(log_folder, partition)
    try:
        last = reader.last_given()
    finally:
        reader.close()
    if last < offset:
        raise Fatal(
            f"{log_folder}: partition {partition} ends before offset {offset}, which the lake holds already; the log "
            "is an old copy: put the right one back, or move it away, and a new one begins"
        )
