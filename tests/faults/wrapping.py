"""Putting a function of our own in the place of one of the code under test."""

from collections.abc import Callable
from typing import Any


def wrap(owner: Any, attribute: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Let `owner.attribute` be what `make` gives for the function that is there."""
    setattr(owner, attribute, make(getattr(owner, attribute)))
