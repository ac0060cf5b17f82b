"""Planning: what the flow decides by, from settings and model bundles."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np

from operators.budget import Budget
from operators.cohorts import levels
from operators.decode import Clock
from operators.detectors.registry import second_opinions as known
from operators.requests import Patience
from operators.validate import ModelShape
from operators.watch import Policy
from pipelines.gleaning import Plan
from pipelines.references import load_references
from pipelines.settings import Settings
from schemas import bundle, wire
from schemas.embedding import Codec
from schemas.errors import BundleError

_DAY: Final = timedelta(days=1)


def load_bundles(folder: Path) -> list[bundle.Bundle]:
    """Every bundle below `folder`: folders with a manifest, and tars."""
    if not folder.is_dir():
        return []
    found = sorted({path.parent for path in folder.rglob(bundle.MANIFEST)} | set(folder.rglob("*.tar")))
    bundles = [bundle.read(path) for path in found]
    ids = [(each.manifest.name, each.manifest.version) for each in bundles]
    for name, version in ids:
        if ids.count((name, version)) > 1:
            raise BundleError(f"{folder}: model {name} version {version} is there twice; raise the version of one")
    return bundles


def plan_of(settings: Settings, partitions: int, bundles: list[bundle.Bundle]) -> Plan:
    """What the flow decides by, from settings and bundles."""
    drift, choice = settings.drift, settings.select
    shapes = {}
    for each in bundles:
        manifest = each.manifest
        shape = ModelShape(labels=len(manifest.labels), codec=manifest.embedding_codec, dims=_dims(each))
        shapes[manifest.name, manifest.version] = shape
    return Plan(
        partitions=partitions,
        limits=wire.Limits(payload_bytes=settings.wire.max_payload_bytes, rows=settings.wire.max_rows),
        clock=Clock(skew_us=_us(settings.wire.clock_skew), horizon_us=_us(settings.wire.clock_horizon)),
        shapes=shapes,
        references=load_references(bundles, settings.references_dir),
        policy=Policy(
            levels=levels(drift.by),
            window_us=_us(drift.window),
            grace_us=_us(drift.grace),
            round_us=_us(drift.round),
            horizon_us=_us(drift.horizon),
            interval_windows=drift.false_alarm_days * (_DAY / drift.window),
            max_cohorts=drift.max_cohorts,
            first_events=drift.first_events,
            silence_us=_us(drift.silence),
            opinions=known(drift.second_opinions),
        ),
        budget=Budget(
            labels=choice.labels_per_hour,
            bytes=choice.bytes_per_hour,
            device_labels=choice.labels_per_device_hour,
            control_share=choice.control_share,
        ),
        select_round_us=_us(choice.round),
        select_seed=choice.seed,
        patience=Patience(retry_us=_us(settings.requests.retry), expire_us=_us(settings.requests.expire)),
    )


def _dims(of: bundle.Bundle) -> int:
    """Values of an embedding as it travels: a projection has a row for the mean, and one for each of them."""
    if of.manifest.embedding_codec is not Codec.PCA_I8:
        return of.manifest.embedding_dims
    try:
        return len(np.load(io.BytesIO(of.contents[bundle.PROJECTION]), allow_pickle=False)) - 1
    except (ValueError, EOFError, TypeError) as error:
        raise BundleError(f"{of.manifest.name}: {bundle.PROJECTION} is not an array: {error}") from error


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
