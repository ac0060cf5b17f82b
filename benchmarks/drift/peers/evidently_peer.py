"""Evidently's statistical tests, at their default thresholds, over windows of one column."""

import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType

from benchmarks.drift.peers.loop import answer, question


def drifted(test, reference, window):
    """Whether the test says that a window has drifted."""
    return bool(test(reference, window, ColumnType.Numerical, None).drifted)


def verdicts(test, references, windows):
    """For each reference its windows' verdicts."""
    return [
        [drifted(test, pd.Series(reference), pd.Series(window)) for window in own]
        for reference, own in zip(references, windows, strict=True)
    ]


if __name__ == "__main__":
    job, arrays = question()
    references = arrays.pop("references")
    found = {}
    for name in job["tests"]:
        test = get_stattest(pd.Series(references[0]), pd.Series(references[0]), ColumnType.Numerical, name)
        found[name] = {array: verdicts(test, references, windows) for array, windows in arrays.items()}
    answer(found)
