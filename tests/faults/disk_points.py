"""Fail points at the disk: around each commit of an SQLite database and each fsync, named for whose it is."""

import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.faults.points import reach

_COMMITS: Final = ("commit", "end")


def around_commits(names: Mapping[str, str]) -> None:
    """Put `….before` and `….after` around each commit.

    Args:
        names: suffix of the database's path → name of the point; others have none.
    """
    connect = sqlite3.connect

    def named(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        name = next((name for suffix, name in names.items() if str(database).endswith(suffix)), None)
        if name is None or str(database).startswith("file:"):
            return connect(database, *args, **kwargs)
        return connect(database, *args, factory=_connection(name), **kwargs)

    sqlite3.connect = named  # type: ignore[assignment]


def _connection(name: str) -> type[sqlite3.Connection]:
    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            commits = sql.strip().lower().startswith(_COMMITS)
            if commits:
                reach(f"{name}.before")
            cursor = super().execute(sql, *args)
            if commits:
                reach(f"{name}.after")
            return cursor

        def __exit__(self, *args: Any) -> Any:
            reach(f"{name}.before")
            result = super().__exit__(*args)
            reach(f"{name}.after")
            return result

    return Watched


def around_fsyncs(names: Mapping[tuple[str, str], str]) -> None:
    """Put `….before` and `….after` around each fsync.

    Args:
        names: (file, function) that calls it, or calls what calls it → name of the point; the first found counts.
    """
    fsync = os.fsync

    def named(descriptor: Any) -> None:
        name = _caller(names)
        if name is None:
            return fsync(descriptor)
        reach(f"{name}.before")
        fsync(descriptor)
        return reach(f"{name}.after")

    os.fsync = named


def _caller(names: Mapping[tuple[str, str], str]) -> str | None:
    frame = sys._getframe(2)
    for _ in range(3):
        where = Path(frame.f_code.co_filename).name, frame.f_code.co_name
        if where in names:
            return names[where]
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
