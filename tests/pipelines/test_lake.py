"""The lake: rows are published once, whole, under names that follow from what they are, whatever crashes."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.tabulate import tabulate
from pipelines.lake import tables_of
from pipelines.marker import Marker, read_marker
from pipelines.views import connect
from schemas.errors import LakeError
from schemas.tables import INFERENCES, SCHEMA_VERSION, TABLES
from schemas.topics import is_name
from tests.pipelines.lakes import FolderLake, inference, rows_of

Tables = dict[str, list[pa.RecordBatch]]
FIRST = {"inferences": [tabulate(INFERENCES, [inference(0), inference(1)])]}
SECOND = {"inferences": [tabulate(INFERENCES, [inference(2), inference(3, model="0042")])]}
NAME = "inferences/model=digits/date=2023-11-14/part-005-000000000007.parquet"


@pytest.fixture
def made(tmp_path: Path) -> FolderLake:
    return FolderLake(tmp_path / "lake", tmp_path / "staging")


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the markers, by its relative name."""
    found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("_")}


def seqs(root: Path) -> list[int]:
    return [seq for (seq,) in connect(root).execute("select seq from inferences order by seq").fetchall()]


def test_nothing_is_in_the_lake_before_it_is_published(made: FolderLake) -> None:
    assert made.stage(5, 7, FIRST)
    assert files(made.root) == {}
    assert not made.holds_rows()
    assert made.put(5, 8) == ["inferences"]
    assert list(files(made.root)) == [NAME]
    assert made.holds_rows()


def test_no_rows_make_no_file(made: FolderLake, tmp_path: Path) -> None:
    assert not made.stage(0, 0, {"inferences": [tabulate(INFERENCES, [])]})
    assert not made.stage(0, 0, {})
    assert files(tmp_path) == {}
    assert tables_of([("inferences", tabulate(INFERENCES, []))]) == {}


def test_a_model_can_not_be_named_as_sql_names_nothing() -> None:
    assert is_name("nul")
    assert not is_name("null")


def test_only_what_is_below_the_number_is_published_and_only_of_the_partition(made: FolderLake) -> None:
    for seq in range(3):
        made.stage(1, seq, FIRST)
    made.stage(2, 0, FIRST)
    assert len(made.put(1, 2)) == 2
    assert sorted(name.rpartition("/")[2] for name in files(made.root)) == [
        "part-001-000000000000.parquet",
        "part-001-000000000001.parquet",
    ]


def test_rolling_back_forgets_only_what_was_not_committed(made: FolderLake) -> None:
    for seq in range(4):
        made.stage(1, seq, FIRST)
    made.stage(2, 3, FIRST)
    made.roll_back(1, 2)
    assert len(made.put(1, 100)) == 2
    assert len(made.put(2, 100)) == 1


def _publish_and_stop(steps: int) -> Callable[[FolderLake], None]:
    def crash(lake: FolderLake) -> None:
        published = lake.publish(0, Marker(log="log", seq=1, offset=1))
        for _ in range(steps):
            next(published)

    return crash


def _published_but_still_staged(lake: FolderLake) -> None:
    """As a copy to another file system leaves it, before the staged file is deleted."""
    staged = lake._staging / "000" / f"{0:012d}"
    shutil.copytree(staged, lake.root, dirs_exist_ok=True)


def _half_a_copy(lake: FolderLake) -> None:
    """A copy to another file system that was cut off."""
    (lake.root / "_incoming").mkdir()
    (lake.root / "_incoming" / "part-000-000000000000.parquet").write_bytes(b"PAR1 half")


def _half_a_file_of_the_next(lake: FolderLake) -> None:
    """The next epoch's file, cut off while it was written."""
    path = lake._staging / "000" / f"{1:012d}" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 half")


def _whole_file_of_the_next(lake: FolderLake) -> None:
    """The next epoch's file, whole, but its commit never came."""
    lake.stage(0, 1, FIRST)


def _nothing(lake: FolderLake) -> None:
    """The crash came at once."""


CRASHES = (
    _nothing,
    _publish_and_stop(1),
    _publish_and_stop(2),
    _published_but_still_staged,
    _half_a_copy,
    _half_a_file_of_the_next,
    _whole_file_of_the_next,
)


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_at_any_point_ends_in_the_same_files_and_rows(
    crash: Callable[[FolderLake], None], tmp_path: Path
) -> None:
    expected, found = (FolderLake(tmp_path / name / "lake", tmp_path / name / "staging") for name in ("good", "bad"))
    three = {"inferences": [*FIRST["inferences"], *SECOND["inferences"]], "gaps": []}
    for lake in (expected, found):
        lake.stage(0, 0, three)
    crash(found)
    found = FolderLake(found.root, found._staging)  # the next start: committed up to 1
    for lake in (expected, found):
        lake.roll_back(0, 1)
        lake.put(0, 1)
        lake.stage(0, 1, {"inferences": [tabulate(INFERENCES, [inference(9)])]})
        lake.put(0, 2)
    assert files(found.root) == files(expected.root)
    assert seqs(found.root) == [0, 1, 2, 3, 9]
    assert not any(path.is_file() for path in found._staging.rglob("*"))


