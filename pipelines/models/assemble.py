"""From a model and its description to a bundle: temperature, reference, files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.reference import Reference
from operators.reference_file import to_parquet_bytes
from pipelines.models.calibrate import temperature
from pipelines.models.device import Said, say
from pipelines.models.fit import Rows, accept
from pipelines.models.validation import Validation
from schemas import bundle
from schemas.bundle import REFERENCE, Bundle, Manifest
from schemas.errors import BundleError

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assembled:
    """A bundle, ready to be written.

    Attributes:
        bundle: with its temperature and reference.
        reference: the same, as an object.
        said: what it says of the validation samples.
    """

    bundle: Bundle
    reference: Reference
    said: Said


def assemble(draft: Bundle, validation: Validation) -> Assembled:
    """The bundle with a temperature, where labels are known, and a reference.

    Args:
        draft: model and manifest; where labels are not known its temperature stays.
        validation: samples that training did not see.

    Raises:
        BundleError: the model is not as its manifest says, or the samples or labels do not fit it.
    """
    manifest = draft.manifest
    if validation.labels is not None:
        plain = say(Bundle(replace(manifest, temperature=1.0), draft.contents), validation.samples)
        _check_labels(validation.labels, manifest)
        manifest = replace(manifest, temperature=temperature(plain.probabilities, validation.labels))
    said = say(Bundle(manifest, draft.contents), validation.samples)
    reference = reference_of(manifest, said, validation.labels)
    contents: Mapping[str, bytes] = {**draft.contents, REFERENCE: to_parquet_bytes(reference)}
    return Assembled(bundle=Bundle(manifest, contents), reference=reference, said=said)


def reference_of(manifest: Manifest, said: Said, truth: Labels | None) -> Reference:
    """The reference of what a model says of its validation samples, whose true classes may be known."""
    return accept(
        model=manifest.name,
        version=manifest.version,
        labels=manifest.labels,
        rows=rows_of(manifest, said),
        truth=truth,
    )


def rows_of(manifest: Manifest, said: Said) -> Rows:
    """What is watched of what a model says."""
    return Rows(
        class_id=said.class_id,
        confidence=said.confidence,
        second=said.second,
        entropy=said.entropy,
        embeddings=said.embeddings,
        codec=manifest.embedding_codec,
    )


def write(assembled: Assembled, folder: Path) -> Bundle:
    """The bundle, written to a new or empty folder and read back; raises as `schemas.bundle.write`."""
    try:
        return bundle.write(folder, assembled.bundle.manifest, assembled.bundle.contents)
    except OSError as error:
        raise BundleError(f"{folder}: can't be written, choose another folder: {error.strerror}") from error


def _check_labels(labels: Labels, manifest: Manifest) -> None:
    if labels.min() < 0 or labels.max() >= len(manifest.labels):
        raise BundleError(
            f"{manifest.name}: labels from {labels.min()} to {labels.max()}, but {len(manifest.labels)} classes"
        )
