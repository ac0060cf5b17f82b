"""A network as ONNX: pixels in, class probabilities and the last hidden layer out."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipelines.models.train import Layer

INPUT: Final = "pixels"
SCORES: Final = "probabilities"
EMBEDDING: Final = "embedding"
_OPSET: Final = 17
_IR_VERSION: Final = 8  # read by every onnxruntime since 1.12


def to_onnx(layers: Sequence[Layer], name: str) -> Any:
    """The `onnx.ModelProto` of dense layers, at least two, with a free batch axis.

    Outputs: `probabilities` (n, labels) after the softmax, `embedding` (n, d), the last hidden layer after its ReLU.
    """
    nodes = [node for at, _ in enumerate(layers[:-1]) for node in _hidden(at, len(layers) - 2)]
    nodes.append(_dense(len(layers) - 1, EMBEDDING, "logits"))
    nodes.append(helper.make_node("Softmax", ["logits"], [SCORES], name="softmax", axis=1))
    weights = [tensor for at, layer in enumerate(layers) for tensor in _tensors(at, layer)]
    outputs = [_value(SCORES, len(layers[-1].bias)), _value(EMBEDDING, len(layers[-2].bias))]
    graph = helper.make_graph(nodes, name, [_value(INPUT, len(layers[0].weights))], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _hidden(at: int, last: int) -> tuple[Any, Any]:
    inner, out = f"dense{at}_out", EMBEDDING if at == last else f"hidden{at}"
    source = INPUT if at == 0 else f"hidden{at - 1}"
    return _dense(at, source, inner), helper.make_node("Relu", [inner], [out], name=f"relu{at}")


def _dense(at: int, source: str, out: str) -> Any:
    return helper.make_node("Gemm", [source, f"weights{at}", f"bias{at}"], [out], name=f"dense{at}")


def _tensors(at: int, layer: Layer) -> tuple[Any, Any]:
    weights = np.ascontiguousarray(layer.weights)
    return numpy_helper.from_array(weights, f"weights{at}"), numpy_helper.from_array(layer.bias, f"bias{at}")


def _value(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