def test_the_marker_says_what_is_in_the_lake_and_is_no_row(made: FolderLake) -> None:
    assert made.marker(5) == Marker()
    for seq in range(40):
        made.stage(5, seq, FIRST)
    list(made.publish(5, Marker(log="log", seq=39, offset=1000)))
    assert read_marker(made.store, 5) == Marker(log="log", seq=39, offset=1000)
    assert made.staged(5) == [39]
    assert len(seqs(made.root)) == 39 * 2


@pytest.mark.parametrize("steps", range(1, 80, 13))
def test_each_row_is_on_local_disk_or_below_the_marker_wherever_publishing_stops(steps: int, made: FolderLake) -> None:
    for seq in range(40):
        made.stage(5, seq, SECOND)
    published = made.publish(5, Marker(log="log", seq=40, offset=1000))
    for _ in range(steps):
        next(published)
    marker = read_marker(made.store, 5)
    assert set(range(marker.seq, 40)) <= set(made.staged(5))
    assert marker.offset == 0


def test_a_marker_never_goes_back_in_the_same_log_and_begins_anew_with_another(made: FolderLake) -> None:
    for marker in (Marker(log="a", seq=1, offset=50), Marker(log="a", seq=2, offset=10)):
        made.stage(5, marker.seq - 1, FIRST)
        list(made.publish(5, marker))
    assert read_marker(made.store, 5) == Marker(log="a", seq=2, offset=50)
    list(made.publish(5, Marker(log="b", seq=2, offset=3)))
    assert read_marker(made.store, 5) == Marker(log="b", seq=2, offset=3)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"format": 2}', b'{"format": 1, "log": "x"}', b"\xff"])
def test_a_marker_that_can_not_be_read_is_an_error_and_not_an_empty_lake(content: bytes, made: FolderLake) -> None:
    made.store.put("_gleaner/part-005.json", content)
    with pytest.raises(LakeError, match="part-005"):
        made.marker(5)


def test_what_waits_is_counted_over_a_restart(made: FolderLake, tmp_path: Path) -> None:
    made.stage(5, 0, FIRST)
    made.stage(5, 1, SECOND)
    size = sum(path.stat().st_size for path in (tmp_path / "staging").rglob("*.parquet"))
    assert made.staged_bytes == FolderLake(made.root, tmp_path / "staging").staged_bytes == size > 0
    made.put(5, 2)
    assert made.staged_bytes == 0


def test_publishing_over_what_is_there_changes_nothing(made: FolderLake) -> None:
    made.stage(5, 7, FIRST)
    made.put(5, 8)
    before = files(made.root)
    made.stage(5, 7, FIRST)
    made.put(5, 8)
    assert files(made.root) == before


