"""One digits bundle for all tests that need one."""

from pathlib import Path

import pytest

from pipelines.models.build import Report, build_digits

SEED = 7


@pytest.fixture(scope="session")
def digits_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_digits(tmp_path_factory.mktemp("models") / "digits-1", seed=SEED)


@pytest.fixture(scope="session")
def digits_bundle(digits_report: Report) -> Path:
    return Path(digits_report.folder)
