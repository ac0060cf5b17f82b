"""The marker: how far each log partition is in the lake, told in the lake itself.

One small object for each partition, overwritten after each publishing. It is no
Parquet file, so queries never see it. A recovery store that disagrees with it is
older, newer or another one than the lake's: `pipelines.healing` sees to that.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from pipelines.store import Store
from schemas.errors import LakeError

FOLDER: Final = "_gleaner"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """How far one log partition is in the lake.

    Attributes:
        log: id of the log that its rows are of; empty before the first.
        seq: staging numbers below it are in the lake, whole.
        offset: what the log holds up to here is in the lake.
    """

    log: str = ""
    seq: int = 0
    offset: int = 0


def read_marker(store: Store, partition: int) -> Marker:
    """The marker of a partition, or that of nothing.

    Raises:
        Unavailable: the store does not answer.
        LakeError: the object is none of ours.
    """
    found = store.get(_name(partition))
    if found is None:
        return Marker()
    try:
        told = json.loads(found)
        if told.pop("format") == _FORMAT:
            return Marker(log=str(told["log"]), seq=int(told["seq"]), offset=int(told["offset"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise LakeError(f"{_name(partition)} in the lake can't be read; was it edited, or written by a newer version?")


def write_marker(store: Store, partition: int, marker: Marker) -> None:
    """Put the marker of a partition, durably.

    Raises:
        Unavailable: the store does not take it now.
    """
    store.put(_name(partition), json.dumps({"format": _FORMAT, **asdict(marker)}).encode())


def _name(partition: int) -> str:
    return f"{FOLDER}/part-{partition:03d}.json"
