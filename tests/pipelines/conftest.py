import io
import os
import signal
import sys
from collections.abc import Iterator

import pytest
import structlog

from pipelines import cli
from tests.integration.mosquitto import free_port
from tests.pipelines.commanding import Done, Gleaner


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `GLEANER_…` variable of whoever runs the tests must not change them."""
    for name in [name for name in os.environ if name.startswith("GLEANER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def gleaner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gleaner]:
    """Runs `gleaner` with arguments in this process, through the very function that the command calls."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gleaner", *arguments])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    structlog.reset_defaults()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def unused_port() -> int:
    """A port of loopback on which nobody listens."""
    return free_port()
