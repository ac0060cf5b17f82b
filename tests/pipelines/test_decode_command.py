"""`gleaner decode`: one message as JSON, from wherever it lies, or the reason why it is none."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.log import LogWriter, Message
from schemas.envelope import seal
from schemas.topics import Up, partition_of, up_topic
from schemas.wire_pb2 import Hello
from tests.factories import NOON, STREAM, columns, header, payload
from tests.pipelines.commanding import Gleaner, objects


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_message_is_shown_with_its_columns(folder: Path, gleaner: Gleaner) -> None:
    of = header(count=3)
    (folder / "message").write_bytes(payload(of, seed=4))
    expected = columns(of, seed=4)
    from_file = gleaner("decode", str(folder / "message"))
    assert from_file.out == gleaner("decode", "-", stdin=payload(of, seed=4)).out
    [told] = objects(from_file.out)
    assert (told["stream"], told["count"], told["model"], told["site"]) == (STREAM.hex(), 3, "digits", "north")
    assert told["class_ids"] == expected.class_ids.reshape(3, 2).tolist()
    assert np.allclose(told["scores"], expected.scores.reshape(3, 2), atol=1e-6)
    assert told["latency_us"] == expected.latency_us.tolist()
    assert [len(digest) for digest in told["sample_digest"]] == [64] * 3
    assert np.shape(told["embedding"]) == (3, 4)


def test_a_message_with_numbers_that_are_none_is_shown_too(gleaner: Gleaner) -> None:
    of = header(count=2)
    data = payload(of, scores=np.array([np.nan, 0.5, np.inf, 0.1], np.float32), entropy=np.full(2, np.nan, np.float32))
    [told] = objects(gleaner("decode", "-", stdin=data).out)
    assert (told["scores"], told["entropy"]) == ([[None, 0.5], [None, 0.1]], [None, None])


def test_a_message_of_the_log_is_found_by_its_offset(folder: Path, gleaner: Gleaner) -> None:
    topic = up_topic("cam-1", Up.HELLO)
    hello = seal(Hello(schema=1, stream=STREAM, site="north", agent="1.0"))
    with LogWriter(folder / "log", 4) as writer:
        writer.tick(NOON)
        writer.append([Message(topic, hello), Message(up_topic("cam-1", Up.INFERENCES), payload(header()))], NOON)
    place = partition_of(topic, 4)
    at = ("--set", f"data_dir={folder}", "decode")
    assert objects(gleaner(*at, f"{place}:2").out)[0]["agent"] == "1.0"
    assert objects(gleaner(*at, f"{place}:3").out)[0]["class_ids"]
    for offset in ("0", "1", "4", "999999999999999999"):  # none, a tick, beyond the end, far beyond
        gleaner(*at, f"{place}:{offset}").refused("no message there", "gleaner status")
    gleaner(*at, f"{place}:{10**30}").refused("No such file")


def test_another_kind_of_message_is_shown_if_it_is_named(gleaner: Gleaner) -> None:
    hello = seal(Hello(schema=1, stream=STREAM, site="north"))
    assert objects(gleaner("decode", "-", "--kind", "hello", stdin=hello).out)[0]["site"] == "north"
    gleaner("decode", "-", "--kind", "goodbye", stdin=hello).refused("--kind goodbye", "inferences")


BAD_JSON = b'{"schema": 1, "stream": "AAECAwQFBgcICQoLDA0ODw==", "count": 3, "topK": 2, "model": "m", "site": "s"}'


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "malformed"),
        (b"\x00" * 100, "crc_mismatch"),
        (payload(header())[:-1], "crc_mismatch"),
        (payload(header())[:-7] + payload(header())[-6:], "crc_mismatch"),
        (b"{", "malformed"),
        (b"{" * 10_000, "malformed"),
        (b"\xff{}", "malformed"),
        (b'{"schema": 1, "count": 3}', "bad_shape"),
        (BAD_JSON, "bad_shape"),
        (b'{"schema": 2}', "schema_newer"),
        (bytes(300_000), "oversize"),
        (seal(Hello(schema=1, stream=STREAM)), "bad_shape"),
    ],
)
def test_garbage_is_refused_with_its_reason(data: bytes, word: str, gleaner: Gleaner) -> None:
    gleaner("decode", "-", stdin=data).refused(word)


@pytest.mark.parametrize("source", ["none", ".", "0:x", "0:²", "٣:١", "-1:5", ":"])
def test_a_source_that_is_not_there_is_named(source: str, gleaner: Gleaner) -> None:
    gleaner("decode", "--", source).refused(source)
