"""SQL over a bucket: the same tables and views, the same answers as over a folder."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fleet import fill
from operators.tabulate import tabulate
from pipelines.lake import Lake
from pipelines.marker import Marker
from pipelines.place import Bucket, Place
from pipelines.store import open_store
from pipelines.views import connect, view_names
from schemas.errors import LakeError, Unavailable
from schemas.tables import TABLES
from tests.factories import NOON
from tests.integration import minio
from tests.integration.service import ask, command, drain
from tests.pipelines.lakes import alarm, hello, inference, sample, selection, verdict, window, word

pytestmark = [pytest.mark.integration, pytest.mark.minio]
STORE_PAGE = Path(__file__).parents[2] / "docs" / "store.md"
ROWS = {
    "inferences": [inference(seq) for seq in range(6)] + [inference(7, model="0123")],
    "windows": [window(place) for place in range(3)],
    "drift": [verdict(place) for place in range(3)],
    "alarms": [alarm(1)],
    "devices": [hello(attributes=[("lens", "wide")])],
    "feedback": [word(1)],
    "samples": [sample(1)],
    "selections": [selection("a", "delivered", NOON)],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with minio.running(tmp_path_factory.mktemp("minio")) as started:
        yield started.bucket


@pytest.fixture
def bucket(server: Bucket, tmp_path: Path) -> Bucket:
    return replace(server, prefix=tmp_path.name)


def filled(place: Place, staging: Path) -> Place:
    made = Lake(open_store(place), staging)
    for seq in range(2):
        made.stage(0, seq, {name: [tabulate(TABLES[name], rows[seq::2])] for name, rows in ROWS.items()})
    list(made.publish(0, Marker(log="log", seq=2, offset=9)))
    return place


def test_every_view_of_a_bucket_has_the_rows_and_types_of_the_same_folder(bucket: Bucket, tmp_path: Path) -> None:
    places = filled(tmp_path / "lake", tmp_path / "one"), filled(bucket, tmp_path / "two")
    in_folder, in_bucket = (connect(place) for place in places)
    for name in view_names():
        for query in (f"select * from {name} order by all", f"describe {name}"):
            assert in_bucket.execute(query).fetchall() == in_folder.execute(query).fetchall()
    assert len(in_bucket.execute("select * from inferences").fetchall()) == 7


def test_tables_of_an_empty_bucket_are_empty_with_their_columns(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    in_folder, in_bucket = connect(tmp_path / "empty"), connect(bucket)
    for name in view_names():
        described = [lake.execute(f"describe {name}").fetchall() for lake in (in_folder, in_bucket)]
        assert described[0] == described[1]
        assert in_bucket.execute(f"select * from {name}").fetchall() == []


def test_a_lake_does_not_see_the_lake_whose_name_begins_as_its_own(bucket: Bucket, tmp_path: Path) -> None:
    filled(replace(bucket, prefix=f"{bucket.prefix}2"), tmp_path / "staging")
    assert ask(bucket, "select * from inferences") == []


def test_what_is_no_parquet_file_is_no_row(bucket: Bucket, tmp_path: Path) -> None:
    open_store(bucket).put("inferences/notes.txt", b"by hand")
    assert ask(bucket, "select * from inferences") == []
    filled(bucket, tmp_path / "staging")
    assert len(ask(bucket, "select * from inferences")) == 7


def test_a_file_that_is_no_parquet_inside_is_named_in_one_line(bucket: Bucket) -> None:
    open_store(bucket).put("inferences/model=digits/date=2023-11-14/part-000-000000000000.parquet", b"not at all")
    with pytest.raises(LakeError, match=r"part-000-000000000000\.parquet") as told:
        connect(bucket)
    assert "\n" not in str(told.value)


def test_the_secret_key_can_not_be_asked_for(bucket: Bucket) -> None:
    told = str(ask(bucket, "select * from duckdb_secrets()")) + str(ask(bucket, "select * from duckdb_settings()"))
    assert bucket.access_key in told
    assert bucket.secret_key not in told


def test_asking_puts_nothing_into_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    filled(bucket, tmp_path / "staging")
    before = minio.client(bucket).list_objects_v2(Bucket=bucket.bucket, Prefix=bucket.prefix)["KeyCount"]
    assert ask(bucket, "select count(*) from predictions") == [(7,)]
    assert minio.client(bucket).list_objects_v2(Bucket=bucket.bucket, Prefix=bucket.prefix)["KeyCount"] == before


def test_the_service_writes_to_a_bucket_and_a_command_reads_it(server: Bucket, tmp_path: Path) -> None:
    fill(tmp_path / "log", 40, 2, seed=1, partitions=2)
    settings = minio.settings_of(replace(server, prefix="served"))
    drain(tmp_path, "flow.epoch=0.2", *settings)
    query = "select count(*) as n, count(distinct (device, stream, seq)) as keys from inferences"
    told = subprocess.run(
        command(tmp_path, "sql", "--json", query, settings=settings), capture_output=True, text=True, timeout=60
    )
    assert (told.stdout, told.returncode) == ('{"n": 80, "keys": 80}\n', 0)
    assert server.secret_key not in told.stderr


def test_the_rights_that_the_page_on_stores_names_are_enough_and_end_at_the_prefix(
    server: Bucket, tmp_path: Path
) -> None:
    [policy] = re.findall(r"^```json\n(.*?)^```$", STORE_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    limited = minio.limited(server, policy.replace("fleet", server.bucket))
    filled(replace(limited, prefix="gleaner"), tmp_path / "staging")
    assert ask(replace(limited, prefix="gleaner"), "select count(*) from inferences") == [(7,)]
    with pytest.raises(Unavailable, match="may not do this"):
        open_store(replace(limited, prefix="other")).get("x")
