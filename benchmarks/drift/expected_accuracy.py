"""How near expected accuracy comes to the truth: real digits, healthy, shifted and with another meaning.

    python -m benchmarks.drift.expected_accuracy [--seed 1] [--quick]

Windows are drawn from the test quarter, which neither weights nor reference have seen. A label is
asked for with a chance that grows with doubt, as a selection for labelling does.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.expected_accuracy import Accuracies, accuracies, anchored, expected_accuracy
from operators.reference_file import from_parquet_bytes
from pipelines.models.build import build_digits
from pipelines.models.device import say
from pipelines.models.digits import Part, frames, split_digits
from schemas import bundle
from schemas.bundle import REFERENCE, Bundle

Images = NDArray[np.uint8]

ROWS: Final = 200
LABELS: Final = (20, 80)
_REPEATED: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A bundle and what its reference says of its confidence.

    Attributes:
        bundle: of the model.
        edges: (15,) of the confidence bins.
        known: accuracy of each bin.
    """

    bundle: Bundle
    edges: NDArray[np.float64]
    known: Accuracies


def model_of(accepted: Bundle) -> Model:
    """The model of a bundle whose validation labels were known."""
    reference = from_parquet_bytes(accepted.contents[REFERENCE])
    edges = reference.scale.confidence_edges
    known = accuracies(reference.labelled, reference.correct, edges)
    if known is None:
        raise ValueError("the bundle was built without validation labels")
    return Model(accepted, edges, known)


def worlds(part: Part, rng: np.random.Generator) -> Mapping[str, tuple[Images, NDArray[np.int64]]]:
    """Frames and labels of each world."""
    sharp, labels = frames(part.images), part.labels
    eights = np.concatenate([np.arange(len(labels)), np.flatnonzero(labels == 8).repeat(_REPEATED)])
    renamed = np.where((labels == 4) | (labels == 7), 11 - labels, labels)
    return {
        "healthy": (sharp, labels),
        "noise 10 %": (_noisy(part.images, 0.1, rng), labels),
        "noise 20 %": (_noisy(part.images, 0.2, rng), labels),
        "noise 30 %": (_noisy(part.images, 0.3, rng), labels),
        "smear 50 %": (_smeared(sharp, 0.5), labels),
        "smear 80 %": (_smeared(sharp, 0.8), labels),
        "nine times as many eights": (sharp[eights], labels[eights]),
        "fours and sevens change names": (sharp, renamed),
    }


def measure(model: Model, part: Part, windows: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Figures of each window of each world, see `summary`."""
    found = []
    for world, (samples, labels) in worlds(part, rng).items():
        said = say(model.bundle, samples)
        right, doubt = said.class_id == labels, 1 - said.confidence.astype(np.float64) + 0.02
        place = np.searchsorted(model.edges, said.confidence, side="right")
        for _ in range(windows):
            rows = rng.integers(0, len(labels), ROWS)
            found.append({"world": world} | _of_window(model, place[rows], right[rows], doubt[rows], rng))
    return found


def summary(windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each world: means over its windows."""
    lines = []
    for world in dict.fromkeys(window["world"] for window in windows):
        own = [window for window in windows if window["world"] == world]
        line: dict[str, Any] = {"world": world, "accuracy": _mean(own, "accuracy"), "expected": _mean(own, "0")}
        for labels in (0, *LABELS):
            off = np.array([window[str(labels)] - window["accuracy"] for window in own])
            errors = np.array([window[f"error {labels}"] for window in own])
            line[f"off with {labels} labels"] = float(np.abs(off).mean())
            line[f"said error with {labels} labels"] = float(errors.mean())
            line[f"within two errors with {labels} labels"] = float((np.abs(off) <= 2 * errors).mean())
        lines.append(line)
    return lines


def run(seed: int, quick: bool) -> list[dict[str, Any]]:
    """A line for each world, over 5 models of 100 windows each; quick, over one of 40."""
    found = []
    for number in range(1 if quick else 5):
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / "digits"
            build_digits(built, seed=seed + number)
            model = model_of(bundle.read(built))
        rng = np.random.default_rng(seed + number)
        found += measure(model, split_digits(seed + number).test, 40 if quick else 100, rng)
    return summary(found)


def _of_window(
    model: Model,
    place: NDArray[np.int64],
    right: NDArray[np.bool_],
    doubt: NDArray[np.float64],
    rng: np.random.Generator,
) -> dict[str, float]:
    counts = _bins(place)
    alone = expected_accuracy(model.known, counts)
    found = {"accuracy": float(right.mean()), "0": float(alone.value), "error 0": float(alone.error)}
    for labels in LABELS:
        asked = rng.choice(ROWS, labels, replace=False, p=doubt / doubt.sum())
        held = anchored(model.known, counts, _bins(place[asked]), _bins(place[asked][right[asked]]))
        found |= {str(labels): float(held.value), f"error {labels}": float(held.error)}
    return found


def _bins(place: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(place, minlength=16)


def _mean(windows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([window[name] for window in windows]))


def _noisy(images: Images, share: float, rng: np.random.Generator) -> Images:
    """Each pixel has noise of its own, of a standard deviation of this share of full scale."""
    return frames(np.clip(images + rng.normal(size=images.shape) * share * 255, 0, 255).astype(np.uint8))


def _smeared(sharp: Images, share: float) -> Images:
    """A share of the light is spread over the row and its neighbours, as by a greasy lens."""
    spread = np.mean([np.roll(sharp.astype(np.float64), shift, axis=2) for shift in range(-16, 17, 4)], axis=0)
    return np.round((1 - share) * sharp + share * spread).astype(np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    lines = run(given.seed, given.quick)
    print("| " + " | ".join(lines[0]) + " |")
    print("|---" * len(lines[0]) + "|")
    for line in lines:
        print("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else cell for cell in line.values()) + " |")


if __name__ == "__main__":
    main()
