"""What the peers' programs share: read the question, run a detector along streams, write the answer."""

import json
import pickle
import sys
import time
from pathlib import Path

import numpy as np


def question():
    """The job and its arrays."""
    folder = Path(sys.argv[1])
    with np.load(folder / "arrays.npz") as arrays:
        return json.loads((folder / "job.json").read_text()), {name: arrays[name] for name in arrays}


def answer(found):
    """Give `found` back as JSON."""
    (Path(sys.argv[1]) / "answer.json").write_text(json.dumps(found))


def along(make, update, stream, change=None):
    """Positions at which a detector alarms along a stream; it begins anew after each.

    Args:
        make: gives a new detector.
        update: takes the detector and a value, and says whether it alarms.
        stream: the values.
        change: where the world changes; nothing is read after the first alarm from there on.
    """
    found, detector = [], make()
    for at, value in enumerate(stream):
        if update(detector, value):
            found.append(at)
            if change is not None and at >= change:
                break
            detector = make()
    return found


def univariate(job, arrays, detectors, update):
    """The answer of a library of univariate detectors.

    Args:
        job: `detectors`: name → [class, parameters]; `change`: name of array → position, where the world changes in it;
            `mirrored`: whether 1 - value is read, as by detectors that see rises alone.
        arrays: name → (streams, samples); `most`: name of detector → so many of them only.
        detectors: where the classes are found.
        update: as for `along`.
    """
    told = {}
    for name, (kind, parameters) in job["detectors"].items():

        def make(kind=kind, parameters=parameters):
            return getattr(detectors, kind)(**parameters)

        most = job.get("most", {}).get(name)
        alarms = {}
        for array, streams in arrays.items():
            change = job["change"].get(array)
            read = 1 - streams[:most] if job.get("mirrored") else streams[:most]
            alarms[array] = [along(make, update, stream.tolist(), change) for stream in read]
        told[name] = {"alarms": alarms} | cost(make, update, next(iter(arrays.values()))[0, : job.get("timed", 20_000)])
    return told


def cost(make, update, stream):
    """Updates a second, the best of three, and bytes of the pickled state; none where it can't be pickled."""
    values, fastest = stream.tolist(), float("inf")
    for _ in range(3):
        detector = make()
        began = time.perf_counter()
        for value in values:
            update(detector, value)
        fastest = min(fastest, time.perf_counter() - began)
    return {"updates_s": len(values) / fastest, "state_bytes": _pickled(detector)}


def _pickled(detector):
    try:
        return len(pickle.dumps(detector))
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
