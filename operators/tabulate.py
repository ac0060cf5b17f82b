"""Tabulate: the few rows that are not columns from the start, as Arrow.

For rows that are rare by nature (rejects, requests, window statistics). Inferences
never pass here.
"""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from schemas.tables import Table

_DAY_US: Final = 86_400_000_000


def tabulate(table: Table, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """The rows as a batch with the columns of `table`; what a row leaves out is null."""
    return pa.RecordBatch.from_pylist(list(rows), schema=table.schema)


def day_of(us: int) -> int:
    """Days since 1970 of a time in microseconds since 1970, as `date` columns count."""
    return us // _DAY_US
