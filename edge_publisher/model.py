"""A bundle's model, ready to run: a sample in, calibrated scores and an embedding out.

The bundle is checked once, before the first sample: what the manifest promises is
compared with what the model does on an input of zeros.
"""

import io
import math
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from edge_publisher.onnx_file import reads_other_files
from edge_publisher.preprocess import prepare_many
from schemas.bundle import PROJECTION, Bundle, Manifest
from schemas.embedding import Codec
from schemas.errors import BundleError

Floats = NDArray[np.float32]

_ERRORS: Final = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoModel,
    runtime_errors.NoSuchFile,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)
_LEAST: Final = 1e-12  # a probability of 0 has no logarithm
_CHUNK: Final = 256
_FATAL_ONLY: Final = 4


class UnusableOutput(ValueError):
    """The model gave a number that is not finite, or too large for the codec: no inference is made of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inference:
    """What the model said of one sample.

    Attributes:
        class_ids: (k,) uint16, best first.
        scores: (k,) float32 in [0, 1], calibrated, of these classes.
        entropy: nats, over all classes.
        embedding: (d,) float32 as it will travel, projected for `pca-i8`; (0,) without one.
        latency_us: from sample to scores.
        probabilities: (labels,) float32, calibrated.
    """

    class_ids: NDArray[np.uint16]
    scores: Floats
    entropy: float
    embedding: Floats
    latency_us: int
    probabilities: Floats

    @property
    def margin(self) -> float:
        """Score of the best class less that of the second, in [0, 1]; low is unsure."""
        if len(self.probabilities) < 2:
            return 1.0
        second, best = np.partition(self.probabilities, -2)[-2:]
        return float(best - second)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What the model said of n samples.

    Attributes:
        probabilities: (n, labels) float32, calibrated.
        embeddings: (n, d) float32 as they will travel; d is 0 without one.
    """

    probabilities: Floats
    embeddings: Floats


class Model:
    """Runs the model of a bundle on one thread; `infer` may be called from several.

    Args:
        bundle: verified files and their manifest.

    Attributes:
        manifest: of the bundle.
        dims: values of an embedding as it travels.

    Raises:
        BundleError: the model can't run here, or is not what the manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        self._session = _session(bundle)
        _check_names(self._session, self.manifest)
        self._one_by_one = self._session.get_inputs()[0].shape[:1] == [1]
        self._projection = _projection(bundle)
        self._dry_run()
        projected = self._projection is not None
        self.dims = len(self._projection) - 1 if projected else self.manifest.embedding_dims  # type: ignore[arg-type]

    def infer(self, sample: NDArray[Any]) -> Inference:
        """What the model says of one sample of shape (h, w) or (h, w, channels).

        Raises:
            ValueError: the sample can't become the model's input.
            UnusableOutput: what came out is not finite.
        """
        start = time.perf_counter_ns()
        outputs = self.infer_many(np.asarray(sample)[None])
        probabilities = outputs.probabilities[0]
        best = np.argsort(-probabilities, kind="stable")[: self.manifest.top_k]
        latency_us = (time.perf_counter_ns() - start) // 1000
        return Inference(
            class_ids=best.astype(np.uint16),
            scores=probabilities[best],
            entropy=entropy_nats(probabilities),
            embedding=outputs.embeddings[0],
            latency_us=int(latency_us),
            probabilities=probabilities,
        )

    def infer_many(self, samples: NDArray[Any]) -> Outputs:
        """What the model says of samples of shape (n, h, w) or (n, h, w, channels); raises as `infer`."""
        size = 1 if self._one_by_one else _CHUNK
        parts = [self._outputs(samples[at : at + size]) for at in range(0, len(samples), size)]
        if not parts:
            empty = np.empty((0, len(self.manifest.labels)), np.float32)
            return Outputs(probabilities=empty, embeddings=np.empty((0, self.dims), np.float32))
        return Outputs(
            probabilities=np.concatenate([part.probabilities for part in parts]),
            embeddings=np.concatenate([part.embeddings for part in parts]),
        )

    def _outputs(self, samples: NDArray[Any]) -> Outputs:
        scores, raw = self._run(prepare_many(samples, self.manifest.preprocessing))
        embeddings = self._projected(raw)
        most = np.finfo(np.float16 if self.manifest.embedding_codec is Codec.F16 else np.float32).max
        if not np.isfinite(scores).all() or not (np.abs(embeddings) <= most).all():
            raise UnusableOutput("the model's output is not finite, or too large for the embedding codec")
        return Outputs(probabilities=calibrated(scores, self.manifest), embeddings=embeddings)

    def _run(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Scores (n, labels) and embeddings (n, dims), as the model gives them."""
        names = [name for name in (self.manifest.scores_output, self.manifest.embedding_output) if name]
        results = self._session.run(names, {self.manifest.input_name: inputs})
        flat = [np.asarray(result).reshape(len(inputs), -1).astype(np.float32) for result in results]
        return flat[0], flat[1] if len(flat) > 1 else np.empty((len(inputs), 0), np.float32)

    def _projected(self, raw: Floats) -> Floats:
        if self._projection is None:
            return raw
        mean, directions = self._projection[0], self._projection[1:]
        projected: Floats = (raw - mean) @ directions.T
        return projected

    def _dry_run(self) -> None:
        """Raise unless the model gives, for zeros, what the manifest promises."""
        m, p = self.manifest, self.manifest.preprocessing
        zeros = np.zeros((1, p.height, p.width, p.channels), np.float32)
        try:
            scores, embedding = self._run(prepare_many(zeros, p))
        except (*_ERRORS, ValueError) as error:
            raise BundleError(f"{m.name}: the model does not run on its input as described: {error}") from error
        if scores.shape[1] != len(m.labels):
            raise BundleError(f"{m.name}: {m.scores_output} has {scores.shape[1]} values, but labels {len(m.labels)}")
        if embedding.shape[1] != m.embedding_dims:
            found = f"{m.embedding_output} has {embedding.shape[1]} values"
            raise BundleError(f"{m.name}: {found}, but embedding_dims is {m.embedding_dims}")
        if m.scores_kind == "probability" and (scores.min() < -0.01 or scores.max() > 1.01):
            raise BundleError(f"{m.name}: {m.scores_output} is not in [0, 1]; is scores_kind logit?")


