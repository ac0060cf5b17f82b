"""Progress: how far the dataflow has committed each partition of the log.

Written by the dataflow after each commit, read by ingest (what may be forgotten) and by
`gleaner status`. It may lag behind the truth, never run ahead of it.
"""

import json
import threading
from pathlib import Path
from typing import Final

_NAME: Final = "progress.json"


class Progress:
    """The offsets that this process has seen committed."""

    def __init__(self, data_dir: Path) -> None:
        """Go on from what was written before."""
        self._path = data_dir / _NAME
        self._offsets = read(data_dir)
        self._mutex = threading.Lock()

    def committed(self, partition: int, offset: int) -> None:
        """Note that the partition is committed up to `offset`."""
        with self._mutex:
            if self._offsets.get(partition) == offset:
                return
            self._offsets[partition] = offset
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps({str(k): v for k, v in sorted(self._offsets.items())}))
            draft.replace(self._path)


def read(data_dir: Path) -> dict[int, int]:
    """Partition → committed offset; empty before the first commit."""
    try:
        told = json.loads((data_dir / _NAME).read_text())
        return {int(partition): int(offset) for partition, offset in told.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}
