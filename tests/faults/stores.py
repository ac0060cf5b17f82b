"""Where the lake of a world lies: a folder, or a bucket in a MinIO server of the world's own."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.place import Bucket
from tests.faults.ports import port
from tests.faults.processes import Process, dies_with_us
from tests.integration.minio import make_bucket, settings_of

_KEY, _SECRET = "faults-key", "faults-secret"
_QUIET: Final = {"MINIO_BROWSER": "off", "MINIO_CI_CD": "1", "MINIO_UPDATE": "off"}
_TOOLS: Final = Path(__file__).parents[2] / ".tools"
_PATIENCE_S: Final = 20.0
KINDS: Final = ("folder", "minio")


class Store(Protocol):
    """Where the lake lies, and what must run for it.

    Attributes:
        settings: say so.
        process: the server, if there is one.
    """

    settings: tuple[str, ...]
    process: Process | None

    def prepare(self) -> None:
        """Make what the lake needs, once the server runs."""


@dataclass(slots=True)
class FolderStore:
    """A lake in a folder."""

    folder: Path
    settings: tuple[str, ...] = ()
    process: Process | None = None

    def __post_init__(self) -> None:
        self.settings = (f"lake.path={self.folder}",)

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)


class MinioStore:
    """A lake in a bucket."""

    def __init__(self, root: Path) -> None:
        folder = root / "minio"
        folder.mkdir(parents=True)
        (root / "said").mkdir(exist_ok=True)
        self._bucket = Bucket(
            endpoint=f"127.0.0.1:{port()}",
            bucket="gleaner",
            prefix="lake",
            access_key=_KEY,
            secret_key=_SECRET,
            secure=False,
        )
        command = [minio_program() or "minio", "server", "--quiet", "--address", self._bucket.endpoint, str(folder)]
        environment = {"MINIO_ROOT_USER": _KEY, "MINIO_ROOT_PASSWORD": _SECRET, "HOME": str(root)}
        self.process: Process | None = Process(
            "store", dies_with_us(command), root / "said" / "store.log", environment | _QUIET
        )
        self.settings = settings_of(self._bucket)

    def prepare(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return make_bucket(self._bucket)
            except (BotoCoreError, ClientError):  # it does not answer yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


def minio_program() -> str | None:
    """The path of MinIO's server, None where there is none."""
    return shutil.which("minio") or shutil.which("minio", path=os.fspath(_TOOLS))


def missing(kind: str) -> str:
    """Why there can be no store of this kind; empty where there can."""
    return (
        "minio is neither on the PATH nor in .tools; make servers MINIO=1 builds it"
        if kind == "minio" and minio_program() is None
        else ""
    )


def store_of(kind: str, root: Path) -> Store:
    """A store of this kind for the world in `root`."""
    return MinioStore(root) if kind == "minio" else FolderStore(root / "lake")
