"""Attributes of devices in SQL: by name, and null where a device or a file does not have them."""

from pathlib import Path

import pyarrow.parquet as pq

from pipelines.views import connect
from tests.factories import NOON
from tests.pipelines.lakes import MINUTE, hello, lake


def test_an_attribute_is_asked_for_by_its_name(tmp_path: Path) -> None:
    rows = [
        hello("cam-1", attributes=[("housing", "IP 67/b"), ("lens", "wide")]),
        hello("cam-2", NOON + MINUTE),
        hello("cam-3", NOON + 2 * MINUTE, attributes=None, event="status"),
    ]
    query = "select device, attributes['lens'], map_keys(attributes) from devices order by device"
    found = connect(lake(tmp_path, {"devices": rows})).execute(query).fetchall()
    assert found == [("cam-1", "wide", ["housing", "lens"]), ("cam-2", None, []), ("cam-3", None, None)]


def test_files_from_before_there_were_attributes_are_read(tmp_path: Path) -> None:
    root = lake(tmp_path, {"devices": [hello("cam-1")]})
    (file,) = root.glob("devices/**/*.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["attributes"]), file)
    assert connect(root).execute("select device, attributes['lens'] from devices").fetchall() == [("cam-1", None)]
    pq.write_table(
        pq.ParquetFile(
            lake(tmp_path / "new", {"devices": [hello("cam-2", attributes=[("lens", "wide")])]})
            .glob("devices/**/*.parquet")
            .__next__()
        ).read(),
        file.with_name("part-000-0000000007.parquet"),
    )
    both = connect(root).execute("select device, attributes['lens'] from devices order by device").fetchall()
    assert both == [("cam-1", None), ("cam-2", "wide")]


def test_an_empty_lake_has_them_too(tmp_path: Path) -> None:
    assert connect(tmp_path).execute("select attributes['lens'] from devices").fetchall() == []
