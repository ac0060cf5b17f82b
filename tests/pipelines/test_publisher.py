"""The publisher: rows first, then the word to devices; a store that is away holds up nothing and loses nothing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from operators.seen import Seen
from operators.tabulate import tabulate
from pipelines.folder_store import FolderStore
from pipelines.lake import Lake
from pipelines.marker import Marker
from pipelines.publisher import Publisher
from pipelines.stop import Stop
from schemas.errors import Fatal, Unavailable
from schemas.messages import read_ack
from schemas.tables import INFERENCES
from tests.factories import STREAM
from tests.pipelines.lakes import inference
from tests.pipelines.test_lake import seqs

WAIT_S = 20.0
MANY = 1 << 40


class Door(FolderStore):
    """A folder whose door can be shut."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.shut = False

    def put_new(self, name: str, source: Path) -> None:
        if self.shut:
            raise Unavailable("the door is shut")
        super().put_new(name, source)


class Ear:
    """Keeps what devices are told, and what was in the lake at that moment."""

    def __init__(self, root: Path) -> None:
        self.acks: list[tuple[int, list[int]]] = []
        self._root = root

    def send(self, topic: str, payload: bytes) -> None:
        self.acks.append((read_ack(payload).through, seqs(self._root)))


class World:
    def __init__(self, folder: Path, most_bytes: int = MANY) -> None:
        FolderStore.create(folder / "lake")
        self.store, self.root = Door(folder / "lake"), folder / "lake"
        self.lake, self.ear = Lake(self.store, folder / "staging"), Ear(folder / "lake")
        self.told: list[tuple[int, int]] = []
        self.publisher = Publisher(self.lake, self.ear, lambda *where: self.told.append(where), most_bytes)

    def commit(self, seq: int) -> None:
        """An epoch with one row, `seq`, is committed."""
        self.lake.stage(0, seq, {"inferences": [tabulate(INFERENCES, [inference(seq)])]})
        self.publisher.submit(
            0, Marker(log="log", seq=seq + 1, offset=10 * (seq + 1)), {("cam-1", STREAM.hex()): Seen(seq)}
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.publisher.halt()


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_devices_are_told_of_rows_that_are_in_the_lake(world: World) -> None:
    for seq in range(5):
        world.commit(seq)
    assert world.publisher.close(WAIT_S)
    assert seqs(world.root) == [0, 1, 2, 3, 4]
    assert world.ear.acks[-1][0] == 4
    assert all(set(range(through + 1)) <= set(there) for through, there in world.ear.acks)
    assert world.told[-1] == (0, 50)


def test_while_the_store_is_away_nothing_is_told_and_then_everything_once(world: World) -> None:
    world.store.shut = True
    for seq in range(20):
        world.commit(seq)
    time.sleep(0.3)
    assert (world.ear.acks, world.told, seqs(world.root)) == ([], [], [])
    world.store.shut = False
    assert world.publisher.close(WAIT_S)
    assert seqs(world.root) == list(range(20))
    assert world.ear.acks[-1] == (19, list(range(20)))
    assert len(world.ear.acks) <= 2  # one word for a stream, however many epochs waited


def test_what_does_not_go_before_the_end_waits_for_the_next_start(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.store.shut = True
    first.commit(0)
    assert not first.publisher.close(0.2)
    assert first.ear.acks == []
    second = World(tmp_path)
    assert second.lake.staged(0) == [0]
    second.publisher.submit(0, Marker(log="log", seq=1), {})
    assert second.publisher.close(WAIT_S)
    assert seqs(second.root) == [0]
    assert second.told == []  # up to where the log was committed is not known at a start


def test_somebody_in_a_hurry_does_not_wait_for_the_store(world: World) -> None:
    world.store.shut = True
    world.commit(0)
    hurry = Stop()
    hurry.set()
    assert not world.publisher.close(3600.0, hurry)


def test_no_more_is_made_while_too_much_waits(tmp_path: Path) -> None:
    world = World(tmp_path, most_bytes=1)
    world.store.shut = True
    assert not world.publisher.is_full()
    world.commit(0)
    assert world.publisher.is_full()
    world.store.shut = False
    _until(lambda: not world.publisher.is_full())
    world.publisher.halt()


def test_a_name_that_is_taken_ends_the_flow_and_tells_nobody(world: World) -> None:
    world.commit(0)
    _until(lambda: bool(world.ear.acks))
    other = Lake(world.store, world.root.parent / "other")
    other.stage(0, 1, {"inferences": [tabulate(INFERENCES, [inference(7)])]})
    list(other.publish(0, Marker(log="other", seq=2)))
    world.commit(1)

    def failed() -> bool:
        try:
            world.publisher.is_full()
        except Fatal:
            return True
        return False

    _until(failed)
    assert [through for through, _ in world.ear.acks] == [0]
    with pytest.raises(Fatal, match="other"):
        world.publisher.close(WAIT_S)
