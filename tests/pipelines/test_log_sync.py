"""A sync that fails: what the system could not write is never taken for written, by anything that comes after it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.log import LogReader
from tests.pipelines.test_log import MANY, ROOT, everything, flat

FAILING_SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int fails(void) { return access(getenv("SYNC_FAILS_WHILE"), F_OK) == 0; }
int fsync(int fd) {
    if (fails()) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    if (fails()) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""
APPENDS = """
import shutil, sys
from pathlib import Path
from pipelines.log import LogWriter, Message
from schemas.errors import Unavailable
folder, trigger = Path(sys.argv[1]), Path(sys.argv[2])
with LogWriter(folder / "log", 1) as writer:
    def append(payload):
        try:
            writer.append([Message("a", payload)], 1)
            return "ok"
        except Unavailable:
            return "unavailable"
    told = [append(b"1"), append(b"2")]
    trigger.touch()
    told += [append(b"3"), append(b"4")]
    trigger.unlink()
    told += [append(b"5")]
    (folder / "alone").mkdir()
    shutil.copy(folder / "log" / "000.sqlite", folder / "alone" / "000.sqlite")
    told += [append(b"6")]
print(*told)
"""


@pytest.fixture
def preloaded(tmp_path: Path) -> dict[str, str]:
    """The environment in which syncs fail while a file is there; skips the test where no C can be compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on the PATH")
    source, library = tmp_path / "sync.c", tmp_path / "sync.so"
    source.write_text(FAILING_SYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "SYNC_FAILS_WHILE": str(tmp_path / "failing")}


def test_after_a_failed_sync_all_that_can_be_seen_is_written_again_before_anything_is_appended(
    tmp_path: Path, preloaded: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APPENDS, str(tmp_path), preloaded["SYNC_FAILS_WHILE"]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=preloaded,
        timeout=60,
    )
    assert done.stdout.split() == ["ok", "ok", "unavailable", "unavailable", "ok", "ok"], done.stderr
    payloads = [row[3] for row in flat(everything(tmp_path / "log"))]
    assert [each for each in payloads if each not in (b"3", b"4")] == [b"1", b"2", b"5", b"6"]
    alone = LogReader(tmp_path / "alone", 0)  # without its write-ahead log: what had been seen before is in the file
    settled = [each for batch in alone.read(0, 100, MANY)[0] for each in batch.payloads]
    alone.close()
    assert settled[:2] == [b"1", b"2"]
    assert b"5" not in settled
