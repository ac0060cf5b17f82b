"""Progress: up to where each partition of the log is in the lake.

Written by the dataflow after each publishing, read by ingest (what may be forgotten) and
by `gleaner status`. It may lag behind the truth, never run ahead of it.
"""

import json
import threading
from pathlib import Path
from typing import Final

_NAME: Final = "progress.json"


class Progress:
    """The offsets up to which all is in the lake."""

    def __init__(self, data_dir: Path) -> None:
        """Go on from what was written before."""
        self._path = data_dir / _NAME
        self._offsets = read(data_dir)
        self._mutex = threading.Lock()

    def published(self, partition: int, offset: int) -> None:
        """Note that the partition is in the lake up to `offset`."""
        with self._mutex:
            if self._offsets.get(partition) != offset:
                self._offsets[partition] = offset
                self._write()

    def reset(self) -> None:
        """Forget it all: the log is read again from its start, so none of it may go."""
        with self._mutex:
            self._offsets.clear()
            self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({str(k): v for k, v in sorted(self._offsets.items())}))
        draft.replace(self._path)


def read(data_dir: Path) -> dict[int, int]:
    """Partition → offset up to which all is in the lake; empty before the first publishing."""
    try:
        told = json.loads((data_dir / _NAME).read_text())
        return {int(partition): int(offset) for partition, offset in told.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}
