"""D8: which devices have drifted, with a controlled share of false discoveries."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks.drift.claim import Claim, Limit, Run, Table
from benchmarks.drift.ours import watch_numbers
from benchmarks.drift.streams import scalars, source
from operators.dispersion import dispersion
from operators.fleet_control import combine, e_bh, e_values

SAYS = (
    "Of 200 devices with 500 samples each, 10 of them shifted by 0.5 σ, e-BH at 0.05 finds 95 % of the shifted ones, "
    "and at most 5 % of what it names is not shifted."
)
_NOTES = (
    "A reference of 5,000 rows for all devices; ten windows of 50 samples. A share is the mean over fleets; where "
    "nothing was named, nothing was named falsely. Kolmogorov–Smirnov tests see all 500 raw samples, this detector "
    "counts in 16 bins. Evidently judges the same 500 samples at its default thresholds.",
)
DEVICES, SHIFTED, WINDOWS, WINDOW, ROWS = 200, 10, 10, 50, 5_000
LEVEL = 0.05
_TESTS = ["psi", "jensenshannon", "wasserstein", "ks"]
Named = NDArray[np.bool_]
Values = NDArray[np.float64]


def measure(run: Run) -> Claim:
    """False-discovery rate and power, over fleets."""
    fleets = [_fleet(run.seed, i) for i in range(run.few(100, 10))]
    found = {"this detector, e-BH 0.05": [_ours(*fleet) for fleet in fleets]}
    for name, pick in (("KS, p < 0.05", _plain), ("KS, Bonferroni", _bonferroni), ("KS, Benjamini–Hochberg", _step_up)):
        found[name] = [pick(p) for p in _ks(run, fleets)]
    some = fleets[:5]
    arrays = {"references": np.array([r for r, _ in some]), "devices": np.array([values for _, values in some])}
    for test, said in (run.peers.ask("evidently", {"tests": _TESTS}, arrays) or {}).items():
        found[f"evidently {test}"] = [np.array(each, bool) for each in said["devices"]]
    lines = [
        (name, f"{rate:.3f}", f"{power:.3f}")
        for name, rate, power in ((n, *_scores(each)) for n, each in found.items())
    ]
    rate, power = _scores(found["this detector, e-BH 0.05"])
    limits = [Limit("false-discovery rate", rate, "≤", 0.05), Limit("power", power, "≥", 0.95)]
    table = Table("10 of 200 devices shifted by 0.5 σ", ("rule", "false-discovery rate", "power"), lines)
    return Claim("D8", SAYS, limits, {}, [table], _NOTES)


def _fleet(seed: int, i: int) -> tuple[Values, Values]:
    """A reference, and (devices, samples) of which the first ten are shifted."""
    rng = source(seed, "D8", i)
    values = scalars.confidence(rng, DEVICES, WINDOWS * WINDOW)
    values[:SHIFTED] = scalars.lower(rng, 0.5, SHIFTED, WINDOWS * WINDOW)
    return scalars.confidence(rng, ROWS), values


def _ours(reference: Values, values: Values) -> Named:
    watch = watch_numbers(reference, WINDOW, 1.0)
    features = watch.counter.features
    stacks = np.moveaxis(watch.counter.count(values, WINDOW), 1, 0)
    _, evidence = watch.detector.fold(watch.detector.begin(), stacks, dispersion(stacks, features))
    return e_bh(e_values(combine(evidence[-1], features), WINDOWS), LEVEL)


def _ks(run: Run, fleets: list[tuple[Values, Values]]) -> list[Values]:
    some = fleets[: run.few(20, 1)]
    return [np.array([ks_2samp(reference, device).pvalue for device in values]) for reference, values in some]


def _plain(p: Values) -> Named:
    return p < LEVEL


def _bonferroni(p: Values) -> Named:
    return p < LEVEL / len(p)


def _step_up(p: Values) -> Named:
    """Benjamini and Hochberg (1995)."""
    passed = np.flatnonzero(np.sort(p) <= LEVEL * np.arange(1, len(p) + 1) / len(p))
    return p <= np.sort(p)[passed[-1]] if len(passed) else np.zeros(len(p), bool)


def _scores(named: list[Named]) -> tuple[float, float]:
    """False-discovery rate and power."""
    rates = [each[SHIFTED:].sum() / max(each.sum(), 1) for each in named]
    return float(np.mean(rates)), float(np.mean([each[:SHIFTED].mean() for each in named]))
