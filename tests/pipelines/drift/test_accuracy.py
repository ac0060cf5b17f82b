"""Accuracy: by confidence alone where there are no labels, and by labels the more of them there are."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.expected_accuracy import accuracies, expected_accuracy
from operators.panes import layout_of
from pipelines.drift.accuracy import Accuracy, accuracy_of
from pipelines.drift.history import history_of
from pipelines.references import References
from pipelines.views import connect
from tests.pipelines.drifting import START, WINDOW_US, Drifted
from tests.pipelines.lakes import at, lake, word

NORTH = ("drawn", 1, "site", "north")
SOUTH = ("drawn", 1, "site", "south")
BEGIN = START + 8 * WINDOW_US


def labelled(drifted: Drifted, folder: Path, said: list[tuple[dict[str, Any], str]]) -> Path:
    """The lake, with these words of people in it."""
    words = [
        word(row["seq"], kind, device=row["device"], class_id=9, log_offset=5000 + place)
        for place, (row, kind) in enumerate(said)
    ]
    root = lake(folder, {"feedback": words})
    for each in drifted.root.iterdir():
        if not each.name.startswith("_"):
            (root / each.name).symlink_to(each)
    return root


def of_site(drifted: Drifted, site: str, begin: int = BEGIN) -> list[dict[str, Any]]:
    return [row for row in drifted.rows if row["site"] == site and row["time"] >= begin]


def test_without_labels_it_is_what_the_confidence_bins_say(drifted: Drifted) -> None:
    with connect(drifted.root) as connection:
        found = accuracy_of(connection, {NORTH: at(BEGIN), SOUTH: at(BEGIN)}, drifted.references)
        own = drifted.references.bundled["drawn", 1]
        layout = layout_of(own.scale)
        known = accuracies(own.labelled, own.correct, own.scale.confidence_edges)
        assert known is not None
        for cohort, told in found.items():
            counts = history_of(connection, cohort, layout.width, since=at(BEGIN)).panes[:, layout.at["confidence"]]
            expected = expected_accuracy(known, counts.sum(axis=0))
            assert (told.labelled, told.correct) == (0, 0)
            assert (told.value, told.error) == pytest.approx((float(expected.value), float(expected.error)))
    assert found[NORTH].value < found[SOUTH].value


def test_with_every_row_labelled_it_is_the_share_that_was_right(drifted: Drifted, tmp_path: Path) -> None:
    rows = of_site(drifted, "south")
    said = [(row, "confirmed" if place % 4 else "corrected") for place, row in enumerate(rows)]
    found = accuracy_of(connect(labelled(drifted, tmp_path, said)), {SOUTH: at(BEGIN)}, drifted.references)[SOUTH]
    right = sum(kind == "confirmed" for _, kind in said)
    assert (found.labelled, found.correct) == (len(rows), right)
    assert found.value == pytest.approx(right / len(rows), abs=0.02)


def test_labels_that_disagree_with_confidence_pull_it_towards_them(drifted: Drifted, tmp_path: Path) -> None:
    before = accuracy_of(connect(drifted.root), {SOUTH: at(BEGIN)}, drifted.references)[SOUTH]
    values = [before.value]
    for n in (5, 40, 200):
        rows = of_site(drifted, "south")
        chosen = np.random.default_rng(3).permutation(len(rows))[:n]
        said = [(rows[at], "corrected" if place % 2 else "confirmed") for place, at in enumerate(chosen)]
        connection = connect(labelled(drifted, tmp_path / str(n), said))
        found = accuracy_of(connection, {SOUTH: at(BEGIN)}, drifted.references)[SOUTH]
        values.append(found.value)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0.5, abs=0.08)


def test_labels_of_other_cohorts_times_and_clocks_do_not_count(drifted: Drifted, tmp_path: Path) -> None:
    early = [row for row in drifted.rows if row["site"] == "south" and row["time"] < BEGIN]
    said = [(row, "corrected") for row in [*of_site(drifted, "north"), *early]]
    connection = connect(labelled(drifted, tmp_path, said))
    assert accuracy_of(connection, {SOUTH: at(BEGIN)}, drifted.references)[SOUTH].labelled == 0


def test_where_nobody_knows_how_often_the_model_was_right_nothing_is_told(drifted: Drifted, tmp_path: Path) -> None:
    with connect(drifted.root) as connection:
        assert accuracy_of(connection, {NORTH: at(BEGIN)}, References({}, {})) == {}
        later = datetime(2030, 1, 1, tzinfo=UTC)
        found: dict[Any, Accuracy] = accuracy_of(connection, {NORTH: later}, drifted.references)
        assert found == {}
        assert accuracy_of(connection, {}, drifted.references) == {}
