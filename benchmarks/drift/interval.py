"""How sure one is of a count: exact limits of a Poisson mean, and delays as a line of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import chi2


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean samples between false alarms.

    Attributes:
        alarms: false alarms that were counted.
        samples: in which they were counted.
    """

    alarms: int
    samples: int

    @property
    def mean(self) -> float:
        """Samples for each alarm; where there was none, a lower bound: all samples."""
        return self.samples / max(self.alarms, 1)

    @property
    def lower(self) -> float:
        """The lower end of the 95 % interval, exact for a Poisson count (Garwood, 1936, Biometrika)."""
        return self.samples / (float(chi2.ppf(0.975, 2 * self.alarms + 2)) / 2)

    def __str__(self) -> str:
        return f"{'> ' if not self.alarms else ''}{self.mean:,.0f}"


def delays(alarms: Sequence[Sequence[int]], change: int) -> list[int | None]:
    """For each stream, how many samples after the change its first alarm came; None where none came.

    Args:
        alarms: of each stream, the positions of its alarms, rising.
        change: position of the first sample of the new world.
    """
    return [next((at - change for at in stream if at >= change), None) for stream in alarms]


def median_delay(found: Sequence[int | None]) -> float:
    """The median, with streams in which nothing was found as infinite; samples."""
    return float(median(float("inf") if each is None else each for each in found))


def share_within(found: Sequence[int | None], samples: int) -> float:
    """The share of streams in which the change was found within so many samples."""
    return sum(each is not None and each < samples for each in found) / len(found)


def told(found: Sequence[int | None]) -> str:
    """For a table: the median delay, and the share found where that is not all."""
    share = share_within(found, 1 << 62)
    middle = median_delay(found)
    if share == 0:
        return "never"
    text = f"{middle:,.0f}" if middle < float("inf") else "∞"
    return text if share == 1 else f"{text} ({share:.1%} found)"
