"""The flow against a network and a server played in memory, by a clock that the test turns."""

import itertools
import random
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.batch import HEADER_BYTES
from edge_publisher.outbox import Outbox
from edge_publisher.ranges import runs
from edge_publisher.sender import Sender
from edge_publisher.settings import SendingSettings
from edge_publisher.simulation.badlink import BadLink
from edge_publisher.storage import MIN_BYTES
from schemas import wire
from schemas.envelope import MAX_PAYLOAD_BYTES, SCHEMA, seal
from schemas.messages import read_gaps
from schemas.topics import Up
from schemas.wire_pb2 import Ack, Hole
from tests.edge_publisher.records import KIND, record

SETTINGS = SendingSettings(batch_rows=4, batch_seconds=1.0, ack_timeout_s=10.0, max_unacknowledged=64)


class Network:
    """Takes what is published and remembers which numbers arrived."""

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self.connected = True
        self.max_payload_bytes = max_payload_bytes
        self.room = 1_000_000
        self.batches: list[range] = []
        self.gaps: set[int] = set()

    def publish(self, kind: Up, payload: bytes) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        if kind is Up.GAPS:
            for gap in read_gaps(payload).gaps:
                self.gaps |= set(range(gap.first_seq, gap.last_seq + 1))
            return True
        header = wire.decode([payload]).headers[0]
        self.batches.append(range(header.first_seq, header.first_seq + header.count))
        return True

    def known(self) -> set[int]:
        return {seq for batch in self.batches for seq in batch} | self.gaps


class World:
    """One sender, its outbox, a network and a clock."""

    def __init__(self, folder: Path, settings_: SendingSettings = SETTINGS, network: Network | None = None) -> None:
        self.now = 1000.0
        self.network = network or Network()
        self.outbox = Outbox(folder, max_bytes=MIN_BYTES)
        self.settings = settings_
        self.sender = Sender(self.outbox, self.network, settings_, lambda: self.now, lambda: 5)

    def close(self) -> None:
        self.outbox.close()

    def append(self, count: int) -> None:
        self.outbox.append([record(self.outbox.next_seq + i) for i in range(count)])

    def ack(self, known: set[int], stream: bytes | None = None) -> None:
        through = next(seq for seq in range(len(known) + 1) if seq not in known) - 1
        ahead = max(known, default=-1)
        holes = runs(set(range(through + 1, ahead + 1)) - known)
        message = Ack(schema=SCHEMA, stream=stream or self.outbox.stream, through=through, ahead=ahead)
        message.holes.extend(Hole(first_seq=first, last_seq=last) for first, last in holes)
        self.sender.on_ack(seal(message))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0, 0.6))
def test_it_heals_whatever_the_network_does(
    seed: int, drop: float, duplicate: float, reorder: float, ack_lost: float
) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, closing(World(Path(folder))) as world:
        bad = BadLink(world.network, drop=drop, duplicate=duplicate, reorder=reorder, rng=rng)
        world.sender = Sender(world.outbox, bad, SETTINGS, lambda: world.now, lambda: 5)
        for turn in range(5000):
            if turn < 30:
                world.append(rng.randrange(4))
            if turn == 15:
                world.outbox.give_up(3, 9, "too_large", 5)
            world.now += 0.5
            world.sender.step()
            if turn % 4 == 3 and rng.random() >= ack_lost:
                world.ack(world.network.known())
            if turn > 30 and world.sender.is_drained():
                break
        assert world.sender.is_drained()
        assert world.network.known() == set(range(world.outbox.next_seq))


def test_full_batches_go_at_once_and_the_rest_after_its_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(10)
    world.sender.step()
    assert world.network.batches == [range(4), range(4, 8)]
    world.now += 0.9
    world.sender.step()
    assert len(world.network.batches) == 2
    world.now += 0.2
    world.sender.step()
    assert world.network.batches[2:] == [range(8, 10)]
    world.outbox.close()


