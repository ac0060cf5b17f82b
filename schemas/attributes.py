"""Attributes: what an owner says of a device in words of their own, such as `lens = "wide"`."""

import re
from collections.abc import Mapping
from typing import Final

MAX_ATTRIBUTES: Final = 16
MAX_VALUE_CHARS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def is_attribute_name(name: str) -> bool:
    """Whether `name` may name an attribute: a letter, then up to 31 of a-z, 0-9 and `_`."""
    return _NAME.fullmatch(name) is not None


def attributes_fault(attributes: Mapping[str, str]) -> str | None:
    """What is wrong with a device's attributes, for a person; None where nothing is."""
    if len(attributes) > MAX_ATTRIBUTES:
        return f"{len(attributes)} attributes, at most {MAX_ATTRIBUTES} are read"
    if not all(is_attribute_name(name) for name in attributes):
        return "names of attributes are a letter, then up to 31 of a-z, 0-9 and _"
    if not all(len(value) <= MAX_VALUE_CHARS and value.isprintable() for value in attributes.values()):
        return f"values of attributes are printable, at most {MAX_VALUE_CHARS} characters"
    return None
