"""References: what cohorts are compared with, from the bundles and from what was blessed later.

A blessed reference is a file in `references/` of the data folder; the service reads it when it starts. Take the file
away, and the model's own reference is back.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import structlog
from numpy.typing import NDArray

from operators.bless import bless
from operators.reference import BLESSED, Reference, same_scale
from operators.reference_file import from_parquet_bytes, to_parquet_bytes
from operators.scale import Scale, universal
from pipelines.durable import write_bytes
from schemas.bundle import REFERENCE, Bundle
from schemas.errors import BundleError

Ints = NDArray[np.int64]
ModelKey = tuple[str, int]
CohortKey = tuple[str, int, str, str]
"""(model, model version, level, cohort); level and cohort are empty where it is the whole model."""

FOLDER: Final = "references"
_LONGEST_NAME: Final = 180
_UNIVERSAL: Final = universal()

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """All references that there are.

    Attributes:
        bundled: of validation rows.
        blessed: of windows of production; each has the very scale object of its model's own.
    """

    bundled: Mapping[ModelKey, Reference]
    blessed: Mapping[CohortKey, Reference]

    @property
    def scales(self) -> Mapping[ModelKey, Scale]:
        """The scale of each model that has a reference."""
        return {key: reference.scale for key, reference in self.bundled.items()}

    def scale(self, model: str, version: int) -> Scale:
        """The scale that a model's rows are counted on; the universal one where it has no reference."""
        own = self.bundled.get((model, version))
        return own.scale if own else _UNIVERSAL

    def of(self, model: str, version: int, level: str, cohort: str) -> Reference | None:
        """What a cohort is compared with: blessed for itself, or for the model as a whole, or the bundle's."""
        own = self.blessed.get((model, version, level, cohort)) or self.blessed.get((model, version, "", ""))
        return own or self.bundled.get((model, version))


def load_references(bundles: Iterable[Bundle], folder: Path) -> References:
    """The references in bundles, and those that were blessed.

    Args:
        bundles: of the models; one without a reference is left out.
        folder: of blessed references; it need not be there.

    Raises:
        BundleError: a file is damaged, or counts on another scale than its model's bundle.
    """
    bundled = {
        (each.manifest.name, each.manifest.version): from_parquet_bytes(
            each.contents[REFERENCE], f"{each.manifest.name} {each.manifest.version}: {REFERENCE}"
        )
        for each in bundles
        if REFERENCE in each.contents
    }
    blessed = {}
    for path in sorted(folder.glob("*.parquet")):
        found = _blessed(path)
        own = bundled.get((found.model, found.version))
        if own is None:
            _log.warning("a blessed reference of a model that has none of its own is left out", file=str(path))
            continue
        if not same_scale(found.scale, own.scale):
            raise BundleError(f"{path}: counts on another scale than the model's bundle; remove it and bless again")
        blessed[found.model, found.version, found.level, found.cohort] = replace(found, scale=own.scale)
    return References(bundled, blessed)


def bless_file(
    folder: Path, references: References, panes: Ints, *, model: str, version: int, level: str = "", cohort: str = ""
) -> Reference:
    """The reference of windows, written to where the service finds it at its next start; an earlier one is replaced.

    Args:
        folder: of blessed references; made where it is not there.
        references: those of now; the model must have one of its own.
        panes: (n, width) int64, `counts` of windows.
        model: of the windows.
        version: of the model.
        level: that it is for; empty for the whole model.
        cohort: of that level; a class is named by its number.

    Raises:
        BundleError: the model has no reference, or the windows do not fit it.
        OSError: the disk does not take it; an earlier file stays.
    """
    own = references.bundled.get((model, version))
    if own is None:
        raise BundleError(f"{model} {version}: no bundle with a reference; windows are blessed on the scale of one")
    blessed = bless(own, panes, level, cohort)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / file_name(blessed), to_parquet_bytes(blessed))
    return blessed


def file_name(reference: Reference) -> str:
    """`model-1.parquet`, or `model-1@site=north.parquet`; odd characters as in a URL, the end of long names a hash."""
    cohort = f"@{quote(reference.level, safe='')}={quote(reference.cohort, safe='')}" if reference.level else ""
    name = f"{reference.model}-{reference.version}{cohort}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{name}.parquet"


def _blessed(path: Path) -> Reference:
    try:
        found = from_parquet_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror}") from error
    if found.source != BLESSED or file_name(found) != path.name:
        raise BundleError(f"{path}: no blessed reference of this name; it belongs into {file_name(found)}")
    return found
