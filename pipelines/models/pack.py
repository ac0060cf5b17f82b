"""Any ONNX classifier, with a description and a validation part, as a bundle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipelines.models.assemble import Assembled, assemble, write
from pipelines.models.calibrate import expected_calibration_error
from pipelines.models.device import say
from pipelines.models.expose import expose, load_onnx, values_of
from pipelines.models.projection import fit_projection, to_npy_bytes
from pipelines.models.validation import Validation
from schemas.bundle import MANIFEST, MODEL, PROJECTION, SCHEMA, Bundle, Manifest, parse_manifest
from schemas.embedding import Codec
from schemas.errors import BundleError

PROJECTION_DIMS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was packed.

    Attributes:
        folder: of the bundle.
        name, version: of the model.
        labels: how many.
        embedding_dims: values of an embedding as it travels; 0 without one.
        reference_rows: samples in its reference.
        temperature: fitted where labels are known, else as described.
        accuracy: share of the samples that are classified right; None without labels.
        expected_calibration_error: of the same samples, so rather too good; None without labels.
    """

    folder: str
    name: str
    version: int
    labels: int
    embedding_dims: int
    reference_rows: int
    temperature: float
    accuracy: float | None
    expected_calibration_error: float | None


def pack(
    *,
    model: bytes,
    description: Mapping[str, Any],
    validation: Validation,
    folder: Path,
    embedding_tensor: str = "",
    projection_dims: int = PROJECTION_DIMS,
) -> Packed:
    """Write the bundle of a model of your own.

    Args:
        model: an ONNX file, all weights inside.
        description: a `bundle.json` without `files`.
        validation: samples that training did not see; with labels, a temperature is fitted.
        folder: new or empty.
        embedding_tensor: an inner tensor to expose as the embedding; empty where the description names an output.
        projection_dims: values that travel with codec `pca-i8`.

    Raises:
        BundleError: model, description and samples do not fit each other, or the folder holds something.
    """
    proto = load_onnx(model)
    described = dict(description)
    if embedding_tensor:
        model = expose(proto, embedding_tensor)
        described = _with_embedding(described, embedding_tensor, proto)
    draft = Bundle(_manifest(described), {MODEL: model})
    if draft.manifest.embedding_codec is Codec.PCA_I8:
        draft = _with_projection(draft, validation, projection_dims)
    assembled = assemble(draft, validation)
    write(assembled, folder)
    return _packed(folder, assembled, validation)


def read_description(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        BundleError: the file is not there or holds something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path}: a description is one JSON object")
    return found


def _with_embedding(described: dict[str, Any], tensor: str, proto: Any) -> dict[str, Any]:
    """The description with the exposed tensor as embedding; what it says of codec and size stays."""
    described = {"embedding_codec": Codec.I8.value} | described | {"embedding_output": tensor}
    if not described.get("embedding_dims"):
        described["embedding_dims"] = values_of(proto, tensor)
    return described


def _manifest(described: Mapping[str, Any]) -> Manifest:
    if "files" in described:
        raise BundleError(f"leave `files` out of the description: they are named when the {MANIFEST} is written")
    projected = described.get("embedding_codec") == Codec.PCA_I8
    named: dict[str, Any] = {name: {} for name in (MODEL, PROJECTION)[: 1 + projected]}
    text = json.dumps({"schema": SCHEMA} | dict(described) | {"files": named})
    return parse_manifest(text.encode(), "the description")


def _with_projection(draft: Bundle, validation: Validation, dims: int) -> Bundle:
    whole = Bundle(replace(draft.manifest, embedding_codec=Codec.F32), draft.contents)
    projection = fit_projection(say(whole, validation.samples).embeddings, dims)
    return Bundle(draft.manifest, {**draft.contents, PROJECTION: to_npy_bytes(projection)})


def _packed(folder: Path, assembled: Assembled, validation: Validation) -> Packed:
    manifest, said = assembled.bundle.manifest, assembled.said
    accuracy = error = None
    if validation.labels is not None:
        correct = said.class_id == validation.labels
        accuracy = round(float(correct.mean()), 4)
        error = round(expected_calibration_error(said.confidence, correct), 4)
    return Packed(
        folder=str(folder),
        name=manifest.name,
        version=manifest.version,
        labels=len(manifest.labels),
        embedding_dims=said.embeddings.shape[1],
        reference_rows=assembled.reference.rows,
        temperature=manifest.temperature,
        accuracy=accuracy,
        expected_calibration_error=error,
    )
