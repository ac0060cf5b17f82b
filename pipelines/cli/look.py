"""Looking inside: `status`, `decode` and `config`."""

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from google.protobuf import json_format

from pipelines import progress
from pipelines.cli.context import JsonOption, context_of, print_object, print_rows
from pipelines.log import LogReader, partitions_of
from pipelines.settings import Settings
from schemas import wire
from schemas.embedding import CODECS, decode
from schemas.envelope import parse
from schemas.errors import InputError, Rejected
from schemas.topics import Up, parse_up
from schemas.wire_pb2 import Feedback, Gaps, Hello, Inferences, Sample, Status

_KINDS: dict[str, Any] = {
    Up.INFERENCES: Inferences,
    Up.SAMPLES: Sample,
    Up.GAPS: Gaps,
    Up.HELLO: Hello,
    Up.STATUS: Status,
    Up.FEEDBACK: Feedback,
}


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """How far the lake is behind the log, partition by partition, and how much of its quota the log has used."""
    settings = context_of(context).settings()
    published = progress.read(settings.data_dir)
    partitions = range(partitions_of(settings.log_dir))
    rows = [_state(settings.log_dir, partition, published.get(partition, 0)) for partition in partitions]
    print_rows(("partition", "logged", "published", "behind", "oldest_s", "bytes"), rows, as_json)
    used, most = sum(row[-1] for row in rows), settings.log.max_bytes
    sys.stderr.write(f"the log takes {used:,} of {most:,} bytes ({used / most:.0%} of log.max_bytes)\n")


def _state(folder: Path, partition: int, published: int) -> tuple[int, int, int, int, float | None, int]:
    """What `status` tells of a partition; nothing is old where nothing waits."""
    with closing(LogReader(folder, partition)) as reader:
        end, waiting = reader.end(), reader.first(after=published)
        age = round(max(0.0, time.time() - waiting[1] / 1e6), 1) if waiting else None
        return partition, end, published, max(0, end - published), age, reader.used_bytes()


def decode_command(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A file with one payload, - for standard input, or PARTITION:OFFSET of the log.")
    ],
    kind: Annotated[str, typer.Option(help="What it is, where the log does not say.")] = Up.INFERENCES.value,
) -> None:
    """Show one message as JSON, columns and all."""
    settings = context_of(context).settings()
    payload, kind = _payload(settings, source, kind)
    if kind not in _KINDS:
        raise InputError(f"--kind {kind}: one of {', '.join(_KINDS)}")
    try:
        message = parse(_KINDS[kind], payload, settings.wire.max_payload_bytes)
        if kind == Up.INFERENCES:
            _check_columns(payload, settings)
    except Rejected as error:
        raise InputError(f"{source}: {error}") from error
    shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
    print_object(shown | (_columns(message) if kind == Up.INFERENCES else {}))


def config(context: typer.Context, as_json: JsonOption = False) -> None:
    """Every setting and its value; secrets as stars."""
    settings = json.loads(context_of(context).settings().model_dump_json())
    if as_json:
        print_object(settings)
        return
    for section, values in settings.items():
        if isinstance(values, dict):
            sys.stdout.write(f"\n[{section}]\n")
            sys.stdout.writelines(_line(key, value) for key, value in values.items())
        else:
            sys.stdout.write(_line(section, values))


def _line(key: str, value: Any) -> str:
    """A setting as TOML; its texts and numbers are those of JSON, but without surrogate pairs and bare DEL."""
    told = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"# {key} is not set\n" if value is None else f"{key} = {told}\n"


def _payload(settings: Settings, source: str, kind: str) -> tuple[bytes, str]:
    partition, colon, offset = source.partition(":")
    if colon and _is_number(partition) and _is_number(offset):
        return _from_log(settings, int(partition), int(offset))
    try:
        return (sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()), kind
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19  # SQLite's integers have 64 bits


def _from_log(settings: Settings, partition: int, offset: int) -> tuple[bytes, str]:
    reader = LogReader(settings.log_dir, partition)
    batches, _ = reader.read(offset - 1, 1, 1)
    reader.close()
    for records in batches:
        if records.offsets == [offset]:
            try:
                return records.payloads[0], parse_up(records.topics[0]).kind.value
            except Rejected as error:
                raise InputError(f"{partition}:{offset}: {error}") from error
    raise InputError(f"{partition}:{offset}: no message there; `gleaner status` shows what the log holds")


def _check_columns(payload: bytes, settings: Settings) -> None:
    limits = wire.Limits(payload_bytes=settings.wire.max_payload_bytes, rows=settings.wire.max_rows)
    for refused in wire.decode([payload], limits).refused:
        raise refused.error


def _columns(message: Inferences) -> dict[str, Any]:
    """The packed columns as lists of numbers."""
    n, k = message.count, message.top_k
    codec = CODECS[message.embedding_codec]
    scale = np.frombuffer(message.embedding_scale, "<f4")
    return {
        "stream": message.stream.hex(),
        "embedding_codec": str(codec),
        "device_time_delta": np.frombuffer(message.device_time_delta, "<i4").tolist(),
        "class_ids": np.frombuffer(message.class_ids, "<u2").reshape(n, k).tolist(),
        "scores": np.frombuffer(message.scores, "<f4").astype(float).reshape(n, k).round(6).tolist(),
        "entropy": np.frombuffer(message.entropy, "<f4").astype(float).round(6).tolist(),
        "embedding": decode(message.embedding, scale, codec, message.embedding_dims).astype(float).round(5).tolist(),
        "embedding_scale": scale.tolist(),
        "sample_digest": [message.sample_digest[i * 32 : i * 32 + 32].hex() for i in range(n)],
        "sample_bytes": np.frombuffer(message.sample_bytes, "<u4").tolist(),
        "latency_us": np.frombuffer(message.latency_us, "<u4").tolist(),
    }


decode_command.__name__ = "decode"
COMMANDS = (status, decode_command, config)
