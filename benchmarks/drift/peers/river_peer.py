"""river's drift detectors along streams."""

from river import drift

from benchmarks.drift.peers.loop import answer, question, univariate


def update(detector, value):
    """Whether the value makes the detector alarm."""
    detector.update(value)
    return detector.drift_detected


if __name__ == "__main__":
    answer(univariate(*question(), drift, update))
