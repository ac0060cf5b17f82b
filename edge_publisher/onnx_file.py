"""Whether an ONNX file keeps its weights in other files.

onnxruntime, given a model as bytes, reads such files from the working directory:
a model from elsewhere could name any file of the device. So a bundle's model must
hold all its tensors itself. The device has no ONNX parser, so this walks the
protobuf fields that can hold a tensor, and no others (onnx.proto3, IR version 10).
"""

from collections.abc import Iterator
from typing import Final

# message → {field number: message in it}, for every path that leads to a tensor
_NESTED: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA: Final = 13
_DATA_LOCATION: Final = 14
_MAX_DEPTH: Final = 64


def reads_other_files(model: bytes) -> bool:
    """Whether a tensor of `model` says that its data is in another file.

    Raises:
        ValueError: the bytes are no protobuf message, or nested too deep.
    """
    return _external(memoryview(model), "model", 0)


def _external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError(f"graphs nested more than {_MAX_DEPTH} deep")
    for number, value in _fields(message):
        if kind == "tensor" and number in (_EXTERNAL_DATA, _DATA_LOCATION) and value != 0:
            return True
        nested = _NESTED[kind].get(number)
        if nested and isinstance(value, memoryview) and _external(value, nested, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number with its varint or its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(message) + 1), at)
        if at + length > len(message):
            raise ValueError("not an ONNX file: a field ends beyond the end")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("not an ONNX file: a number without an end")
