"""Bless: windows of production in the place of the validation rows, once somebody says that they are well."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.panes import layout_of
from operators.reference import BLESSED, Reference
from operators.reference_check import check
from schemas.errors import BundleError

Ints = NDArray[np.int64]

_CLASS: Final = "class"


def bless(reference: Reference, panes: Ints, level: str = "", cohort: str = "") -> Reference:
    """The reference of windows, on the scale of the model's own.

    Latency and quality are kept, so that from now on they too are compared with these windows. What labels said
    of the validation rows stays, since nobody labelled the windows; so does the covariance of the waves, about the
    windows' own mean. Cohorts by class of a model that is blessed as a whole stay with the validation rows of
    their class.

    Args:
        reference: the model's own, of validation rows.
        panes: (n, width) int64 of windows, each counted once.
        level: that they are for; empty for the whole model.
        cohort: of that level.

    Raises:
        BundleError: the panes do not fit the scale, or hold no events.
    """
    layout = layout_of(reference.scale)
    if panes.ndim != 2 or panes.shape[1] != layout.width or not panes[:, layout.events].sum() > 0:
        raise BundleError(
            f"{reference.model} {reference.version}: these windows hold no events, or were counted on another scale; "
            "bless windows of this version of the model"
        )
    pane = panes.sum(axis=0, dtype=np.int64)
    blessed = replace(
        reference,
        source=BLESSED,
        pane=pane,
        by_class=_by_class(reference, pane, level, cohort),
        wave_products=_about(reference, pane),
        level=level,
        cohort=cohort,
    )
    return check(blessed)


def _by_class(reference: Reference, pane: Ints, level: str, cohort: str) -> Ints:
    """The panes of the classes: of a cohort by class, its own is the blessed one."""
    parts = level.split("/")
    if _CLASS not in parts:
        return reference.by_class
    values = cohort.split("/")
    number = values[parts.index(_CLASS)] if len(values) == len(parts) else ""
    if not (number.isascii() and number.isdigit() and int(number) < len(reference.scale.labels)):
        raise BundleError(f"{cohort!r} is no cohort of level {level}: name its class by number, as the lake does")
    by_class = np.zeros_like(reference.by_class)
    by_class[reference.scale.slots[int(number)]] = pane
    return by_class


def _about(reference: Reference, pane: Ints) -> Ints:
    """Σ of products of as many waves as the pane holds, with its mean and the reference's covariance, rounded."""
    layout = layout_of(reference.scale)
    rows, before = int(pane[layout.waved]), int(reference.pane[layout.waved])
    if reference.scale.space is None or before == 0:
        return reference.wave_products
    own, mean = pane[layout.waves], reference.pane[layout.waves] / before
    covariance = reference.wave_products / before - np.outer(mean, mean)
    products = rows * covariance + np.outer(own, own) / max(rows, 1)
    return np.rint((products + products.T) / 2).astype(np.int64)
