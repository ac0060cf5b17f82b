"""Cohorts: which rows are looked at together, by the levels that a setting names.

A level is one or several of a row's properties: `site`, `site/device`, `attributes.lens`. Each
combination that occurs is a cohort, named by its values in that order, joined by `/`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.hellos import Facts, Known
from operators.runs import Ints, compress, message_starts, words_at
from schemas.attributes import is_attribute_name
from schemas.errors import SettingsError

Cohort = tuple[str, int, str, str]
"""(model, model version, level, cohort)"""

FLEET: Final = "fleet"
ANY_CLASS: Final = "*"
_COLUMNS: Final = ("site", "device")
_SAID: Final = ("hardware", "agent")
_CHOICES: Final = (
    "`fleet`, or one or several of site, device, hardware, agent, class and attributes.NAME, joined by /, each once"
)


@dataclass(frozen=True, slots=True)
class Level:
    """One way of cutting a model version's rows into cohorts.

    Attributes:
        name: as it stands in the setting, and in the column `level`.
        parts: the properties whose values name a cohort; none for the fleet as a whole.
    """

    name: str
    parts: tuple[str, ...]

    @property
    def by_class(self) -> bool:
        """Whether a device can have rows in several of its cohorts."""
        return "class" in self.parts

    def of_device(self, device: str, site: str, facts: Facts) -> str:
        """The cohort that a device's rows at a site are in, with `*` for the class."""
        own = {"device": device, "site": site, "class": ANY_CLASS}
        return "/".join([own[part] if part in own else facts.value(part) for part in self.parts]) or FLEET

    def of_any_class(self, cohort: str) -> str:
        """The cohort with `*` for its class: the name that `of_device` gives its devices."""
        if not self.by_class:
            return cohort
        values = zip(self.parts, cohort.split("/"), strict=True)
        return "/".join([ANY_CLASS if part == "class" else value for part, value in values])


def levels(by: Sequence[str]) -> tuple[Level, ...]:
    """The levels that the setting `drift.by` names.

    Raises:
        SettingsError: there is none, one of them is unknown, or two make the same cohorts.
    """
    if not by:
        raise SettingsError(f"drift.by is empty: name {_CHOICES}")
    found: dict[frozenset[str], Level] = {}
    for name in by:
        level = _level(name)
        twin = found.setdefault(frozenset(level.parts), level)
        if twin is not level:
            raise SettingsError(f"drift.by: {name!r} makes the same cohorts as {twin.name!r}; leave one of them out")
    return tuple(found.values())


def codes(level: Level, rows: pa.RecordBatch, known: Known, class_id: NDArray[Any]) -> tuple[Ints, list[str]]:
    """The cohort of each row, as a code (n,) int64 into names; each name occurs, and once.

    What devices say of themselves counts from their hello on, in the order of the log: cohorts by
    hardware, agent or attribute depend on where the hello came between the rows.

    Args:
        level: how to cut.
        rows: columns of `inferences`; messages in one piece.
        known: hellos, after `learn` of the same batch.
        class_id: (n,) predicted class of each row; cohorts by class are named by the number.
    """
    place, names = np.zeros(rows.num_rows, np.int64), [FLEET] if rows.num_rows else []
    for part in level.parts:
        values, words = _values(part, rows, known, class_id)
        place, present = compress(place * len(words) + values)
        pairs = [divmod(each, len(words)) for each in present]
        first = part == level.parts[0]
        names = [words[own] if first else f"{names[before]}/{words[own]}" for before, own in pairs]
    return place, names


def _level(name: str) -> Level:
    parts = () if name == FLEET else tuple(name.split("/"))
    if len(set(parts)) != len(parts) or not all(_is_part(part) for part in parts):
        raise SettingsError(f"drift.by: {name!r} is no level; choose {_CHOICES}")
    return Level(name, parts)


def _is_part(part: str) -> bool:
    prefix, _, attribute = part.partition(".")
    return part in (*_COLUMNS, *_SAID, "class") or (prefix == "attributes" and is_attribute_name(attribute))


def _values(part: str, rows: pa.RecordBatch, known: Known, class_id: NDArray[Any]) -> tuple[Ints, list[str]]:
    """The value of each row's property as a code (n,) into words, none of which is there twice."""
    if part == "class":
        own, present = compress(np.asarray(class_id, np.int64))
        return own, [str(each) for each in present]
    column = rows[part if part in _COLUMNS else "device"]
    if part in _COLUMNS:
        to, words = _distinct(column.dictionary.to_pylist())
        return to[column.indices.to_numpy()], words
    devices = column.dictionary.to_pylist()
    if known.earlier.keys().isdisjoint(devices):
        to, words = _distinct([known.now(device).value(part) for device in devices])
        return to[column.indices.to_numpy()], words
    return _between_hellos(part, rows, known)


def _between_hellos(part: str, rows: pa.RecordBatch, known: Known) -> tuple[Ints, list[str]]:
    """The same where devices changed their word among these rows: by what they had said before each message."""
    starts = message_starts(rows)
    offsets = rows["log_offset"].to_numpy()[starts].tolist()
    devices = words_at(rows["device"], starts)
    said = [known.at(device, offset).value(part) for device, offset in zip(devices, offsets, strict=True)]
    to, words = _distinct(said)
    return np.repeat(to, np.diff(starts, append=rows.num_rows)), words


def _distinct(texts: Iterable[str]) -> tuple[Ints, list[str]]:
    """For each text its place among the distinct ones, and these."""
    places: dict[str, int] = {}
    return np.array([places.setdefault(text, len(places)) for text in texts], np.int64), list(places)
