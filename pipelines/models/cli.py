"""`gleaner model`: build, pack and look at bundles. Data on stdout, talk on stderr."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pipelines.models.build import build_digits
from pipelines.models.pack import PROJECTION_DIMS, pack, read_description
from pipelines.models.show import show
from pipelines.models.validation import load_validation
from schemas.embedding import Codec
from schemas.errors import BundleError, GleanerError

app = typer.Typer(help="Build, pack and look at model bundles.", no_args_is_help=True)

USAGE_EXIT: Final = 2


class Builtin(StrEnum):
    """Models that can be built from nothing."""

    DIGITS = "digits"


Out = Annotated[Path, typer.Option("--out", help="Folder for the bundle: new or empty.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def build(
    what: Annotated[Builtin, typer.Argument(help="Which model.")],
    out: Out,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the training.")] = 0,
    quantized: Annotated[bool, typer.Option(help="Bundle the int8 model, not the float32 one.")] = True,
    embedding_codec: Annotated[Codec, typer.Option(help="How the embedding travels.")] = Codec.I8,
    version: Annotated[int, typer.Option(min=1, help="Counter of the bundle; devices never go back.")] = 1,
    as_json: Json = False,
) -> None:
    """Train a model from data at hand, quantize it and write its bundle."""
    with _one_clear_line():
        typer.echo(f"building {what} (seed {seed}) …", err=True)
        report = build_digits(out, seed=seed, quantized=quantized, embedding_codec=embedding_codec, version=version)
        _print(asdict(report), as_json)


@app.command(name="pack")
def pack_command(
    model: Annotated[Path, typer.Argument(help="An ONNX classifier.")],
    description: Annotated[Path, typer.Option("--manifest", help="A bundle.json without `files`.")],
    validation: Annotated[Path, typer.Option(help="A .npz with `samples` and, if known, `labels`.")],
    out: Out,
    embedding_tensor: Annotated[str, typer.Option(help="Inner tensor to expose as the embedding.")] = "",
    projection_dims: Annotated[int, typer.Option(min=1, help="Values that travel with pca-i8.")] = PROJECTION_DIMS,
    as_json: Json = False,
) -> None:
    """Make a bundle of a model of your own."""
    with _one_clear_line():
        packed = pack(
            model=_bytes(model),
            description=read_description(description),
            validation=load_validation(validation),
            folder=out,
            embedding_tensor=embedding_tensor,
            projection_dims=projection_dims,
        )
        _print(asdict(packed), as_json)


@app.command(name="show")
def show_command(
    bundle: Annotated[Path, typer.Argument(help="A bundle: folder or tar.")],
    as_json: Json = False,
) -> None:
    """Print what a bundle is, every file verified."""
    with _one_clear_line():
        _print(asdict(show(bundle)), as_json)


@contextmanager
def _one_clear_line() -> Iterator[None]:
    """An expected error as one line on stderr, and exit 2."""
    try:
        yield
    except GleanerError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE_EXIT) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror}") from error


def _print(facts: dict[str, Any], as_json: bool) -> None:
    """The facts as one JSON object, or a line for each."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_readable(value)}")


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
