"""The detectors by the name that settings call them by. A new one is a file and a line here."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.detectors import Detector
from operators.detectors.adwin import Adwin
from operators.detectors.page_hinkley import PageHinkley
from operators.detectors.shiryaev_roberts import ShiryaevRoberts
from operators.features import Feature
from schemas.errors import SettingsError

Factory = Callable[[Sequence[Feature], NDArray[np.int64], int], Detector[Any]]

DETECTORS: Final[Mapping[str, Factory]] = MappingProxyType(
    {
        "shiryaev_roberts": ShiryaevRoberts,
        "adwin": lambda features, stack, _: Adwin(features, stack),
        "page_hinkley": lambda features, stack, _: PageHinkley(features, stack),
    }
)


def second_opinions(names: Sequence[str]) -> tuple[str, ...]:
    """The names, once it is known that each is a detector that can be asked beside the first.

    Raises:
        SettingsError: it is none, or needs a library that is not installed.
    """
    for name in names:
        if name not in DETECTORS or name == ShiryaevRoberts.name:
            known = ", ".join(each for each in DETECTORS if each != ShiryaevRoberts.name)
            raise SettingsError(f"drift.second_opinions: no detector is called {name!r}; there are {known}")
        detector(name, (), np.empty(0, np.int64), 1)
    return tuple(names)


def detector(
    name: str, features: Sequence[Feature], reference_stack: NDArray[np.int64], reference_rows: int
) -> Detector[Any]:
    """A new detector.

    Args:
        name: one of `DETECTORS`.
        features: as they stand in a stack.
        reference_stack: (width,) int64.
        reference_rows: independent events in it, at least 1.

    Raises:
        SettingsError: there is none of this name, or it needs a library that is not installed.
    """
    if name not in DETECTORS:
        raise SettingsError(f"no detector is called {name!r}; there are {', '.join(DETECTORS)}")
    return DETECTORS[name](features, reference_stack, reference_rows)
