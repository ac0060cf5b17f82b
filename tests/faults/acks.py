"""Whether acknowledgements are honest: what a device was told to be durable can be read in the lake."""

import json
from pathlib import Path

from tests.faults.fates import Numbers


def dishonest(folder: Path, settled: Numbers, forked: frozenset[str] = frozenset()) -> list[str]:
    """Each number that was acknowledged and has no fate.

    Args:
        folder: what the devices heard, a file for each.
        settled: (device, stream) → numbers that have a fate in the lake.
        forked: devices of which a number may stand for two records; left out.
    """
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        for stream, numbers in _told(path).items():
            missing = numbers - settled.get((path.stem, stream), set())
            if missing and path.stem not in forked:
                found.append(f"{path.stem}/{stream[:8]}: {len(missing)} numbers, {min(missing)} first")
    return found


def _told(path: Path) -> dict[str, set[int]]:
    """Stream → all numbers that any acknowledgement in the file says are durable."""
    through: dict[str, int] = {}
    ahead: dict[str, set[int]] = {}
    for line in path.read_text().splitlines():
        ack = json.loads(line)
        stream = ack["stream"]
        through[stream] = max(through.get(stream, -1), ack["through"])
        beyond = ahead.setdefault(stream, set())
        holes = {n for first, last in ack["holes"] for n in range(first, last + 1)}
        beyond |= set(range(ack["through"] + 1, ack["ahead"] + 1)) - holes
    return {stream: set(range(last + 1)) | ahead[stream] for stream, last in through.items()}
