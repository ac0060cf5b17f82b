"""Streams: whatever a device sends, what is known of it stays within its bounds."""

from operators.seen import Seen
from operators.streams import MAX_AHEAD, MAX_STREAMS, NEWEST, Device


def holes(device: Device, name: str, count: int) -> int:
    """Send every second number; how many were taken."""
    return sum(bool(device.admit(name, 2 * place + 1, 2 * place + 1)[2]) for place in range(count))


def test_the_holes_of_all_streams_together_are_bounded() -> None:
    device = Device()
    taken = sum(holes(device, str(number), 64) for number in range(MAX_AHEAD // 64 + 4))
    assert taken == MAX_AHEAD
    assert sum(len(stream.seen.ahead) for stream in device.streams.values()) == device.ahead == MAX_AHEAD


def test_a_device_with_all_its_holes_goes_on_in_order_and_by_filling_them() -> None:
    device = Device()
    for number in range(MAX_AHEAD // 64):
        holes(device, str(number), 64)
    assert device.admit("new", 0, 9)[2] == ((0, 9),)
    assert device.admit("new", 11, 11)[2] == ()
    assert device.admit("0", 0, 0)[2] == ((0, 0),)
    assert device.ahead == MAX_AHEAD - 1
    assert device.admit("new", 11, 11)[2] == ((11, 11),)


def test_a_stream_too_many_is_refused_and_the_known_ones_are_not() -> None:
    device = Device()
    for number in range(MAX_STREAMS):
        assert not device.refuses(str(number))
        device.admit(str(number), 0, 0)
    assert device.refuses("new")
    assert not device.refuses("0")


def test_fingerprints_are_kept_of_the_streams_that_were_used_last() -> None:
    device = Device()
    for number in range(3 * NEWEST):
        device.admit(str(number), 0, 0)
    old = device.admit("0", 1, 1)[0]
    assert old.prints is None
    device.freshen("0", old)
    kept = [name for name, stream in device.streams.items() if stream.prints is not None]
    assert kept == [*map(str, range(2 * NEWEST + 1, 3 * NEWEST)), "0"]
    assert old.seen == Seen(1)
