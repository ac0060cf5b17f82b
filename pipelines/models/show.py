"""What a bundle is, at a glance."""

from dataclasses import dataclass
from pathlib import Path

from operators.reference import Reference
from operators.reference_file import from_parquet_bytes
from schemas import bundle
from schemas.bundle import REFERENCE
from schemas.errors import BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The main facts of a bundle.

    Attributes:
        name, version: of the model.
        labels: names of the classes.
        files: file name → bytes.
        input: name of the model's input, and (height, width, channels) that it sees.
        scores: name and kind of the scores output.
        embedding: codec and values as it travels; `none` and 0 without one.
        temperature: of the confidence.
        reference_rows: samples the model was accepted on.
        reference_accuracy: share of them that is classified right; None where their classes are not known.
        class_shares: share of each predicted class among them; the rarest of many classes are one.
        watched: what is compared with them → in how many bins.
    """

    name: str
    version: int
    labels: list[str]
    files: dict[str, int]
    input: str
    scores: str
    embedding: str
    temperature: float
    reference_rows: int
    reference_accuracy: float | None
    class_shares: dict[str, float]
    watched: dict[str, int]


def show(path: Path) -> Shown:
    """The facts of the bundle in a folder or tar, every file verified.

    Raises:
        BundleError: it is damaged, or has no reference.
    """
    found = bundle.read(path)
    m, p = found.manifest, found.manifest.preprocessing
    if REFERENCE not in found.contents:
        raise BundleError(f"{path}: no {REFERENCE} in it; pack it again with a validation part")
    reference = from_parquet_bytes(found.contents[REFERENCE], f"{path}: {REFERENCE}")
    space = reference.scale.space
    return Shown(
        name=m.name,
        version=m.version,
        labels=list(m.labels),
        files={name: len(data) for name, data in found.contents.items()},
        input=f"{m.input_name} {p.height}x{p.width}x{p.channels} {p.layout}",
        scores=f"{m.scores_output} ({m.scores_kind})",
        embedding=f"{m.embedding_codec} {space.dims if space else m.embedding_dims}",
        temperature=m.temperature,
        reference_rows=reference.rows,
        reference_accuracy=_accuracy(reference),
        class_shares=_class_shares(reference),
        watched={each.name: each.bins for each in reference.scale.features},
    )


def _accuracy(reference: Reference) -> float | None:
    if not reference.labelled.any():
        return None
    return round(float(reference.correct.sum() / reference.labelled.sum()), 4)


def _class_shares(reference: Reference) -> dict[str, float]:
    scale = reference.scale
    mix = scale.features[0]
    shares = reference.counts(mix.name) / reference.events
    return {scale.bin_name(mix, place): round(share, 4) for place, share in enumerate(shares.tolist())}
