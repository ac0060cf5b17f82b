"""Commands: what devices are told reads back as what was meant, in messages that they accept."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.requests import Request
from operators.seen import Seen, admit
from operators.select import Selection, request_id
from pipelines.commands import MqttCommands, Silence, send_acks, send_requests
from pipelines.settings import Mqtt
from schemas.envelope import MAX_PAYLOAD_BYTES
from schemas.errors import SettingsError
from schemas.messages import MAX_REQUESTS, read_ack, read_requests
from schemas.topics import Down, down_topic
from tests.factories import NOON, STREAM, candidate


@dataclass
class Sent:
    """Keeps what it is given to send."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def send(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, payload))


def request(seq: int, device: str = "cam-1") -> Request:
    chosen = candidate(seq, device=device)
    selection = Selection(
        request_id=request_id(chosen.row),
        candidate=chosen,
        model="digits",
        strategy="margin",
        probability=None,
        time_us=NOON,
    )
    return Request(selection, NOON, NOON)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), max_size=40))
def test_an_acknowledgement_says_exactly_what_was_seen(arrived: list[tuple[int, int]]) -> None:
    seen, taken = Seen(), set()
    for first, more in arrived:
        seen, new = admit(seen, first, first + more)
        taken |= {seq for begin, end in new for seq in range(begin, end + 1)}
    sent = Sent()
    send_acks(sent, [(("cam-1", STREAM.hex()), seen)])
    [(topic, payload)] = sent.messages
    ack = read_ack(payload)
    assert topic == down_topic("cam-1", Down.ACK)
    assert ack.stream == STREAM
    holes = {seq for hole in ack.holes for seq in range(hole.first_seq, hole.last_seq + 1)}
    assert set(range(ack.ahead + 1)) - holes == taken
    assert ack.through == min(holes, default=ack.ahead + 1) - 1


def test_a_device_with_nothing_yet_is_told_so() -> None:
    sent = Sent()
    send_acks(sent, [(("cam-1", STREAM.hex()), Seen())])
    ack = read_ack(sent.messages[0][1])
    assert (ack.through, ack.ahead, list(ack.holes)) == (-1, -1, [])


def test_each_stream_gets_an_acknowledgement_of_its_own() -> None:
    sent = Sent()
    send_acks(sent, {("a", "00" * 16): Seen(1), ("a", "11" * 16): Seen(2), ("b", "00" * 16): Seen(3)}.items())
    assert [(topic, read_ack(payload).through) for topic, payload in sent.messages] == [
        (down_topic("a", Down.ACK), 1),
        (down_topic("a", Down.ACK), 2),
        (down_topic("b", Down.ACK), 3),
    ]


def test_a_request_says_which_sample_and_how_large_it_may_be() -> None:
    sent, asked = Sent(), request(7)
    send_requests(sent, [asked], 1234)
    [(topic, payload)] = sent.messages
    [told] = read_requests(payload).requests
    row = asked.selection.candidate.row
    assert topic == down_topic("cam-1", Down.REQUESTS)
    assert told.request_id == asked.selection.request_id
    assert (told.stream.hex(), told.seq, told.sample_digest) == (row["stream"], 7, row["sample_digest"])
    assert told.max_bytes == 1234


@pytest.mark.parametrize("count", [1, MAX_REQUESTS, MAX_REQUESTS + 1, 2 * MAX_REQUESTS + 3])
def test_many_requests_travel_in_messages_that_a_device_accepts(count: int) -> None:
    sent = Sent()
    send_requests(sent, [request(seq) for seq in range(count)], 1000)
    told = [read_requests(payload).requests for _, payload in sent.messages]
    assert [len(each) for each in told] == [min(MAX_REQUESTS, count - at) for at in range(0, count, MAX_REQUESTS)]
    assert [one.seq for each in told for one in each] == list(range(count))
    assert all(len(payload) <= MAX_PAYLOAD_BYTES for _, payload in sent.messages)


def test_each_device_is_asked_for_its_own_samples() -> None:
    sent = Sent()
    send_requests(sent, [request(1), request(2, "cam-2"), request(3)], 1000)
    told = {topic: [one.seq for one in read_requests(payload).requests] for topic, payload in sent.messages}
    assert told == {down_topic("cam-1", Down.REQUESTS): [1, 3], down_topic("cam-2", Down.REQUESTS): [2]}


def test_nothing_to_say_sends_nothing() -> None:
    sent = Sent()
    send_acks(sent, [])
    send_requests(sent, [], 1000)
    assert sent.messages == []


def test_without_a_broker_sending_neither_waits_nor_fails(unused_port: int) -> None:
    commands = MqttCommands(Mqtt(port=unused_port))
    commands.send("topic", b"")
    commands.close()
    Silence().send("topic", b"")


@pytest.mark.parametrize("setting", ["password_file", "ca_file"])
def test_a_file_that_is_not_there_is_an_error_at_the_start(setting: str, unused_port: int) -> None:
    with pytest.raises(SettingsError, match=f"mqtt.{setting} /nowhere/file"):
        MqttCommands(Mqtt.model_validate({"port": unused_port, setting: "/nowhere/file"}))