def test_a_lake_on_another_file_system_gets_the_same_files(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is not another file system here")
    with tempfile.TemporaryDirectory(dir=other) as root:
        far = FolderLake(Path(root), tmp_path / "staging")
        near = FolderLake(tmp_path / "near", tmp_path / "staging-near")
        for lake in (far, near):
            lake.stage(5, 7, FIRST)
            lake.put(5, 8)
        assert files(far.root) == files(near.root)
        assert files(tmp_path / "staging") == {}


WRITER = """
import sys
from pathlib import Path
from tests.pipelines.lakes import FolderLake
from tests.pipelines.test_lake import FIRST
lake = FolderLake(Path(sys.argv[1]) / "lake", Path(sys.argv[1]) / "staging")
for seq in range(10**9):
    lake.stage(0, seq, FIRST)
    print(seq, flush=True)
    lake.put(0, seq + 1)
"""


def test_kill_9_leaves_whole_files_only(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    for _ in range(5):
        child.stdout.readline()
    child.kill()
    committed = 5 + child.communicate()[0].count("\n")
    lake = FolderLake(tmp_path / "lake", tmp_path / "staging")
    lake.roll_back(0, committed)
    lake.put(0, committed)
    assert sorted(seqs(lake.root)) == [0] * committed + [1] * committed


def test_rows_of_several_models_and_dates_go_to_a_folder_each(made: FolderLake) -> None:
    rows = [inference(seq, model=model, date=day) for seq in range(3) for model in ("a", "b", "7") for day in (1, 2)]
    made.stage(0, 0, {"inferences": [tabulate(INFERENCES, rows[::2]), tabulate(INFERENCES, rows[1::2])]})
    made.put(0, 1)
    assert sorted(str(Path(name).parent) for name in files(made.root)) == [
        f"inferences/model={model}/date=1970-01-0{day + 1}" for model in ("7", "a", "b") for day in (1, 2)
    ]
    counted = connect(made.root).execute("select model, date, count(*) from inferences group by all order by all")
    assert [row[2] for row in counted.fetchall()] == [3] * 6


def test_rows_are_sorted_inside_a_file(made: FolderLake) -> None:
    places = [("b", 5), ("a", 9), ("b", 1), ("c", 0), ("a", 2), ("a", 2)]
    rows = [inference(place, device=device, time=time) for place, (device, time) in enumerate(places)]
    batches = [tabulate(INFERENCES, rows[:3]), tabulate(INFERENCES, rows[3:])]  # whose words have other codes
    made.stage(5, 7, {"inferences": batches})
    made.put(5, 8)
    told = pq.ParquetFile(made.root / NAME).read(["device", "time", "seq"]).to_pylist()
    assert [(row["device"], row["seq"]) for row in told] == [("a", 4), ("a", 5), ("a", 1), ("b", 2), ("b", 0), ("c", 3)]


def test_a_file_says_which_table_and_schema_it_is_of(made: FolderLake) -> None:
    made.stage(5, 7, FIRST)
    made.put(5, 8)
    metadata = pq.read_metadata(made.root / NAME).metadata
    assert metadata[b"gleaner.table"] == b"inferences"
    assert metadata[b"gleaner.schema"] == str(SCHEMA_VERSION).encode()


def test_the_same_rows_make_the_same_bytes(made: FolderLake, tmp_path: Path) -> None:
    again = FolderLake(tmp_path / "again", tmp_path / "again-staging")
    for lake in (made, again):
        lake.stage(5, 7, FIRST)
        lake.put(5, 8)
    assert files(made.root) == files(again.root)


@pytest.mark.parametrize("name", TABLES)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_rows_of_any_table_come_back_as_they_were(name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    rows = data.draw(st.lists(rows_of(table), min_size=1, max_size=6))
    cut = data.draw(st.integers(0, len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        lake = FolderLake(Path(folder) / "lake", Path(folder) / "staging")
        lake.stage(0, 0, tables_of([(name, tabulate(table, some)) for some in (rows[:cut], rows[cut:])]))
        lake.put(0, 1)
        columns = table.schema.names
        answer = connect(lake.root).execute(f"select {', '.join(columns)} from {name}").fetchall()
        written = [dict(zip(columns, row, strict=True)) for row in answer]
        assert sorted(map(_comparable, written)) == sorted(map(_comparable, rows))


def _comparable(row: dict[str, Any]) -> str:
    return str(
        [(name, value.timestamp() if isinstance(value, datetime) else value) for name, value in sorted(row.items())]
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_same_columns_and_types_with_files_and_without(name: str, tmp_path: Path) -> None:
    table = TABLES[name]
    empty, full = (FolderLake(tmp_path / kind / "lake", tmp_path / kind / "staging") for kind in ("empty", "full"))
    nulls = {field.name: None for field in table.schema} | {"date": 0, "device": "d", "model": "m"}
    row = {key: value for key, value in nulls.items() if key in table.schema.names}
    full.stage(0, 0, {name: [tabulate(table, [row])]})
    full.put(0, 1)
    described = [connect(lake.root).execute(f"describe {name}").fetchall() for lake in (empty, full)]
    assert [row[:2] for row in described[0]] == [row[:2] for row in described[1]]
    assert connect(empty.root).execute(f"select count(*) from {name}").fetchone() == (0,)


@pytest.mark.parametrize("which", ["lake", "staging"])
def test_a_folder_that_can_not_be_made_is_an_error(which: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = {"lake": tmp_path / "lake", "staging": tmp_path / "staging"} | {which: tmp_path / "file" / "x"}
    with pytest.raises(LakeError, match=r"file/x: can't be created"):
        FolderLake(places["lake"], places["staging"])


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lake").touch()
    with pytest.raises(LakeError, match="lake: can't be created"):
        FolderLake(tmp_path / "lake", tmp_path / "staging")


def test_a_folder_that_must_not_be_written_is_an_error(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "lake").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(LakeError, match="not writable"):
        FolderLake(tmp_path / "lake", tmp_path / "staging")
