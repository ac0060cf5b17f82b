"""Store: what holds the lake's files, a folder or a bucket, by one interface.

Names are paths below the lake's root, with slashes. A name is given once and stands for
the same bytes from then on; only the small markers below `_gleaner/` are written again.
"""

from pathlib import Path
from typing import Protocol

from pipelines.folder_store import FolderStore
from pipelines.place import Bucket, Place


class Store(Protocol):
    """The lake's files. One attempt for each call: whoever calls waits and tries again."""

    def put_new(self, name: str, source: Path) -> None:
        """Give the bytes of a local file a name, durably, if the name is free or holds the same bytes.

        Raises:
            Fatal: the name is taken by other bytes, which stay.
            Unavailable: not now; whether it has the name by now is not known, try again.
        """

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, over the one there was, atomically and durably.

        Raises:
            Unavailable: not now; which of the two it is now is not known, try again.
        """

    def get(self, name: str) -> bytes | None:
        """The bytes under a name, None where there is none.

        Raises:
            Unavailable: not now.
        """

    def holds(self, prefix: str, suffix: str = "") -> bool:
        """Whether any name begins and ends so.

        Raises:
            Unavailable: not now.
        """


def open_store(place: Place) -> Store:
    """The store of a lake that is written; a folder is created.

    Raises:
        LakeError: the folder can't be written.
    """
    return reading_store(place) if isinstance(place, Bucket) else FolderStore.create(place)


def reading_store(place: Place) -> Store:
    """The store of a lake that is only read: nothing is created, nothing is asked yet."""
    if isinstance(place, Bucket):
        from pipelines.bucket_store import BucketStore  # its client takes long to import

        return BucketStore(place)
    return FolderStore(place)
