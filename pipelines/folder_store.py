"""A lake in a folder: each file gets its final name in one step, durably, and only if it is free."""

import contextlib
import errno
import filecmp
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from pipelines.durable import sync
from schemas.errors import Fatal, LakeError, Unavailable

_INCOMING: Final = "_incoming"
_ABANDONED_S: Final = 3600.0
_NO_LINKS: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
)
"""What an operating system answers where two names can't share a file: other disk, other file system."""


class FolderStore:
    """The files below a folder.

    Args:
        root: of the lake; it must be there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()

    @classmethod
    def create(cls, root: Path) -> "FolderStore":
        """The store of a folder that is created where it is missing.

        Raises:
            LakeError: it can't be written.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
            sync(root.parent)
            _clear(root / _INCOMING)
        except OSError as error:
            raise LakeError(f"{root}: can't be created: {error.strerror}") from error
        if not os.access(root, os.W_OK | os.X_OK):
            raise LakeError(f"{root}: not writable; change its owner or choose another lake.path")
        return cls(root)

    def put_new(self, name: str, source: Path) -> None:
        """As `Store.put_new`; on the same file system nothing is copied."""
        source.stat()  # a source that is not there is no fault of the store
        target = self._root / name
        with self._reachable():
            self._make(target.parent)
            try:
                self._place(source, target)
            except FileExistsError as error:
                if not filecmp.cmp(source, target, shallow=False):
                    raise Fatal(_taken(target)) from error
            else:
                _settle(target)
                return
            sync(target.parent)  # a crash may have come before this

    def put(self, name: str, data: bytes) -> None:
        """As `Store.put`."""
        target = self._root / name
        with self._reachable():
            self._make(target.parent)
            with self._draft() as draft:
                draft.write_bytes(data)
                sync(draft)
                draft.replace(target)
            sync(target.parent)

    def get(self, name: str) -> bytes | None:
        """As `Store.get`."""
        with self._reachable():
            self._look()
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def holds(self, prefix: str, suffix: str = "") -> bool:
        """As `Store.holds`."""
        folder, _, start = prefix.rpartition("/")
        with self._reachable():
            self._look()
            found = (self._root / folder).glob(f"{_literal(start)}*")
            return any(_has_file(path, suffix) for path in found)

    def _place(self, source: Path, target: Path) -> None:
        """Give it the name, by a second link or by a copy.

        Raises:
            FileExistsError: the name is taken.
        """
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with self._draft() as draft:
                shutil.copyfile(source, draft)
                sync(draft)
                _rename_new(draft, target)

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each name durable: a file is lost with the folder it lies in."""
        if folder in self._durable:
            return
        if folder == self._root:
            self._look()
        else:
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            sync(folder.parent)
        self._durable.add(folder)

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Path]:
        """A name for a new file of which no query knows; gone at the end."""
        incoming = self._root / _INCOMING
        self._make(incoming)
        draft = incoming / uuid4().hex
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _look(self) -> None:
        if not self._root.is_dir():
            raise Unavailable(f"{self._root}: the lake's folder is gone; is its disk mounted?")

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """What the disk refuses is refused for now: room, rights and disks come back."""
        try:
            yield
        except OSError as error:
            self._durable.clear()
            raise Unavailable(f"{error.filename or self._root}: {error.strerror}") from error


def _rename_new(draft: Path, target: Path) -> None:
    """Rename unless the name is taken; in one step where the file system knows links."""
    try:
        os.link(draft, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
        draft.replace(target)


def _settle(target: Path) -> None:
    """Make a new name durable; one that can't be is taken back: a second fsync could claim what the first lost."""
    try:
        sync(target.parent)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _taken(target: Path) -> str:
    return (
        f"{target}: holds other rows than those to publish under this name; two data folders write to one "
        "lake, or the recovery store is older than it"
    )


def _has_file(path: Path, suffix: str) -> bool:
    if path.is_dir():
        return any(found.is_file() for found in path.rglob(f"*{suffix}"))
    return path.name.endswith(suffix)


def _literal(text: str) -> str:
    """A text as a pattern that it alone matches."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _clear(incoming: Path) -> None:
    """Remove drafts that a crash has left; those of a living process are younger."""
    for draft in incoming.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if draft.stat().st_mtime < time.time() - _ABANDONED_S:
                draft.unlink()
