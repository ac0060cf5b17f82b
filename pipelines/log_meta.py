"""What a log is: its id, and how many partitions it has; `log.json` in its folder.

The id is drawn when the log is created. Offsets mean something only together with it:
the same offset of another log is another record. Within a log no offset is used twice,
not even after a partition had to be begun anew: floors say where it goes on.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pipelines import durable
from pipelines.lock import hold
from pipelines.log_file import DamagedError, LogFile, path_of
from schemas.errors import LakeError

_NAME: Final = "log.json"
_FORMAT: Final = 1
_JUMP: Final = 1 << 32  # more records than a partition can hold: what was given and is not known is below


def create_or_check(folder: Path, partitions: int) -> None:
    """Describe a new log, durably; or check that the one in `folder` has so many partitions.

    Several processes may do this at once: one creates, the others check. A log that was
    created before there were ids gets one.

    Args:
        folder: of the log; made where it is missing.
        partitions: how many there must be, 1 to 256.

    Raises:
        LakeError: not writable, or created with another number of partitions.
    """
    with _alone(folder):
        if not (folder / _NAME).exists():
            _create_files(folder, partitions)
            _write(folder, {"format": _FORMAT, "partitions": partitions, "id": secrets.token_hex(16)})
        there = partitions_of(folder)
        if there != partitions:
            raise LakeError(
                f"{folder}: created with {there} partitions, which can't change; set log.partitions={there}"
            )
        told = _read(folder)
        if "id" not in told:
            _write(folder, told | {"id": secrets.token_hex(16)})


def raise_floor(folder: Path, partition: int, known: int) -> int:
    """An offset beyond all that the partition ever gave, remembered so that the next one is beyond this one.

    Args:
        folder: of the log.
        partition: that is begun anew.
        known: an offset that was certainly given, as that up to which the lake holds all.

    Raises:
        LakeError: the floor can't be written.
    """
    with _alone(folder):
        told = _read(folder)
        floors = dict(told.get("floors", {}))
        floor = max(int(floors.get(str(partition), 0)), known) + _JUMP
        _write(folder, told | {"floors": floors | {str(partition): floor}})
    return floor


def partitions_of(folder: Path) -> int:
    """How many partitions the log in `folder` has.

    Raises:
        LakeError: there is none.
    """
    try:
        return int(_read(folder)["partitions"])
    except (KeyError, TypeError, ValueError) as error:
        raise _no_log(folder) from error


def log_id(folder: Path) -> str:
    """The id of the log in `folder`: 32 hex digits, the same for as long as it lives.

    Raises:
        LakeError: there is none, or an older one that no writer has opened yet.
    """
    found = _read(folder).get("id")
    if not isinstance(found, str):
        raise LakeError(f"{folder}: this log has no id yet; start `gleaner ingest` first, it gives it one")
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = hold(folder / f"{_NAME}.lock", "writes this log", wait=True)
    try:
        yield
    finally:
        os.close(lock)


def _create_files(folder: Path, partitions: int) -> None:
    """Every partition, empty: one that is missing later was lost. What is there already is kept."""
    for number in range(partitions):
        with suppress(DamagedError):  # its writer sets it aside
            LogFile(path_of(folder, number)).close()


def _read(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / _NAME).read_text())
    except (OSError, ValueError) as error:
        raise _no_log(folder) from error
    if not isinstance(told, dict):
        raise _no_log(folder)
    return told


def _no_log(folder: Path) -> LakeError:
    return LakeError(f"{folder}: no log here; start `gleaner ingest` first, it creates one")


def _write(folder: Path, told: dict[str, Any]) -> None:
    """Put the description in its place, durably, the name of its folder too."""
    try:
        durable.write_text(folder / _NAME, json.dumps(told))
        durable.sync(folder.parent)
    except OSError as error:
        raise LakeError(f"{folder}: can't be written: {error.strerror}") from error
