"""A slice of `make faults`: some rounds on each store, and the mutants whose effects differ most."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import mutants, stores

pytestmark = [pytest.mark.integration, pytest.mark.faults]

REPOSITORY = Path(__file__).parents[2]
ROUNDS = 8
SOME = (
    "puback-before-log",
    "drops-rows",
    "swallows-rejects",
    "acks-before-durable",
    "forgets-what-arrived",
    "heals-without-filter",
    "frees-when-sent",
    "sheds-silently",
)


def played(*arguments: str) -> dict[str, Any]:
    """The last word of a run that was a good one."""
    asked = [sys.executable, "-m", "tests.faults", "--no-mutants", *arguments]
    done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("store", ["folder", pytest.param("minio", marks=pytest.mark.minio)])
def test_nothing_is_lost_or_doubled_whatever_is_killed_cut_or_filled(store: str) -> None:
    if why := stores.missing(store):
        pytest.skip(why)
    told = played("--rounds", str(ROUNDS), "--seed", "11", "--store", store)
    assert (told["lost"], told["doubled"], told["invented"], told["altered"]) == (0, 0, 0, 0)
    assert told["records"] > 500
    assert told["kills"] > ROUNDS // 2


def test_what_is_broken_on_purpose_is_caught() -> None:
    tried = mutants.try_all(SOME, with_controls=False)
    assert mutants.missed(tried) == []
