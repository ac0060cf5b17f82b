"""Model bundles: what a device needs to run a model, and the server to judge it.

A bundle is a folder, or a tar of one, with `model.onnx`, `bundle.json` and, for
the server, `reference.parquet`. `bundle.json` names every other file with its
SHA-256 and length; a file that differs, or that it does not name, is an error.
"""

import hashlib
import json
import lzma
import math
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.embedding import MAX_DIMS, Codec
from schemas.errors import BundleError
from schemas.topics import is_name
from schemas.wire import MAX_TOP_K

MANIFEST: Final = "bundle.json"
MODEL: Final = "model.onnx"
REFERENCE: Final = "reference.parquet"
PROJECTION: Final = "projection.npy"
SCHEMA: Final = 1
MAX_FILE_BYTES: Final = 1 << 30
MAX_LABELS: Final = 65_535
LAYOUTS: Final = ("flat", "nchw", "nhwc")
_TEXTS: Final = ("name", "input_name", "scores_output", "scores_kind", "embedding_output", "minimum_runtime")
_COUNTS: Final = ("version", "embedding_dims", "top_k")
_SIZES: Final = ("width", "height", "channels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a raw sample becomes the model's input.

    The sample, an array of shape (h, w) or (h, w, channels) of numbers, is
    averaged down to (height, width), then `(x · scale - mean) / std` for each channel.

    Attributes:
        width, height, channels: what the model sees.
        layout: `flat` (1, h·w·c), `nchw` or `nhwc`.
        scale: factor of a raw value; 1/255 for bytes into [0, 1].
        mean, std: one number for each channel; std above 0.
    """

    width: int
    height: int
    channels: int = 1
    layout: str = "nchw"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of `bundle.json`.

    Attributes:
        name: of the model; lower case, digits, _ and -.
        version: a counter; a device never goes back.
        labels: names of the classes, by class id.
        input_name: of the ONNX input.
        scores_output: ONNX output with one number for each class.
        scores_kind: `probability` or `logit`.
        embedding_output: ONNX output that is the embedding, or empty for none.
        embedding_dims: values of that output, before any projection.
        embedding_codec: how the embedding travels.
        top_k: classes told for each inference.
        temperature: divides the logits before the softmax (Guo et al., 2017); 1 changes nothing.
        preprocessing: from raw sample to input.
        minimum_runtime: oldest onnxruntime that may run it, as `1.17`.
        files: name → {sha256, bytes} of every other file in the bundle.
    """

    name: str
    version: int
    labels: tuple[str, ...]
    input_name: str
    scores_output: str
    preprocessing: Preprocessing
    scores_kind: str = "probability"
    embedding_output: str = ""
    embedding_dims: int = 0
    embedding_codec: Codec = Codec.NONE
    top_k: int = 1
    temperature: float = 1.0
    minimum_runtime: str = "1.17"
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are those its manifest names.

    Attributes:
        manifest: what it says of itself.
        contents: file name → bytes, verified.
    """

    manifest: Manifest
    contents: Mapping[str, bytes]

    @property
    def model(self) -> bytes:
        """The ONNX model."""
        return self.contents[MODEL]


def read(path: Path) -> Bundle:
    """The bundle in a folder or tar, every file checked against the manifest.

    Raises:
        BundleError: it is not there, damaged, or says something impossible.
    """
    try:
        contents = _read_folder(path) if path.is_dir() else _read_tar(path)
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror}") from error
    if MANIFEST not in contents:
        raise BundleError(f"{path}: no {MANIFEST} in it; is this a model bundle?")
    manifest = parse_manifest(contents.pop(MANIFEST), str(path))
    _check_files(manifest, contents, path)
    return Bundle(manifest, contents)


def write(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> Bundle:
    """Write a bundle to a new or empty folder and read it back.

    Raises:
        BundleError: the folder holds something already, or the manifest is impossible.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BundleError(f"{folder}: not empty; bundles are never overwritten, choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in contents.items()}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    text = {"schema": SCHEMA} | asdict(manifest) | {"files": files}
    (folder / MANIFEST).write_text(json.dumps(text, indent=2) + "\n")
    return read(folder)


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of a `bundle.json`; unknown keys are errors."""
    try:
        raw = json.loads(data, parse_constant=_refuse_constant)
        if raw.pop("schema") != SCHEMA:
            raise ValueError(f"schema {SCHEMA} is read here")
        _check_containers(raw)
        preprocessing = raw.pop("preprocessing")
        steps: dict[str, Any] = {key: tuple(preprocessing.pop(key)) for key in ("mean", "std") if key in preprocessing}
        raw["embedding_codec"] = Codec(raw.get("embedding_codec", "none"))
        raw["labels"] = tuple(raw["labels"])
        manifest = Manifest(**raw, preprocessing=Preprocessing(**preprocessing, **steps))
        for demands in (_kinds, _demands):  # a number can't be compared before it is one
            for ok, what in demands(manifest):
                if not ok:
                    raise ValueError(what)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: {MANIFEST}: {error}") from error
    return manifest


def _check_containers(raw: dict[str, Any]) -> None:
    """Raise unless what must be lists and objects are such."""
    for name, kind in (("labels", list), ("files", dict), ("preprocessing", dict)):
        if not isinstance(raw.get(name), kind):
            raise TypeError(f"{name} must be there, as a {'list' if kind is list else 'JSON object'}")
    for name in ("mean", "std"):
        if not isinstance(raw["preprocessing"].get(name, []), list):
            raise TypeError(f"{name} must be a list of numbers")


def _kinds(m: Manifest) -> Iterator[tuple[bool, str]]:
    """Which JSON type each value must have, with what to say where it has another."""
    p = m.preprocessing
    for name in _TEXTS:
        yield isinstance(getattr(m, name), str), f"{name} must be a text"
    for name, count in [(n, getattr(m, n)) for n in _COUNTS] + [(n, getattr(p, n)) for n in _SIZES]:
        yield type(count) is int, f"{name} must be a whole number"
    for name, numbers in (("temperature", (m.temperature,)), ("scale", (p.scale,)), ("mean", p.mean), ("std", p.std)):
        yield all(_is_number(x) for x in numbers), f"{name} must be a number that a computer can hold"


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _demands(m: Manifest) -> tuple[tuple[bool, str], ...]:
    """What a manifest must fulfil, each with what to say where it does not."""
    p = m.preprocessing
    return (
        (is_name(m.name), "name must be 1 to 63 of a-z, 0-9, _ and -"),
        (0 < m.version < 2**32, "version must be a counter from 1"),
        (m.input_name != "" != m.scores_output, "input_name and scores_output must not be empty"),
        (0 < len(m.labels) <= MAX_LABELS, "there must be labels"),
        (all(isinstance(label, str) for label in m.labels), "labels must be texts"),
        (m.scores_kind in ("probability", "logit"), "scores_kind must be probability or logit"),
        (1 <= m.top_k <= min(MAX_TOP_K, len(m.labels)), f"top_k must be 1 to {MAX_TOP_K}, and no more than labels"),
        (0 <= m.embedding_dims <= MAX_DIMS, f"embedding_dims must be 0 to {MAX_DIMS}"),
        (bool(m.embedding_output) == (m.embedding_dims > 0) == (m.embedding_codec is not Codec.NONE),
         "embedding_output, embedding_dims and embedding_codec go together"),
        (m.embedding_codec is not Codec.PCA_I8 or PROJECTION in m.files, f"pca-i8 needs a {PROJECTION}"),
        (math.isfinite(m.temperature) and m.temperature > 0, "temperature must be above 0"),
        (p.layout in LAYOUTS, f"layout must be one of {', '.join(LAYOUTS)}"),
        (all(0 < n <= 1 << 14 for n in (p.width, p.height, p.channels)), "width, height and channels must be above 0"),
        (len(p.mean) in (1, p.channels) and len(p.std) in (1, p.channels), "mean and std need one number a channel"),
        (all(math.isfinite(x) for x in (p.scale, *p.mean, *p.std)), "scale, mean and std must be finite"),
        (all(x > 0 for x in p.std), "std must be above 0"),
        (MODEL in m.files, f"files does not name {MODEL}"),
    )  # fmt: skip


def _check_files(manifest: Manifest, contents: Mapping[str, bytes], path: Path) -> None:
    if set(contents) != set(manifest.files):
        odd = ", ".join(sorted(set(contents) ^ set(manifest.files)))
        raise BundleError(f"{path}: {MANIFEST} and the files differ: {odd}")
    for name, data in contents.items():
        said = manifest.files[name]
        if not isinstance(said, dict) or set(said) != {"sha256", "bytes"}:
            raise BundleError(f"{path}: {MANIFEST}: files must give sha256 and bytes of {name}, and no more")
        if len(data) != said["bytes"] or hashlib.sha256(data).hexdigest() != said["sha256"]:
            raise BundleError(f"{path}: {name} is not the file that {MANIFEST} describes")


def _read_folder(path: Path) -> dict[str, bytes]:
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    for file in files:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            raise BundleError(f"{file}: a bundle holds plain files of at most {MAX_FILE_BYTES} bytes")
    return {file.name: file.read_bytes() for file in files}


def _read_tar(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isdir():
                    continue
                size = sum(map(len, contents.values())) + member.size
                if not member.isfile() or "/" in name or name in contents or size > MAX_FILE_BYTES:
                    raise BundleError(f"{path}: {name[:80]!r} has no place in a bundle (flat, plain files only)")
                extracted = tar.extractfile(member)
                contents[name] = extracted.read() if extracted else b""
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such bundle") from error
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BundleError(f"{path}: neither a folder nor a tar: {error}") from error
    return contents


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number here")
