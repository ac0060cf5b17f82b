"""Blessed references stand in for the bundle's, for the whole model or one cohort, if they count on the same scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog

from operators.bless import bless
from operators.panes import layout_of
from operators.reference import BLESSED, VALIDATION, Reference
from operators.reference_file import to_parquet_bytes
from pipelines.references import References, bless_file, file_name, load_references
from schemas.bundle import REFERENCE, Bundle, Manifest, Preprocessing
from schemas.errors import BundleError
from tests.operators.references import LABELS, draw_rows, reference_of, same, small_reference
from tests.operators.test_bless import windows


def bundle_of(reference: Reference | None, version: int = 1) -> Bundle:
    """A bundle whose model is never opened."""
    manifest = Manifest(
        name="drawn",
        version=version,
        labels=LABELS,
        input_name="x",
        scores_output="y",
        preprocessing=Preprocessing(width=1, height=1),
    )
    return Bundle(manifest, {} if reference is None else {REFERENCE: to_parquet_bytes(reference)})


@pytest.fixture
def references() -> References:
    return load_references([bundle_of(small_reference())], Path("/nowhere"))


def test_without_blessed_ones_every_cohort_has_the_bundles(references: References) -> None:
    found = references.of("drawn", 1, "site", "north")
    assert found is not None
    assert (found.source, same(found, small_reference())) == (VALIDATION, True)
    assert references.scale("drawn", 1) is references.scales["drawn", 1] is found.scale


def test_a_model_without_a_reference_is_counted_on_the_universal_scale() -> None:
    none = load_references([bundle_of(None)], Path("/nowhere"))
    assert none.of("drawn", 1, "site", "north") is None
    assert (none.scales, none.scale("drawn", 1).labels) == ({}, ())
    assert none.scale("drawn", 1) is none.scale("other", 7)


def test_the_nearest_blessed_reference_is_taken(tmp_path: Path, references: References) -> None:
    folder, panes = tmp_path / "references", windows(small_reference())
    bless_file(folder, references, panes[:4], model="drawn", version=1)
    bless_file(folder, references, panes[4:5], model="drawn", version=1, level="site", cohort="north")
    now = load_references([bundle_of(small_reference())], folder)
    rows = {}
    for level, cohort in (("site", "north"), ("site", "south"), ("site/device", "north/cam-1"), ("fleet", "fleet")):
        found = now.of("drawn", 1, level, cohort)
        assert found is not None
        assert found.source == BLESSED
        assert found.scale is now.scales["drawn", 1]
        rows[level, cohort] = found.rows
    assert list(rows.values()) == [100, 400, 400, 400]
    assert now.of("drawn", 2, "site", "north") is None
    assert now.bundled["drawn", 1].source == VALIDATION


def test_blessing_again_starts_from_the_bundle_and_replaces_the_file(tmp_path: Path, references: References) -> None:
    panes = windows(small_reference())
    first = bless_file(tmp_path, references, panes[:1], model="drawn", version=1)
    now = load_references([bundle_of(small_reference())], tmp_path)
    again = bless_file(tmp_path, now, panes[1:], model="drawn", version=1)
    assert (first.rows, again.rows) == (100, 700)
    assert [path.name for path in tmp_path.iterdir()] == ["drawn-1.parquet"]
    found = load_references([bundle_of(small_reference())], tmp_path).of("drawn", 1, "", "")
    assert found is not None
    assert same(found, again)


@pytest.mark.parametrize(
    ("level", "cohort", "name"),
    [
        ("", "", "drawn-1.parquet"),
        ("site", "north", "drawn-1@site=north.parquet"),
        ("site/device", "a/../b", "drawn-1@site%2Fdevice=a%2F..%2Fb.parquet"),
        ("attributes.lens", "wide = ä", "drawn-1@attributes.lens=wide%20%3D%20%C3%A4.parquet"),
    ],
)
def test_a_file_is_named_for_its_cohort_and_leads_nowhere_else(
    tmp_path: Path, references: References, level: str, cohort: str, name: str
) -> None:
    folder = tmp_path / "references"
    blessed = bless_file(
        folder, references, windows(small_reference()), model="drawn", version=1, level=level, cohort=cohort
    )
    assert [path.name for path in folder.iterdir()] == [name] == [file_name(blessed)]
    now = load_references([bundle_of(small_reference())], folder)
    assert list(now.blessed) == [("drawn", 1, level, cohort)]


def test_long_names_stay_apart_and_short_enough_for_a_file(tmp_path: Path, references: References) -> None:
    for end in "ab":
        cohort = "ä" * 200 + end
        bless_file(tmp_path, references, windows(small_reference()), model="drawn", version=1, level="x", cohort=cohort)
    assert len(load_references([bundle_of(small_reference())], tmp_path).blessed) == 2
    assert all(len(path.name) < 220 for path in tmp_path.iterdir())


def test_another_scale_is_an_error_at_the_start(tmp_path: Path, references: References) -> None:
    bless_file(tmp_path, references, windows(small_reference()), model="drawn", version=1)
    with pytest.raises(BundleError, match=r"drawn-1\.parquet: counts on another scale"):
        load_references([bundle_of(reference_of(draw_rows(300, seed=3)))], tmp_path)


def test_one_whose_model_is_gone_is_left_out_and_said(tmp_path: Path, references: References) -> None:
    bless_file(tmp_path, references, windows(small_reference()), model="drawn", version=1)
    with structlog.testing.capture_logs() as said:
        found = load_references([], tmp_path)
    assert found.blessed == {}
    assert "left out" in said[0]["event"]


def test_a_file_of_another_name_or_none_blessed_is_refused(tmp_path: Path, references: References) -> None:
    bless_file(tmp_path, references, windows(small_reference()), model="drawn", version=1)
    (tmp_path / "drawn-1.parquet").rename(tmp_path / "drawn-2.parquet")
    with pytest.raises(BundleError, match=r"drawn-2\.parquet: .* belongs into drawn-1\.parquet"):
        load_references([], tmp_path)
    (tmp_path / "drawn-2.parquet").unlink()
    (tmp_path / "drawn-1.parquet").write_bytes(to_parquet_bytes(small_reference()))
    with pytest.raises(BundleError, match="no blessed reference"):
        load_references([], tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "drawn-1.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(BundleError, match=r"drawn-1\.parquet is damaged"):
        load_references([], tmp_path)
    with pytest.raises(BundleError, match=r"drawn 1: reference\.parquet is damaged"):
        load_references([Bundle(bundle_of(None).manifest, {REFERENCE: b"PAR1"})], Path("/nowhere"))


def test_a_draft_that_a_crash_left_is_no_reference(tmp_path: Path) -> None:
    blessed = bless(small_reference(), windows(small_reference()))
    (tmp_path / "drawn-1.parquet.new").write_bytes(to_parquet_bytes(blessed)[:100])
    assert load_references([bundle_of(small_reference())], tmp_path).blessed == {}


def test_windows_of_a_model_without_a_bundle_are_not_blessed(tmp_path: Path, references: References) -> None:
    with pytest.raises(BundleError, match="stranger 1: no bundle"):
        bless_file(tmp_path / "r", references, np.zeros((1, 3), np.int64), model="stranger", version=1)
    assert not (tmp_path / "r").exists()


def test_a_blessed_cohort_without_a_level_is_refused(tmp_path: Path, references: References) -> None:
    panes = windows(small_reference())
    assert panes.shape[1] == layout_of(small_reference().scale).width
    with pytest.raises(BundleError, match="level and cohort go together"):
        bless_file(tmp_path, references, panes, model="drawn", version=1, cohort="north")
    impossible = replace(small_reference(), level="site", cohort="north")
    (tmp_path / "x.parquet").write_bytes(to_parquet_bytes(impossible))
    with pytest.raises(BundleError, match="only a blessed reference"):
        load_references([], tmp_path)
