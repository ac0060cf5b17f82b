"""The two models of the world: one small and watched for drift, one whose rows are wide and fill an outbox fast."""

from pathlib import Path
from typing import Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from operators.reference_file import to_parquet_bytes
from pipelines.models.assemble import reference_of
from pipelines.models.device import say
from schemas import bundle
from schemas.bundle import MODEL, REFERENCE, Bundle, Manifest, Preprocessing
from schemas.embedding import Codec
from tests.faults.samples import SIDE, sample

SMALL, WIDE = "small", "wide"
_LABELS: Final = tuple(str(number) for number in range(10))
_SHAPES: Final = {SMALL: (6, Codec.I8), WIDE: (1024, Codec.F32)}
_REFERENCE_ROWS: Final = 400


def write_bundles(folder: Path) -> None:
    """Write both bundles below `folder`."""
    for name in _SHAPES:
        contents = {MODEL: _onnx(name)}
        if name == SMALL:
            contents[REFERENCE] = _reference(name, contents[MODEL])
        bundle.write(folder / name, _manifest(name), contents)


def _manifest(name: str, **more: object) -> Manifest:
    dims, codec = _SHAPES[name]
    return Manifest(
        name=name,
        version=1,
        labels=_LABELS,
        input_name="image",
        scores_output="scores",
        embedding_output="embedding",
        embedding_dims=dims,
        embedding_codec=codec,
        top_k=3,
        preprocessing=Preprocessing(width=SIDE, height=SIDE, layout="flat", scale=1 / 255),
        **more,  # type: ignore[arg-type]
    )


def _onnx(name: str) -> bytes:
    """Flat image → ReLU embedding → softmax scores, with random weights."""
    rng, dims = np.random.default_rng(len(name)), _SHAPES[name][0]
    weights = {
        "w1": rng.normal(0, 0.3, (SIDE * SIDE, dims)).astype(np.float32),
        "w2": rng.normal(0, 1 / np.sqrt(dims), (dims, len(_LABELS))).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["image", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "w2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIDE * SIDE])],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in ("scores", "embedding")],
        [numpy_helper.from_array(array, each) for each, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def _reference(name: str, model: bytes) -> bytes:
    manifest = _manifest(name, files={MODEL: {}})
    samples = np.stack([sample(0, "reference", n).array for n in range(_REFERENCE_ROWS)])
    return to_parquet_bytes(reference_of(manifest, say(Bundle(manifest, {MODEL: model}), samples), None))
