"""Tables: one thing has one name, and files hold what is not in their path."""

import pyarrow as pa
import pytest

from schemas.tables import INFERENCES, TABLES, Table
from schemas.wire_pb2 import Feedback, Hello, Inferences, Status

tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@tables
def test_keys_and_order_are_columns(table: Table) -> None:
    assert {*table.by, *table.sort, *table.key} <= set(table.schema.names)
    assert table.by[-1] == "date"


@tables
def test_a_file_holds_all_columns_but_the_keys(table: Table) -> None:
    assert table.file_schema.names == [name for name in table.schema.names if name not in table.by]


@tables
def test_a_file_says_its_table_and_schema_and_holds_plain_text(table: Table) -> None:
    assert table.file_schema.metadata == {b"gleaner.schema": b"1", b"gleaner.table": table.name.encode()}
    assert not any(pa.types.is_dictionary(field.type) for field in table.file_schema)


@tables
def test_times_are_microseconds_in_utc(table: Table) -> None:
    stamps = [field.type for field in table.schema if pa.types.is_timestamp(field.type)]
    assert all((stamp.unit, stamp.tz) == ("us", "UTC") for stamp in stamps)


def test_a_field_of_the_wire_keeps_its_name_in_the_lake() -> None:
    header = {"schema", "first_seq", "count", "top_k", "embedding_dims", "device_time_delta", "crc"}
    assert {field.name for field in Inferences.DESCRIPTOR.fields} - header <= set(INFERENCES.schema.names)
    for message, table in ((Hello, "devices"), (Status, "devices"), (Feedback, "feedback")):
        names = {field.name for field in message.DESCRIPTOR.fields} - {"schema", "crc"}
        assert names <= set(TABLES[table].schema.names)
