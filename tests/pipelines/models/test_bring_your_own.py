"""The guide does what it says, block by block; and wrong models end in one clear line."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edge_publisher.model import Model
from operators.reference_file import from_parquet_bytes
from pipelines.models.cli import app
from pipelines.models.pack import pack
from pipelines.models.validation import Validation, load_validation
from schemas import bundle
from schemas.embedding import Codec
from schemas.errors import BundleError, InputError
from tests.pipelines.models.ripeness import FILTERS, crops, trained

GUIDE = Path(__file__).parents[3] / "docs" / "bring-your-own-model.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def model() -> bytes:
    return trained()


@pytest.fixture
def description() -> dict[str, Any]:
    (text,) = blocks("json")
    return json.loads(text)


@pytest.fixture
def validation() -> Validation:
    images, labels = crops(200, seed=2)
    return Validation(samples=images, labels=labels)


def test_the_guide_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = crops(200, seed=2)
    names: dict[str, Any] = {"images": images, "labels": labels}
    Path("ripeness.onnx").write_bytes(model)
    save, expose, look = blocks("python")

    exec(save, names)
    Path("ripeness.json").write_text(blocks("json")[0])
    (command,) = blocks("bash")
    words = shlex.split(command)
    assert words[:2] == ["gleaner", "model"]
    ran = CliRunner().invoke(app, words[2:])
    assert ran.exit_code == 0, ran.stderr
    packed = json.loads(ran.stdout)
    assert (packed["reference_rows"], packed["embedding_dims"], packed["labels"]) == (200, FILTERS, 3)
    assert packed["accuracy"] > 0.85
    assert packed["temperature"] > 1

    exec(expose, names)
    assert [output.name for output in onnx.load("ripeness-with-features.onnx").graph.output] == ["logits", "features"]

    exec(look, names)
    told = capsys.readouterr().out
    assert "ripe" in told
    assert f"({FILTERS},)" in told
    assert names["reference"].counts("prediction_mix").sum() == 200


def test_the_guide_lists_every_key_of_a_manifest() -> None:
    rows = re.findall(r"^\| (`.*?) \|", GUIDE.read_text(), re.MULTILINE)
    listed = {key.removeprefix("preprocessing.") for row in rows for key in re.findall(r"`([a-z_.]+)`", row)}
    known = {*bundle.Manifest.__slots__, *bundle.Preprocessing.__slots__} - {"files", "preprocessing"}
    assert listed == known
    assert len(GUIDE.read_text().splitlines()) < 120


def test_the_temperature_fits_the_labels_and_changes_no_class(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation
) -> None:
    fitted = pack(model=model, description=description, validation=validation, folder=tmp_path / "a")
    blind = pack(
        model=model, description=description, validation=Validation(samples=validation.samples), folder=tmp_path / "b"
    )
    assert (blind.temperature, blind.accuracy) == (1, None)
    assert fitted.temperature > 1
    before, after = (Model(bundle.read(tmp_path / name)).infer_many(validation.samples) for name in "ba")
    assert np.array_equal(before.probabilities.argmax(axis=1), after.probabilities.argmax(axis=1))
    assert after.probabilities.max(axis=1).mean() < before.probabilities.max(axis=1).mean()


def test_an_nhwc_model_packs_too(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation
) -> None:
    proto = onnx.load_model_from_string(model)
    proto.graph.node.insert(0, onnx.helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]))
    proto.graph.node[1].input[0] = "turned"
    shape = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 32, 32, 3])
    proto.graph.input[0].CopyFrom(shape)
    description["preprocessing"]["layout"] = "nhwc"
    turned = pack(
        model=proto.SerializeToString(), description=description, validation=validation, folder=tmp_path / "nhwc"
    )
    description["preprocessing"]["layout"] = "nchw"
    straight = pack(model=model, description=description, validation=validation, folder=tmp_path / "nchw")
    assert turned.accuracy == straight.accuracy


def test_a_projected_embedding_has_a_reference_of_what_travels(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation
) -> None:
    described = description | {"embedding_codec": "pca-i8"}
    packed = pack(
        model=model,
        description=described,
        validation=validation,
        folder=tmp_path / "pca",
        embedding_tensor="features",
        projection_dims=4,
    )
    assert packed.embedding_dims == 4
    read = bundle.read(tmp_path / "pca")
    reference = from_parquet_bytes(read.contents[bundle.REFERENCE])
    space = reference.scale.space
    assert space is not None
    assert (space.dims, space.codec) == (4, Codec.PCA_I8)
    assert np.abs(space.center).max() <= 12  # of 256 steps: a projection has no mean left but that of the rows left out
    assert Model(read).infer(validation.samples[0]).embedding.shape == (4,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": ["one", "two"], "top_k": 1}, "labels 2"),
        ({"scores_output": "nothing"}, "no output 'nothing'"),
        ({"input_name": "picture"}, "input_name is 'picture'"),
        ({"colour": "red"}, "colour"),
        ({"files": {}}, "leave `files` out"),
        ({"version": 0}, "counter from 1"),
        ({"schema": 2}, "schema 1"),
        ({"minimum_runtime": "99.0"}, "needs onnxruntime 99.0"),
        ({"embedding_output": "logits", "embedding_dims": 4, "embedding_codec": "i8"}, "embedding_dims is 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(BundleError, match=re.escape(says)):
        pack(model=model, description=description | change, validation=validation, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_inner_tensor_is_refused_with_the_names_there_are(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation
) -> None:
    with pytest.raises(BundleError, match=r"no tensor 'feature'; it has maps, active, pooled, features, logits"):
        pack(
            model=model,
            description=description,
            validation=validation,
            folder=tmp_path / "out",
            embedding_tensor="feature",
        )


def test_samples_and_labels_that_do_not_fit_are_refused(
    tmp_path: Path, model: bytes, description: dict[str, Any], validation: Validation
) -> None:
    wrong = {
        "do not fit": Validation(samples=validation.samples[..., 0]),
        "labels from 0 to 9": Validation(samples=validation.samples[:2], labels=np.array([0, 9])),
    }
    for says, samples in wrong.items():
        with pytest.raises(BundleError, match=says):
            pack(model=model, description=description, validation=samples, folder=tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02 no protobuf", b"\x08\x08"], ids=["empty", "noise", "hollow"])
def test_what_is_no_onnx_file_is_refused(
    tmp_path: Path, description: dict[str, Any], validation: Validation, data: bytes
) -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        pack(model=data, description=description, validation=validation, folder=tmp_path / "out")


def test_a_validation_file_of_something_else_is_refused(tmp_path: Path) -> None:
    images, labels = crops(3, seed=0)
    np.savez(tmp_path / "unnamed.npz", images)
    np.savez(tmp_path / "short.npz", samples=images, labels=labels[:2])
    np.savez(tmp_path / "pickled.npz", samples=np.array([{}, None]))
    np.save(tmp_path / "array.npy", images)
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("unnamed.npz", "short.npz", "pickled.npz", "array.npy", "text.npz", "missing.npz"):
        with pytest.raises(InputError, match=re.escape(name)):
            load_validation(tmp_path / name)


def test_the_command_says_one_line_and_exits_2(tmp_path: Path, model: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(model)
    (tmp_path / "d.json").write_text("[1]")
    images, _ = crops(3, seed=0)
    np.savez(tmp_path / "v.npz", samples=images)
    words = ["pack", "m.onnx", "--manifest", "d.json", "--validation", "v.npz", "--out", "out"]
    at = [str(tmp_path / word) if "." in word or word == "out" else word for word in words]
    ran = CliRunner().invoke(app, at)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == f"error: {tmp_path}/d.json: a description is one JSON object\n"
