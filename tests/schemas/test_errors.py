"""Errors: the tree is the one that is drawn, and each of them survives pickling."""

import pickle
import re

import pytest

from schemas import errors
from schemas.errors import GleanerError, Reason, Rejected


def all_below(kind: type[GleanerError]) -> list[type[GleanerError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in all_below(below))]


HERE = [kind for kind in all_below(GleanerError) if kind.__module__ == errors.__name__]


def drawn() -> dict[str, str]:
    """name → name of its parent, as the docstring's picture has them."""
    above: list[tuple[int, str]] = []
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(  |$)", line)
        if found:
            depth, name = len(found[1]), found[2]
            above = [(d, n) for d, n in above if d < depth]
            parents[name] = above[-1][1] if above else "Exception"
            above.append((depth, name))
    return parents


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in HERE}


@pytest.mark.parametrize("kind", HERE)
def test_each_error_survives_pickling(kind: type[GleanerError]) -> None:
    error = Rejected(Reason.BAD_NAME, "no name") if kind is Rejected else kind("do this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args) == (str(error), error.args)
    assert vars(again) == vars(error)


def test_a_reject_says_its_reason_first() -> None:
    assert str(Rejected(Reason.OVERSIZE, "9 bytes")) == "oversize: 9 bytes"


def test_reasons_are_words_for_ever() -> None:
    assert sorted(Reason) == [
        "bad_name",
        "bad_shape",
        "bad_topic",
        "crc_mismatch",
        "digest_mismatch",
        "embedding_mismatch",
        "fork",
        "malformed",
        "not_finite",
        "out_of_range",
        "oversize",
        "schema_newer",
        "too_many_streams",
        "unasked",
        "unknown_class",
        "wrong_shard",
    ]
