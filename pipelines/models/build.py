"""The digits model, from nothing to a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.models import digits
from pipelines.models.assemble import Assembled, assemble, write
from pipelines.models.calibrate import expected_calibration_error
from pipelines.models.device import inputs, latencies_us, say
from pipelines.models.digits import Part, Split
from pipelines.models.export import EMBEDDING, INPUT, SCORES, to_onnx
from pipelines.models.quantize import quantize
from pipelines.models.train import HIDDEN, PIXEL_SCALE, train
from pipelines.models.validation import Validation
from schemas.bundle import MODEL, Bundle, Manifest, Preprocessing
from schemas.embedding import Codec
from schemas.errors import BundleError

NAME: Final = "digits"
LEAST_ACCURACY: Final = 0.95
_TIMED: Final = 500
_PREPROCESSING: Final = Preprocessing(width=8, height=8, channels=1, layout="flat", scale=PIXEL_SCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was built.

    Attributes:
        folder: of the bundle.
        name, version: of the model.
        quantized: whether the bundle holds the int8 model.
        float_bytes, int8_bytes: size of both ONNX files.
        float_accuracy, int8_accuracy: on the held-out half, as a device runs them.
        expected_calibration_error: of the bundled model, on images that its temperature was not fitted to.
        temperature: of the bundled model.
        reference_rows: images in its reference.
        p50_latency_us, p99_latency_us: from sample to scores on this machine.
    """

    folder: str
    name: str
    version: int
    quantized: bool
    float_bytes: int
    int8_bytes: int
    float_accuracy: float
    int8_accuracy: float
    expected_calibration_error: float
    temperature: float
    reference_rows: int
    p50_latency_us: int
    p99_latency_us: int


def build_digits(
    folder: Path, *, seed: int = 0, quantized: bool = True, embedding_codec: Codec = Codec.I8, version: int = 1
) -> Report:
    """Train, export, quantize, calibrate and write the bundle of the digits model.

    Deterministic for a seed, but for the latencies.

    Args:
        folder: new or empty.
        seed: of the split and the training.
        quantized: which model the bundle holds, int8 or float32; both are built and judged.
        embedding_codec: how its embedding travels; not `pca-i8`.
        version: counter of the bundle, from 1.

    Raises:
        BundleError: a model is right for fewer than 95 % of the held-out images, or the folder holds something.
    """
    if embedding_codec is Codec.PCA_I8:
        raise BundleError("the digits' embedding has 32 values and needs no projection; use f32, f16, i8 or none")
    split = digits.split_digits(seed)
    plain, int8 = _both_models(split, seed)
    manifest = _manifest(embedding_codec, version)
    validation = Validation(samples=digits.frames(split.validation.images), labels=split.validation.labels)
    chosen = assemble(Bundle(manifest, {MODEL: int8 if quantized else plain}), validation)
    accuracies = [_heldout_accuracy(Bundle(manifest, {MODEL: model}), seed) for model in (plain, int8)]
    write(chosen, folder)
    return _report(folder, chosen, split.test, quantized, (plain, int8), accuracies)


def _both_models(split: Split, seed: int) -> tuple[bytes, bytes]:
    """The float32 and the int8 model."""
    model: Any = to_onnx(train(split.train, seed), NAME)
    seen = inputs(digits.frames(split.train.images), _PREPROCESSING)
    return model.SerializeToString(deterministic=True), quantize(model, seen)


def _manifest(codec: Codec, version: int) -> Manifest:
    embedded = codec is not Codec.NONE
    return Manifest(
        name=NAME,
        version=version,
        labels=digits.LABELS,
        input_name=INPUT,
        scores_output=SCORES,
        scores_kind="probability",
        preprocessing=_PREPROCESSING,
        embedding_output=EMBEDDING if embedded else "",
        embedding_dims=HIDDEN[-1] if embedded else 0,
        embedding_codec=codec,
        top_k=3,
    )


def _heldout_accuracy(bundle: Bundle, seed: int) -> float:
    """Share of the held-out half that is classified right; an error below 95 %."""
    images, labels = digits.heldout(seed)
    accuracy = float((say(bundle, digits.frames(images)).class_id == labels).mean())
    if accuracy < LEAST_ACCURACY:
        raise BundleError(
            f"right for {accuracy:.1%} of the held-out images, not {LEAST_ACCURACY:.0%}; use another seed"
        )
    return accuracy


def _report(
    folder: Path, made: Assembled, test: Part, quantized: bool, models: tuple[bytes, bytes], accuracies: list[float]
) -> Report:
    frames = digits.frames(test.images)
    said = say(made.bundle, frames)
    p50, p99 = np.percentile(latencies_us(made.bundle, frames[:_TIMED]), (50, 99))
    return Report(
        folder=str(folder),
        name=NAME,
        version=made.bundle.manifest.version,
        quantized=quantized,
        float_bytes=len(models[0]),
        int8_bytes=len(models[1]),
        float_accuracy=round(accuracies[0], 4),
        int8_accuracy=round(accuracies[1], 4),
        expected_calibration_error=round(expected_calibration_error(said.confidence, said.class_id == test.labels), 4),
        temperature=made.bundle.manifest.temperature,
        reference_rows=made.reference.rows,
        p50_latency_us=int(p50),
        p99_latency_us=int(p99),
    )
