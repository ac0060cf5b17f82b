"""An inner tensor of an ONNX model as one more output: how a model gets its embedding."""

from typing import Any

import onnx
from google.protobuf.message import DecodeError

from schemas.errors import BundleError


def load_onnx(data: bytes) -> Any:
    """The `onnx.ModelProto` in the bytes of a file.

    Raises:
        BundleError: they hold no ONNX model.
    """
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise BundleError(f"not an ONNX model: {str(error)[:300]}") from error
    return model


def expose(model: Any, tensor: str) -> bytes:
    """The file of `model` with the inner `tensor` as an output; as it is where it already is one.

    Raises:
        BundleError: the model has no such tensor; the text names those it has.
    """
    if tensor in {output.name for output in model.graph.output}:
        return _file(model)
    inner = [name for node in model.graph.node for name in node.output]
    if tensor not in inner:
        raise BundleError(f"the model has no tensor {tensor!r}; it has {', '.join(inner[-40:])}")
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    return _file(exposed)


def values_of(model: Any, tensor: str) -> int:
    """Values of `tensor` for one sample: the product of its axes but the first.

    Raises:
        BundleError: the model does not say, so the manifest must.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {value.name: value for value in (*inferred.value_info, *inferred.output)}
    axes = known[tensor].type.tensor_type.shape.dim[1:] if tensor in known else []
    if not axes or not all(axis.dim_value for axis in axes):
        raise BundleError(f"the model does not tell the shape of {tensor!r}; write embedding_dims into the manifest")
    values = 1
    for axis in axes:
        values *= axis.dim_value
    return values


def _file(model: Any) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data
