"""NannyML's univariate drift, at its default thresholds, over chunks of one column."""

import nannyml
import pandas as pd

from benchmarks.drift.peers.loop import answer, question


def verdicts(method, references, windows):
    """For each reference its windows' verdicts: alerts of chunks as long as a window."""
    found = []
    for reference, own in zip(references, windows, strict=True):
        calculator = nannyml.UnivariateDriftCalculator(
            column_names=["value"], chunk_size=own.shape[1], continuous_methods=[method]
        )
        calculator.fit(pd.DataFrame({"value": reference}))
        results = calculator.calculate(pd.DataFrame({"value": own.ravel()})).filter(period="analysis").to_df()
        found.append([bool(alert) for alert in results[("value", method, "alert")]])
    return found


if __name__ == "__main__":
    job, arrays = question()
    references = arrays.pop("references")
    answer(
        {
            method: {array: verdicts(method, references, windows) for array, windows in arrays.items()}
            for method in job["tests"]
        }
    )
