import io
import math
import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

from edge_publisher.model import Model, UnusableOutput
from edge_publisher.onnx_file import reads_other_files
from schemas.bundle import MODEL, PROJECTION, Bundle
from schemas.embedding import Codec
from schemas.errors import BundleError
from tests.edge_publisher.models import DIMS, LABELS, in_memory, linear_model, manifest

FRAMES = np.random.default_rng(1).integers(0, 256, (40, 64, 64)).astype(np.uint8)


def by_hand(frame: np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and embedding of the linear model, in float64."""
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in linear_model().graph.initializer}
    pixels = frame.reshape(8, 8, 8, 8).mean((1, 3)).reshape(64) / 255
    embedding = np.maximum(pixels @ weights["w1"].astype(float), 0)
    powers = np.exp(embedding @ weights["w2"].astype(float) / temperature)
    return powers / powers.sum(), embedding


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_an_inference_is_what_the_formulas_say(softmax: bool, temperature: float) -> None:
    kind = "probability" if softmax else "logit"
    model = Model(in_memory(linear_model(softmax=softmax), manifest(temperature=temperature, scores_kind=kind)))
    for frame in FRAMES[:10]:
        found = model.infer(frame)
        probabilities, embedding = by_hand(frame, temperature)
        order = np.argsort(-probabilities)
        assert np.allclose(found.probabilities, probabilities, atol=1e-5)
        assert found.class_ids.tolist() == order[:3].tolist()
        assert np.allclose(found.scores, probabilities[order[:3]], atol=1e-5)
        assert np.isclose(found.entropy, -(probabilities * np.log(probabilities)).sum(), atol=1e-4)
        assert np.allclose(found.embedding, embedding, atol=1e-5)
        assert np.isclose(found.margin, probabilities[order[0]] - probabilities[order[1]], atol=1e-5)
        assert (found.class_ids.dtype, found.scores.dtype, found.latency_us >= 0) == (np.uint16, np.float32, True)


@pytest.mark.parametrize("batch", ["n", 1])
def test_many_at_once_are_what_each_is_alone(batch: object) -> None:
    model = Model(in_memory(linear_model(batch=batch)))
    found = model.infer_many(FRAMES)
    assert found.probabilities.shape == (len(FRAMES), LABELS)
    for frame, probabilities, embedding in zip(FRAMES, found.probabilities, found.embeddings, strict=True):
        alone = model.infer(frame)
        assert np.allclose(alone.probabilities, probabilities, atol=1e-6)
        assert np.allclose(alone.embedding, embedding, atol=1e-5)
    assert model.infer_many(FRAMES[:0]).embeddings.shape == (0, DIMS)


def test_threads_may_share_a_model() -> None:
    model, found = Model(in_memory()), {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: model.infer(FRAMES[i])})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(8):
        assert np.allclose(found[place].probabilities, by_hand(FRAMES[place])[0], atol=1e-5)


def test_a_model_without_embedding_has_none() -> None:
    said = manifest(embedding_output="", embedding_dims=0, embedding_codec=Codec.NONE)
    model = Model(in_memory(said=said))
    assert model.dims == 0
    assert model.infer(FRAMES[0]).embedding.shape == (0,)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_an_embedding_is_projected_for_pca() -> None:
    rng = np.random.default_rng(2)
    projection = rng.normal(size=(4, DIMS)).astype(np.float32)
    said = manifest(embedding_codec=Codec.PCA_I8, files={MODEL: {}, PROJECTION: {}})
    model = Model(in_memory(said=said, **{PROJECTION: npy(projection)}))
    assert model.dims == 3
    _, embedding = by_hand(FRAMES[0])
    expected = projection[1:] @ (embedding - projection[0])
    assert np.allclose(model.infer(FRAMES[0]).embedding, expected, atol=1e-4)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, DIMS), np.float32),
        np.zeros((3, DIMS + 1), np.float32),
        np.zeros((3, DIMS)),
        np.full((3, DIMS), np.nan, np.float32),
        np.array([{"a": 1}], dtype=object),
    ],
)
def test_a_projection_that_does_not_fit_is_refused(array: np.ndarray) -> None:
    said = manifest(embedding_codec=Codec.PCA_I8, files={MODEL: {}, PROJECTION: {}})
    with pytest.raises(BundleError, match=r"projection\.npy"):
        Model(in_memory(said=said, **{PROJECTION: npy(array)}))


def test_output_that_is_not_finite_makes_no_inference() -> None:
    model = Model(in_memory(linear_model(blow_up=True), manifest(scores_kind="logit")))
    assert np.isfinite(model.infer(FRAMES[0]).probabilities).all()
    with pytest.raises(UnusableOutput):
        model.infer(np.zeros((64, 64), np.uint8))


def test_an_embedding_too_large_for_f16_makes_no_inference() -> None:
    graph = linear_model()
    bright = next(each for each in graph.graph.initializer if each.name == "w1")
    bright.CopyFrom(onnx.numpy_helper.from_array(np.full((64, DIMS), 5000, np.float32), "w1"))
    model = Model(in_memory(graph, manifest(embedding_codec=Codec.F16)))
    with pytest.raises(UnusableOutput):
        model.infer(np.full((64, 64), 255, np.uint8))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_name": "pixels"}, "input_name is 'pixels', but the model has image"),
        ({"scores_output": "nothing"}, "no output 'nothing'; it has scores, embedding"),
        ({"embedding_output": "nothing"}, "no output 'nothing'"),
        ({"labels": ("a", "b", "c")}, "scores has 10 values, but labels 3"),
        ({"embedding_dims": 5}, "embedding has 6 values, but embedding_dims is 5"),
        ({"minimum_runtime": "99.1"}, "needs onnxruntime 99.1 or newer"),
        ({"minimum_runtime": "new"}, "is no version"),
        ({"preprocessing": replace(manifest().preprocessing, width=9)}, "does not run on its input as described"),
        ({"preprocessing": replace(manifest().preprocessing, layout="nchw")}, "does not run on its input"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model_is_refused_in_clear_words(changes: dict, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        Model(in_memory(said=manifest(**changes)))


def test_logits_called_probabilities_are_noticed() -> None:
    graph = linear_model(softmax=False)
    graph.graph.node[-1].CopyFrom(helper.make_node("Add", ["logits", "shift"], ["scores"]))
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([-7.0] * LABELS), "shift"))
    with pytest.raises(BundleError, match="is scores_kind logit"):
        Model(in_memory(graph))


@pytest.mark.parametrize("content", [b"", b"not onnx", bytes(100), linear_model().SerializeToString()[:300]])
def test_a_damaged_model_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="linear: "):
        Model(Bundle(manifest(), {MODEL: content}))


def test_an_unknown_operator_is_refused() -> None:
    graph = linear_model()
    graph.graph.node[1].CopyFrom(helper.make_node("Unheard", ["hidden"], ["embedding"]))
    with pytest.raises(BundleError, match="can't load"):
        Model(in_memory(graph))


def test_a_model_that_reads_other_files_is_refused() -> None:
    graph = linear_model()
    assert not reads_other_files(graph.SerializeToString())
    external_data_helper.set_external_data(graph.graph.initializer[0], location="../secret")
    graph.graph.initializer[0].ClearField("raw_data")
    assert reads_other_files(graph.SerializeToString())
    with pytest.raises(BundleError, match="keeps weights in other files"):
        Model(in_memory(graph))


def test_a_file_hidden_in_a_nested_graph_is_found() -> None:
    tensor = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "inner", [], [])
    outer = linear_model()
    outer.graph.node.append(helper.make_node("If", ["image"], ["z"], then_branch=inner, else_branch=inner))
    assert reads_other_files(outer.SerializeToString())


def test_entropy_of_equal_classes_is_the_logarithm_of_their_number() -> None:
    graph = linear_model()
    for each in graph.graph.initializer:
        shape = list(each.dims)
        each.CopyFrom(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), each.name))
    found = Model(in_memory(graph)).infer(FRAMES[0])
    assert np.isclose(found.entropy, math.log(LABELS))
    assert found.class_ids.tolist() == [0, 1, 2]  # ties go to the lower class
    assert found.margin == 0
