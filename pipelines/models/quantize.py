"""An ONNX model in int8, its ranges learned from calibration inputs.

Static, not dynamic: a dynamic model takes its ranges from the batch at hand, so a sample would
get another embedding alone on a device than among others where the reference is made.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

_BATCH: Final = 64
_OPERATORS: Final = ["Gemm", "MatMul", "Conv", "Relu"]


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """Calibration inputs, a batch at a time.

    Args:
        name: of the model's input.
        inputs: float32, batch axis first.
    """

    def __init__(self, name: str, inputs: NDArray[np.float32]) -> None:
        starts = range(0, len(inputs), _BATCH)
        self._batches: Iterator[dict[str, Any]] = iter([{name: inputs[at : at + _BATCH]} for at in starts])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch by input name, None after the last."""
        return next(self._batches, None)


def quantize(model: Any, inputs: NDArray[np.float32]) -> bytes:
    """The int8 model, weights by channel, as a file.

    Args:
        model: an `onnx.ModelProto` with one input and float32 weights.
        inputs: what the model would be given: float32, batch axis first; a few hundred suffice.
    """
    prepared = onnx.shape_inference.infer_shapes(model)
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            str(out),
            Batches(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return out.read_bytes()
