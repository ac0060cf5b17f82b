"""alibi-detect's online detectors along streams, each with a reference of its own.

They are configured for an expected run time without drift (`ert`), which is their false-alarm interval.
"""

import time

import numpy as np
import torch
from alibi_detect.cd import CVMDriftOnline, FETDriftOnline, MMDDriftOnline

from benchmarks.drift.peers.loop import answer, question

TIMED = 4_000
KINDS = {"MMDDriftOnline": MMDDriftOnline, "CVMDriftOnline": CVMDriftOnline, "FETDriftOnline": FETDriftOnline}


def alarms(detector, stream, change=None):
    """Positions at which the detector alarms; it begins anew after each.

    Args:
        detector: configured.
        stream: the values.
        change: where the world changes; nothing is read after the first alarm from there on.
    """
    detector.reset_state()
    found = []
    for at, value in enumerate(stream):
        if detector.predict(value, return_test_stat=False)["data"]["is_drift"]:
            found.append(at)
            if change is not None and at >= change:
                break
            detector.reset_state()
    return found


def rate(detector, stream):
    """Updates a second, the best of three."""
    fastest = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        alarms(detector, stream)
        fastest = min(fastest, time.perf_counter() - began)
    return len(stream) / fastest


def state_bytes(detector):
    """Of the arrays that a configured detector holds."""
    inner = vars(getattr(detector, "_detector", detector))
    held = [each for each in inner.values() if isinstance(each, np.ndarray | torch.Tensor)]
    return int(sum(each.nbytes for each in held))


def measure(job, references, arrays):
    """Alarms of every stream, the rate of updates, the seconds of configuring, and the bytes of state."""
    kind, parameters = job["detector"]
    found = {name: [] for name in arrays}
    configuring = []
    for i, reference in enumerate(references):
        np.random.seed(i)
        torch.manual_seed(i)
        began = time.perf_counter()
        detector = KINDS[kind](reference, **parameters)
        configuring.append(time.perf_counter() - began)
        for name, streams in arrays.items():
            found[name].append(alarms(detector, streams[i], job["change"].get(name)))
    return {
        "alarms": found,
        "updates_s": rate(detector, arrays["stationary"][-1, :TIMED]),
        "configure_s": sorted(configuring)[len(configuring) // 2],
        "state_bytes": state_bytes(detector),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    asked, given = question()
    answer(measure(asked, given.pop("references"), given))
