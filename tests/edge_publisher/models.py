"""Tiny ONNX models and bundles for the tests: real files, written by the onnx package."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from schemas import bundle
from schemas.bundle import MODEL, Bundle, Manifest, Preprocessing
from schemas.embedding import Codec

SIDE = 8
LABELS = 10
DIMS = 6


def linear_model(seed: int = 0, *, softmax: bool = True, batch: object = "n", blow_up: bool = False) -> onnx.ModelProto:
    """Flat (n, 64) → hidden ReLU (n, 6) `embedding` → (n, 10) `scores`; `blow_up` divides by the sum of the input."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, 0.3, (SIDE * SIDE, DIMS)).astype(np.float32),
        "w2": rng.normal(0, 1.0, (DIMS, LABELS)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["image", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "w2"], ["logits"]),
    ]
    if blow_up:
        nodes.append(helper.make_node("ReduceSum", ["image"], ["light"], keepdims=1))
        nodes.append(helper.make_node("Div", ["logits", "light"], ["scores"]))
    else:
        nodes.append(helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["scores"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, SIDE * SIDE])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def manifest(**changes: object) -> Manifest:
    """Of the linear model; 64×64 frames averaged down to 8×8."""
    fields: dict[str, object] = {
        "name": "linear",
        "version": 1,
        "labels": tuple(str(digit) for digit in range(LABELS)),
        "input_name": "image",
        "scores_output": "scores",
        "embedding_output": "embedding",
        "embedding_dims": DIMS,
        "embedding_codec": Codec.I8,
        "top_k": 3,
        "preprocessing": Preprocessing(width=SIDE, height=SIDE, layout="flat", scale=1 / 255),
        "files": {MODEL: {}},
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def in_memory(model: onnx.ModelProto | None = None, said: Manifest | None = None, **files: bytes) -> Bundle:
    """A bundle that was never written."""
    contents = {MODEL: (model or linear_model()).SerializeToString()}
    return Bundle(said or manifest(), contents | files)


def written(folder: Path, **changes: object) -> Bundle:
    """A bundle on disk."""
    return bundle.write(folder, manifest(files={}, **changes), {MODEL: linear_model().SerializeToString()})
