from collections.abc import Iterator

import duckdb
import pytest

from pipelines.views import connect
from tests.pipelines.drifting import Drifted, made


@pytest.fixture(scope="session")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Drifted:
    """The world has changed for one device."""
    return made(tmp_path_factory.mktemp("drifted"))


@pytest.fixture
def asked(drifted: Drifted) -> Iterator[duckdb.DuckDBPyConnection]:
    """Its lake."""
    with connect(drifted.root) as connection:
        yield connection
