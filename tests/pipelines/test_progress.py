"""Progress: what is committed, as others read it; behind the truth at most, never ahead."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import progress
from pipelines.progress import Progress


def test_nothing_is_committed_at_first(tmp_path: Path) -> None:
    assert progress.read(tmp_path) == {}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**63 - 1)), max_size=8))
def test_the_last_word_on_each_partition_is_read(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    mine = Progress(folder)
    for place, (partition, offset) in enumerate(told):
        mine.published(partition, offset)
        assert progress.read(folder) == dict(told[: place + 1])


def test_a_restart_keeps_what_the_other_partitions_had_committed(tmp_path: Path) -> None:
    Progress(tmp_path).published(0, 5)
    Progress(tmp_path).published(1, 7)
    assert progress.read(tmp_path) == {0: 5, 1: 7}


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '{"x": 1}', '{"0": "y"}', '{"0": null}', "\x00\x00"])
def test_a_file_that_was_cut_off_counts_as_no_progress(content: str, tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(content)
    assert progress.read(tmp_path) == {}
    Progress(tmp_path).published(0, 1)
    assert progress.read(tmp_path) == {0: 1}


def test_a_draft_that_was_never_finished_is_not_read(tmp_path: Path) -> None:
    Progress(tmp_path).published(0, 1)
    (tmp_path / "progress.new").write_text('{"0": 99')
    assert progress.read(tmp_path) == {0: 1}
