"""frouros' concept-drift detectors along streams; parameters are those of each detector's configuration."""

from types import SimpleNamespace

from frouros.detectors.concept_drift import streaming

from benchmarks.drift.peers.loop import answer, question, univariate


def update(detector, value):
    """Whether the value makes the detector alarm."""
    detector.update(value=value)
    return detector.drift


def _configured(kind):
    detector, config = getattr(streaming, kind), getattr(streaming, f"{kind}Config")
    return lambda **parameters: detector(config=config(**parameters))


KINDS = ("ADWIN", "CUSUM", "PageHinkley", "ECDDWT", "GeometricMovingAverage")

if __name__ == "__main__":
    job, arrays = question()
    answer(univariate(job, arrays, SimpleNamespace(**{kind: _configured(kind) for kind in KINDS}), update))
