"""Forks: another record under a number that is taken, told by what it holds.

An outbox that was restored from a backup counts on from an old number, and so gives
numbers that an earlier life of it has used. A resend holds what the first one held;
a fork does not. Each record has a fingerprint of 32 bits, and the fingerprints of the
newest numbers of a stream are kept.

Of numbers before these only time can tell. What is resent for good was made before the
records that are kept, what a restored outbox makes was made after the restore, and so
after them. A clock that was set back by more than `SLACK_US` can make a resend look like
a fork: that is a row of `rejects` too many, and no harm. A clock that lags can hide a fork
of a number that is no longer kept; the device's own check is the second guard there.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WINDOW: Final = 512
SLACK_US: Final = 1_000_000  # a device of 100 records/s turns the window over in 5 s
_BYTES: Final = 4  # of a fingerprint
_DATE_EVERY: Final = 64
_DATE: Final = Struct("<qq")
_TOLD: Final = 256
_ODD: Final = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64
)
_HALF: Final = np.uint64(32)


@dataclass(slots=True)
class Prints:
    """What is kept of the newest numbers of one stream; at most 3 KiB.

    Attributes:
        end: one beyond the highest number that is kept.
        marks: a fingerprint, 4 bytes, for each of the at most `WINDOW` numbers before `end`;
            0 where none is known: it fits everything.
        dates: number and device time (µs since 1970), 8 bytes each, of about one in 64 of them, oldest first.
        told: fingerprints of the forks that were told last, so that a resend is not told again.
    """

    end: int = 0
    marks: bytes = b""
    dates: bytes = b""
    told: bytes = b""


def fingerprints(rows: pa.RecordBatch) -> tuple[bytes, NDArray[np.int64]]:
    """Of each row of `inferences` a fingerprint of digest and device time, and that time in µs; none is 0."""
    times = rows["device_time"].view("int64").to_numpy()
    digests = rows["sample_digest"]
    words = np.frombuffer(digests.buffers()[1], "<u8")[4 * digests.offset :][: 4 * len(digests)].reshape(-1, 4)
    mixed = times.view(np.uint64) * _ODD[4]
    for place in range(4):
        mixed ^= words[:, place] * _ODD[place]
    folded = ((mixed ^ (mixed >> _HALF)) * _ODD[4]) >> _HALF
    return np.maximum(folded, np.uint64(1)).astype("<u4").tobytes(), times


def remember(prints: Prints, first: int, marks: bytes, time_us: int) -> None:
    """Keep what the records from `first` on held; all of them are new.

    Args:
        prints: what is kept; updated in place.
        first: number of the first record.
        marks: a fingerprint of each.
        time_us: device time of the last one.
    """
    end = first + len(marks) // _BYTES
    if end <= prints.end:
        prints.marks = _filled(prints, first, marks)
        return
    if first > prints.end and prints.marks:
        marks = bytes(_BYTES * min(first - prints.end, WINDOW)) + marks
    prints.marks = (prints.marks + marks)[-_BYTES * WINDOW :]
    prints.end = end
    dates = prints.dates
    if not dates or end - 1 - int.from_bytes(dates[-16:-8], "little") >= _DATE_EVERY:
        kept = [_DATE.pack(*date) for date in _DATE.iter_unpack(dates) if date[0] >= end - WINDOW]
        prints.dates = b"".join([*kept, _DATE.pack(end - 1, time_us)])


def _filled(prints: Prints, first: int, marks: bytes) -> bytes:
    """The marks with some put where none was known."""
    begin = prints.end - len(prints.marks) // _BYTES
    marks = marks[_BYTES * max(0, begin - first) :]
    at = _BYTES * max(0, first - begin)
    return prints.marks[:at] + marks + prints.marks[at + len(marks) :]


def find_forks(prints: Prints, first: int, marks: bytes, times: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Which of the repeated numbers from `first` on are forks that were not told lately; None where no one is.

    Args:
        prints: what is kept of the stream; updated in place.
        first: number of the first record.
        marks: a fingerprint of each.
        times: device time of each, µs since 1970.
    """
    begin = prints.end - len(prints.marks) // _BYTES
    at = _BYTES * (first - begin)
    if at >= 0 and prints.marks[at : at + len(marks)] == marks:
        return None
    given = np.frombuffer(marks, "<u4")
    numbers = np.arange(first, first + len(given), dtype=np.int64)
    forked = _differ(prints, begin, numbers, given)
    since = next((time for number, time in _DATE.iter_unpack(prints.dates) if number >= begin), None)
    if since is not None:
        forked |= (numbers < begin) & (times > since + SLACK_US)
    keys = given ^ (numbers.astype(np.uint64) * _ODD[0] >> _HALF).astype(np.uint32)
    forked &= ~np.isin(keys, np.frombuffer(prints.told, "<u4"))
    if not forked.any():
        return None
    prints.told = (prints.told + keys[forked].astype("<u4").tobytes())[-_BYTES * _TOLD :]
    return forked


def _differ(prints: Prints, begin: int, numbers: NDArray[np.int64], given: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of the records are known by another fingerprint."""
    known = np.zeros(len(given), np.uint32)
    inside = (numbers >= begin) & (numbers < prints.end)
    known[inside] = np.frombuffer(prints.marks, "<u4")[numbers[inside] - begin]
    differ: NDArray[np.bool_] = (known != 0) & (known != given)
    return differ
