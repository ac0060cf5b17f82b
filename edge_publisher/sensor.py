"""What a device observes: samples, from anything that yields them.

A sensor of your own is any iterable of `Sample`: a generator around a camera or a
microphone will do.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_publisher.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One observation.

    Attributes:
        data: the raw bytes, as they are uploaded when asked for; their SHA-256 names the sample.
        content_type: of `data`, such as `image/x-portable-graymap`.
        array: the same as numbers, shape (h, w) or (h, w, channels), for the model.
        label: the true class; known in simulations only.
    """

    data: bytes
    content_type: str
    array: NDArray[Any]
    label: int | None = None


class Sensor(Protocol):
    """Anything that yields samples; when it ends, the device goes on sending what it has."""

    def __iter__(self) -> Iterator[Sample]:
        """The samples, one after the other."""
        ...


def paced(samples: Iterable[Sample], rate_hz: float, stop: Event | Stop) -> Iterator[Sample]:
    """`samples`, at most `rate_hz` of them a second on average, until `stop` is set.

    After a stall it goes on at the rate, without catching up.
    """
    period_s = 1.0 / rate_hz
    due = monotonic()
    for sample in samples:
        if stop.wait(max(0.0, due - monotonic())):
            return
        yield sample
        due = max(due + period_s, monotonic() - period_s)