def calibrated(scores: Floats, manifest: Manifest) -> Floats:
    """Probabilities (n, labels) of raw scores (n, labels): softmax(logits / T) (Guo et al., ICML 2017).

    Where the model gives probabilities, their logarithms are the logits.
    """
    logits = scores.astype(np.float64)
    if manifest.scores_kind == "probability":
        logits = np.log(np.clip(logits, _LEAST, 1.0))
    logits = (logits - logits.max(axis=1, keepdims=True)) / manifest.temperature
    powers = np.exp(logits)
    shares: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def entropy_nats(probabilities: Floats) -> float:
    """-Σ p ln p of one distribution, in [0, ln labels] (Shannon, 1948)."""
    p = probabilities.astype(np.float64)
    nats = -float((p * np.log(np.clip(p, _LEAST, 1.0))).sum())
    return min(max(nats, 0.0), math.log(len(p)))


def _session(bundle: Bundle) -> Any:
    m = bundle.manifest
    if _numbers(onnxruntime.__version__) < _numbers(m.minimum_runtime):
        raise BundleError(
            f"{m.name}: needs onnxruntime {m.minimum_runtime} or newer, here is {onnxruntime.__version__}; upgrade it"
        )
    try:
        if reads_other_files(bundle.model):
            raise BundleError(f"{m.name}: model.onnx keeps weights in other files; save it with all data inside")
        return onnxruntime.InferenceSession(bundle.model, _options(), providers=["CPUExecutionProvider"])
    except (*_ERRORS, ValueError) as error:
        raise BundleError(f"{m.name}: onnxruntime can't load model.onnx: {error}") from error


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY  # what goes wrong is raised, and told once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _numbers(version: str) -> tuple[int, ...]:
    """(1, 17) of `1.17` and (1, 17, 2) of `1.17.2rc1`."""
    found = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
    if not found:
        raise BundleError(f"minimum_runtime {version!r} is no version, write it as 1.17")
    return tuple(found)


def _check_names(session: Any, m: Manifest) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    if set(inputs) != {m.input_name}:
        raise BundleError(f"{m.name}: input_name is {m.input_name!r}, but the model has {', '.join(inputs) or 'none'}")
    if inputs[m.input_name] != "tensor(float)":
        raise BundleError(f"{m.name}: the input must be float32, not {inputs[m.input_name]}")
    outputs = [node.name for node in session.get_outputs()]
    for name in (m.scores_output, m.embedding_output):
        if name and name not in outputs:
            raise BundleError(f"{m.name}: the model has no output {name!r}; it has {', '.join(outputs)}")


def _projection(bundle: Bundle) -> Floats | None:
    """(p + 1, d) float32: the mean, then p directions; None for the other codecs."""
    m = bundle.manifest
    if m.embedding_codec is not Codec.PCA_I8:
        return None
    try:
        found = np.load(io.BytesIO(bundle.contents[PROJECTION]), allow_pickle=False)
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise BundleError(f"{m.name}: {PROJECTION} can't be read: {error}") from error
    fits = found.ndim == 2 and found.dtype == np.float32 and found.shape[1] == m.embedding_dims
    if not fits or not 2 <= len(found) <= m.embedding_dims + 1 or not np.isfinite(found).all():
        raise BundleError(f"{m.name}: {PROJECTION} must be finite float32 (1 to d directions + 1, embedding_dims)")
    return np.asarray(found, np.float32)
