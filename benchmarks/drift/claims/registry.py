"""All claims, in the order of the report."""

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.drift.claim import Claim, Run
from benchmarks.drift.claims import (
    d01_interval,
    d02_delay,
    d03_shape,
    d04_embeddings,
    d05_small_windows,
    d06_order,
    d07_repeats,
    d08_localisation,
    d09_cost,
    d10_late,
)

CLAIMS: Final[Mapping[str, Callable[[Run], Claim]]] = {
    "D1": d01_interval.measure,
    "D2": d02_delay.measure,
    "D3": d03_shape.measure,
    "D4": d04_embeddings.measure,
    "D5": d05_small_windows.measure,
    "D6": d06_order.measure,
    "D7": d07_repeats.measure,
    "D8": d08_localisation.measure,
    "D9": d09_cost.measure,
    "D10": d10_late.measure,
}
