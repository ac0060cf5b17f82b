"""Bundles: what is written is read from a folder and from a tar, and each damage has its word."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas import bundle
from schemas.bundle import MANIFEST, MODEL, Bundle, Manifest, Preprocessing, read, write
from schemas.embedding import Codec
from schemas.errors import BundleError

CONTENTS = {MODEL: b"onnx" * 50, "reference.parquet": b"PAR1", "projection.npy": b"numbers"}
MADE = Manifest(
    name="digits",
    version=3,
    labels=("null", "eins", "zwei"),
    input_name="image",
    scores_output="probabilities",
    scores_kind="logit",
    embedding_output="hidden",
    embedding_dims=16,
    embedding_codec=Codec.PCA_I8,
    top_k=2,
    temperature=1.5,
    preprocessing=Preprocessing(width=8, height=8, channels=3, layout="nhwc", scale=0.25, mean=(0.1,), std=(1, 2.5, 3)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "made", MADE, CONTENTS)
    return tmp_path / "made"


def packed(folder: Path, prefix: str = "", mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, "." if prefix else "empty", recursive=False)
        for file in sorted(folder.iterdir()):
            tar.add(file, prefix + file.name)
    return buffer.getvalue()


def same(a: Bundle, b: Bundle) -> bool:
    return (a.manifest, dict(a.contents)) == (b.manifest, dict(b.contents))


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read(path)
    return str(caught.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path / "made", MADE, CONTENTS)
    again = read(tmp_path / "made")
    assert same(again, written)
    assert replace(again.manifest, files={}) == MADE
    assert again.contents == CONTENTS
    assert again.model == CONTENTS[MODEL]


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_is_read_as_its_folder(folder: Path, tmp_path: Path, prefix: str, mode: str) -> None:
    (tmp_path / "tar").write_bytes(packed(folder, prefix, mode))
    assert same(read(tmp_path / "tar"), read(folder))


def test_a_bundle_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(BundleError, match="never overwritten"):
        write(folder, MADE, CONTENTS)
    assert read(folder).manifest.version == MADE.version


def test_an_impossible_manifest_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="NaN is not a number"):
        write(tmp_path / "new", replace(MADE, temperature=float("nan")), CONTENTS)


KEYS: dict[str, tuple[Any, ...]] = {
    "schema": (2, None, "1"),
    "name": ("", "Digits", "../x", 5, None, "x" * 64),
    "version": (0, -1, 2**32, 1.5, "3", None, True),
    "labels": ([], "abc", None, [1], {"a": 1}, ["x"]),
    "input_name": ("", 5, None, ["image"]),
    "scores_output": ("", 5, None),
    "scores_kind": ("odds", 1, None),
    "embedding_output": ("", 5, None),
    "embedding_dims": (0, -1, 5000, 1.5, "16", None, True),
    "embedding_codec": ("i9", "none", None, 3, []),
    "top_k": (0, 33, 4, 1.5, "2", None, True),
    "temperature": (0, -1, float("nan"), float("inf"), 10**400, "1", None, True),
    "minimum_runtime": (1.17, None, []),
    "files": ({"projection.npy": {"sha256": "", "bytes": 0}}, [], None, [MODEL]),
    "preprocessing": ({}, [], None, 5),
}
STEPS: dict[str, tuple[Any, ...]] = {
    "width": (0, -8, 1 << 15, 1.5, "8", None, True),
    "height": (0, 1.5, None),
    "channels": (0, 2, 1.5, None),
    "layout": ("", "chwn", None, []),
    "scale": (float("inf"), float("nan"), 10**400, "1", None),
    "mean": ([1, 2], 5, "0", None, [float("nan")], ["x"], [None]),
    "std": ([0], [1, -1, 1], [], 5, "123", None, [float("inf")]),
}
SAID = {
    "embedding_codec": "odec",
    "embedding_output": "embedding",
    "embedding_dims": "embedding",
    "preprocessing": "reprocessing",
    "channels": "channel",
}


def damages() -> Iterator[Any]:
    for places, within in ((KEYS, ()), (STEPS, ("preprocessing",))):
        for key, values in places.items():
            for value in values:
                yield pytest.param((*within, key), value, id=f"{key}-{str(value)[:20]}")


@pytest.mark.parametrize(("path", "value"), list(damages()))
def test_a_damaged_key_is_named(folder: Path, path: tuple[str, ...], value: Any) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(raw))
    words = (SAID.get(path[-1], path[-1]), "NaN", "Infinity")
    assert any(word in refusal(folder).removeprefix(str(folder)) for word in words)


@pytest.mark.parametrize(
    "key", ["schema", "name", "version", "labels", "input_name", "scores_output", "files", "preprocessing"]
)
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    del raw[key]
    (folder / MANIFEST).write_text(json.dumps(raw))
    assert key in refusal(folder)


@pytest.mark.parametrize("within", [(), ("preprocessing",)])
def test_an_unknown_key_is_named(folder: Path, within: tuple[str, ...]) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    (raw[within[0]] if within else raw)["colour"] = 1
    (folder / MANIFEST).write_text(json.dumps(raw))
    assert "colour" in refusal(folder)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"5", b"null", b"{", b"\xff", b"[" * 200_000, b'{"schema":' + b"9" * 5000]
)
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / MANIFEST).write_bytes(text)
    assert MANIFEST in refusal(folder)


@pytest.mark.parametrize("said", [None, 1, [], "sha256", {}, {"sha256": "x"}, {"sha256": "x", "bytes": 1, "more": 2}])
def test_a_file_that_is_not_described_is_named(folder: Path, said: Any) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    raw["files"][MODEL] = said
    (folder / MANIFEST).write_text(json.dumps(raw))
    assert "files must give sha256 and bytes of model.onnx" in refusal(folder)


def test_a_file_that_differs_is_named(folder: Path) -> None:
    (folder / "reference.parquet").write_bytes(b"PAR2")
    assert "reference.parquet is not the file" in refusal(folder)


def test_a_file_too_many_or_too_few_is_named(folder: Path) -> None:
    (folder / "stranger").write_bytes(b"")
    assert "stranger" in refusal(folder)
    (folder / "stranger").unlink()
    (folder / MODEL).unlink()
    assert MODEL in refusal(folder)


def test_links_and_folders_have_no_place_in_a_bundle(folder: Path) -> None:
    (folder / MODEL).rename(folder.parent / "elsewhere")
    (folder / MODEL).symlink_to(folder.parent / "elsewhere")
    assert "plain files" in refusal(folder)
    (folder / MODEL).unlink()
    (folder / MODEL).mkdir()
    assert "plain files" in refusal(folder)


def test_what_is_not_there_or_no_bundle_is_said(tmp_path: Path) -> None:
    assert "no such bundle" in refusal(tmp_path / "nothing")
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    assert "neither a folder nor a tar" in refusal(tmp_path / "noise")
    (tmp_path / "empty").mkdir()
    assert MANIFEST in refusal(tmp_path / "empty")
    assert "can't be read" in refusal(tmp_path / ("x" * 5000))


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"x"
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info, data


@pytest.mark.parametrize(
    "hostile",
    [
        member("../x"),
        member("/etc/x"),
        member("sub/x"),
        member("./../x"),
        member(".//x"),
        member(MODEL),
        member("./" + MODEL),
        member("link", tarfile.SYMTYPE, "/etc/passwd", b""),
        member("link", tarfile.LNKTYPE, MODEL, b""),
        member("pipe", tarfile.FIFOTYPE, "", b""),
        member("device", tarfile.CHRTYPE, "", b""),
    ],
    ids=lambda hostile: f"{hostile[0].name}-{hostile[0].type.decode()}",
)
def test_a_hostile_tar_is_refused(folder: Path, tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes]) -> None:
    path = tmp_path / "tar"
    path.write_bytes(packed(folder))
    with tarfile.open(path, "a") as tar:
        tar.addfile(hostile[0], io.BytesIO(hostile[1]))
    assert "has no place in a bundle" in refusal(path)


def test_a_tar_that_unpacks_to_too_much_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tar"
    path.write_bytes(packed(folder, mode="w:xz"))
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", sum(file.stat().st_size for file in folder.iterdir()))
    assert read(path).manifest.name == "digits"
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", bundle.MAX_FILE_BYTES - 1)
    assert "has no place in a bundle" in refusal(path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_that_was_cut_or_changed_is_refused_or_the_same(folder: Path, tmp_path: Path, mode: str) -> None:
    whole, path, wanted = packed(folder, mode=mode), tmp_path / "tar", read(folder)
    step = max(1, len(whole) // 150)
    for at in range(0, len(whole), step):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            try:
                found = read(path)
            except BundleError:
                continue
            assert found.contents == wanted.contents
