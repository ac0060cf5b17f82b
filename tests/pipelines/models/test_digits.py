"""The digits model: no image in two parts, the same bundle for a seed, accurate before and after quantization."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edge_publisher.model import Model
from operators.reference_file import from_parquet_bytes
from pipelines.models import build as build_module
from pipelines.models.assemble import reference_of, rows_of
from pipelines.models.build import Report, build_digits
from pipelines.models.cli import app
from pipelines.models.device import say
from pipelines.models.digits import frames, heldout, split_digits
from pipelines.models.export import to_onnx
from pipelines.models.train import train
from schemas import bundle
from schemas.bundle import MODEL, REFERENCE, Bundle
from schemas.embedding import Codec
from schemas.errors import BundleError
from tests.operators.references import same
from tests.pipelines.models.conftest import SEED


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5])
def test_no_image_is_in_two_parts_and_all_are_in_one(seed: int) -> None:
    split = split_digits(seed)
    parts = (split.train, split.validation, split.test)
    assert sum(len(part.labels) for part in parts) == 1797
    seen = [{image.tobytes() for image in part.images} for part in parts]
    assert not seen[0] & (seen[1] | seen[2])
    assert not seen[1] & seen[2]
    for part in parts:
        shares = np.bincount(part.labels, minlength=10) / len(part.labels)
        assert np.abs(shares - 0.1).max() < 0.01


def test_devices_see_only_what_training_did_not() -> None:
    images, labels = heldout(SEED)
    trained_on = {image.tobytes() for image in split_digits(SEED).train.images}
    assert images.shape == (len(labels), 8, 8)
    assert images.dtype == np.uint8
    assert images.max() == 255
    assert not trained_on & {image.tobytes() for image in images}


def test_a_frame_is_averaged_back_to_its_image(digits_bundle: Path) -> None:
    images, _ = heldout(SEED)
    model = Model(bundle.read(digits_bundle))
    assert np.array_equal(model.infer_many(frames(images)).embeddings, model.infer_many(images).embeddings)


def test_the_exported_model_computes_what_was_trained(digits_bundle: Path) -> None:
    split = split_digits(SEED)
    layers = train(split.train, SEED)
    x = split.test.images.reshape(-1, 64) / 255
    for layer in layers[:-1]:
        x = np.maximum(x @ layer.weights + layer.bias, 0)
    logits = x @ layers[-1].weights + layers[-1].bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    manifest = replace(bundle.read(digits_bundle).manifest, temperature=1.0, embedding_codec=Codec.F32)
    said = say(Bundle(manifest, {MODEL: to_onnx(layers, "digits").SerializeToString()}), split.test.images)
    np.testing.assert_allclose(said.probabilities, shares, atol=1e-5)
    np.testing.assert_allclose(said.embeddings, x, atol=1e-4)


def test_both_models_are_accurate_and_int8_is_smaller(digits_report: Report, digits_bundle: Path) -> None:
    assert min(digits_report.float_accuracy, digits_report.int8_accuracy) >= 0.95
    assert digits_report.int8_bytes < digits_report.float_bytes / 2
    assert digits_report.expected_calibration_error < 0.05
    assert 0 < digits_report.p50_latency_us <= digits_report.p99_latency_us
    model = bundle.read(digits_bundle).model
    assert len(model) == digits_report.int8_bytes
    kinds = {tensor.data_type for tensor in onnx.load_model_from_string(model).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


def test_a_sample_gets_the_same_embedding_alone_as_among_others(digits_bundle: Path) -> None:
    images, _ = heldout(SEED)
    model = Model(bundle.read(digits_bundle))
    together = model.infer_many(images[:60])
    alone = [model.infer(image) for image in images[:60]]
    assert np.array_equal(together.embeddings, np.stack([one.embedding for one in alone]))
    assert np.array_equal(together.probabilities, np.stack([one.probabilities for one in alone]))


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another(digits_bundle: Path, tmp_path: Path) -> None:
    build_digits(tmp_path / "again", seed=SEED)
    build_digits(tmp_path / "other", seed=SEED + 1)
    first, again, other = (bundle.read(path) for path in (digits_bundle, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert first.model != other.model


def test_the_reference_is_what_a_device_says_of_the_validation_part(digits_bundle: Path) -> None:
    found = bundle.read(digits_bundle)
    read = from_parquet_bytes(found.contents[REFERENCE])
    part = split_digits(SEED).validation
    said = say(found, frames(part.images))
    assert same(read, reference_of(found.manifest, said, part.labels))
    assert read.rows == read.labelled.sum() == len(part.images)
    assert read.correct.sum() == (said.class_id == part.labels).sum()


def test_the_reference_is_made_of_what_each_inference_tells(digits_bundle: Path) -> None:
    """Second score and entropy, as a device computes them, one sample at a time."""
    found = bundle.read(digits_bundle)
    images = split_digits(SEED).validation.images[:60]
    rows, model = rows_of(found.manifest, say(found, frames(images))), Model(found)
    for at, inference in enumerate(model.infer(image) for image in frames(images)):
        assert (rows.class_id[at], rows.confidence[at]) == (inference.class_ids[0], inference.scores[0])
        assert (rows.second[at], rows.entropy[at]) == (inference.scores[1], np.float32(inference.entropy))


def test_a_device_that_tells_one_class_has_no_second_score(digits_bundle: Path) -> None:
    found = bundle.read(digits_bundle)
    alone = Bundle(replace(found.manifest, top_k=1), found.contents)
    assert not say(alone, heldout(SEED)[0][:5]).second.any()
    assert say(found, heldout(SEED)[0][:5]).second.any()


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.F32, Codec.F16])
def test_every_codec_makes_a_bundle_that_runs(tmp_path: Path, codec: Codec) -> None:
    report = build_digits(tmp_path / "b", seed=SEED, quantized=False, embedding_codec=codec, version=3)
    found = bundle.read(tmp_path / "b")
    reference = from_parquet_bytes(found.contents[REFERENCE])
    assert (found.manifest.version, reference.version, len(found.model)) == (3, 3, report.float_bytes)
    space = reference.scale.space
    dims = 0 if space is None else space.dims
    assert dims == Model(found).infer(heldout(SEED)[0][0]).embedding.size == (0 if codec is Codec.NONE else 32)


def test_a_model_that_is_not_accurate_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "LEAST_ACCURACY", 0.999)
    with pytest.raises(BundleError, match="use another seed"):
        build_digits(tmp_path / "b", seed=SEED)
    assert not (tmp_path / "b").exists()


def test_the_command_builds_and_shows(tmp_path: Path) -> None:
    out = str(tmp_path / "b")
    built = CliRunner().invoke(app, ["build", "digits", "--out", out, "--seed", "7", "--no-quantized", "--json"])
    assert built.exit_code == 0, built.stderr
    report = json.loads(built.stdout)
    assert (report["folder"], report["quantized"]) == (out, False)
    shown = CliRunner().invoke(app, ["show", out, "--json"])
    facts = json.loads(shown.stdout)
    assert facts["reference_rows"] == report["reference_rows"] == 449
    assert (facts["embedding"], facts["watched"]["centroid"], facts["watched"]["confidence"]) == ("i8 32", 10, 16)
    assert sum(facts["class_shares"].values()) == pytest.approx(1, abs=1e-3)
    assert facts["reference_accuracy"] > 0.95
    again = CliRunner().invoke(app, ["build", "digits", "--out", out])
    assert (again.exit_code, again.stdout) == (2, "")
    assert "not empty" in again.stderr.splitlines()[-1]


def test_show_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["show", str(tmp_path / "nowhere")])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: ")
    assert len(ran.stderr.splitlines()) == 1