def test_silence_rewinds_and_each_silence_is_borne_for_longer(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(4)
    rewinds = []
    for _ in range(1000):
        world.now += 0.5
        world.sender.step()
        if world.sender.counts.rewinds > len(rewinds):
            rewinds.append(world.now)
    waits = [round(after - before) for before, after in zip([1000.5, *rewinds], rewinds, strict=False)]
    assert waits[:5] == [10, 20, 40, 80, 160]
    world.ack({0, 1, 2, 3})
    world.append(4)
    world.sender.step()
    world.now += 10.5
    world.sender.step()
    assert world.sender.counts.rewinds == len(rewinds) + 1  # patience is short again
    world.outbox.close()


def test_a_new_session_sends_again_what_is_not_durable_and_an_old_one_does_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(8)
    world.sender.step()
    world.ack(set(range(4)))
    world.sender.on_connected(session_present=True)
    world.sender.step()
    assert len(world.network.batches) == 2
    world.sender.on_connected(session_present=False)
    world.sender.step()
    assert world.network.batches[2:] == [range(4, 8)]
    assert world.sender.counts.resent_batches == 1
    world.outbox.close()


def test_no_more_is_under_way_than_the_setting_says(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(200)
    world.sender.step()
    assert sum(map(len, world.network.batches)) == 64
    world.ack(set(range(32)))
    world.sender.step()
    assert sum(map(len, world.network.batches)) == 96
    world.outbox.close()


def test_a_full_window_of_the_link_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(40)
    for _ in range(20):
        world.network.room = 1
        world.sender.step()
    assert world.network.batches == [range(at, at + 4) for at in range(0, 40, 4)]
    world.outbox.close()


def test_gaps_are_told_once_and_again_after_a_silence(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(8)
    world.outbox.give_up(0, 3, "too_large", 5)
    for _ in range(3):
        world.sender.step()
    assert world.network.gaps == {0, 1, 2, 3}
    world.network.gaps = set()
    world.sender.step()
    assert world.network.gaps == set()
    world.now += 11
    world.sender.step()
    assert world.network.gaps == {0, 1, 2, 3}
    world.ack(set(range(8)))
    assert world.sender.is_drained()
    world.outbox.close()


def test_a_record_larger_than_the_broker_takes_is_declared_and_the_next_goes_out(tmp_path: Path) -> None:
    network = Network(max_payload_bytes=HEADER_BYTES + KIND.row_bytes - 1)
    world = World(tmp_path, network=network)
    world.append(4)
    for _ in range(5):
        world.now += 1
        world.sender.step()
    assert world.outbox.count() == 0
    network.max_payload_bytes = HEADER_BYTES + KIND.row_bytes
    world.append(4)
    for _ in range(5):
        world.now += 1
        world.sender.step()
    assert network.batches == [range(seq, seq + 1) for seq in range(4, 8)]
    assert network.gaps == {0, 1, 2, 3}
    world.outbox.close()


def test_acknowledgements_that_do_not_fit_are_ignored(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(4)
    world.sender.step()
    world.ack(set(range(4)), stream=bytes(16))
    for payload in (b"", b"nonsense", seal(Ack(schema=SCHEMA, stream=world.outbox.stream, through=2**62 + 1))):
        world.sender.on_ack(payload)
    assert world.outbox.count() == 4
    assert world.sender.counts.acks == 0
    world.outbox.close()


def test_damage_in_one_record_does_not_block_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    broken = record(4)
    world.append(4)
    world.outbox.append([type(broken)(KIND, broken.device_time_us, broken.body[:-3])])
    world.append(7)
    world.sender.step()
    assert world.network.batches == [range(4), range(8, 12)]
    world.sender.step()
    assert world.network.gaps == set(range(4, 8))
    world.outbox.close()


def test_what_nobody_subscribes_to_is_not_sent_but_greeted_for_until_somebody_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(8)
    world.sender.step()
    world.sender.on_routing(heard=False, lost=2)
    sent = len(world.network.batches)
    greeted = []
    for _ in range(600):
        world.now += 0.5
        world.sender.on_routing(heard=False, lost=2 + len(greeted))
        if world.sender.wants_hello():
            greeted.append(world.now)
        world.sender.step()
    assert len(world.network.batches) == sent
    waits = [after - before for before, after in itertools.pairwise(greeted)]
    assert all(SETTINGS.ack_timeout_s <= wait <= 2 * SETTINGS.ack_timeout_s + 1 for wait in waits)
    world.sender.on_routing(heard=True, lost=2 + len(greeted))
    world.sender.step()
    assert world.network.batches[sent:] == [range(4), range(4, 8)]
    world.close()


def test_a_broker_that_says_no_now_and_then_does_not_make_it_send_all_again_each_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(8)
    world.now += 20
    for lost in range(1, 100):
        world.now += 0.1
        world.sender.on_routing(heard=True, lost=lost)
        world.sender.step()
    assert len(world.network.batches) <= 2 * 2
    world.close()


def test_in_silence_it_greets_and_the_answer_makes_it_send_at_once_what_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(8)
    world.sender.step()
    greeted = 0
    while world.now < 1000 + 400:
        world.now += 0.5
        world.sender.step()
        greeted += world.sender.wants_hello()
    assert 400 / 60 - 1 <= greeted <= 400 / 30
    sent = len(world.network.batches)
    world.ack(set())  # the server is back, and knows nothing
    world.sender.step()
    assert world.network.batches[sent:] == [range(4), range(4, 8)]
    world.close()


def test_who_waits_for_nothing_does_not_greet(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(500):
        world.now += 1
        world.sender.step()
        assert not world.sender.wants_hello()
    world.close()
