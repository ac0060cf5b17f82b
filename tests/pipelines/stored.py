"""What a lake holds, read without the code under test."""

from pathlib import Path

from pipelines.place import Place
from tests.integration import minio


def files_of(place: Place) -> dict[str, bytes]:
    """Every file of a lake by its name in it, markers aside; drafts are there too, where any are left."""
    if not isinstance(place, Path):
        return minio.objects(place)
    found = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("_gleaner/")}
