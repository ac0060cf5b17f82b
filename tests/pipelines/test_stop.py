"""Stop: signals that come while one is being handled must not hold anybody up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pipelines.stop import Stop, Stopped, pause

STORM = """
import os, signal, sys, threading
from pipelines.stop import Stop
stop = Stop()
signal.signal(signal.SIGTERM, stop.handle)
sender = threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(int(sys.argv[1]))])
sender.start()
while sender.is_alive():
    stop.set()
assert stop.wait(30)
print("done")
"""


@pytest.fixture
def stop() -> Iterator[Stop]:
    made = Stop()
    before = signal.signal(signal.SIGTERM, made.handle)
    yield made
    signal.signal(signal.SIGTERM, before)


def test_signals_that_interrupt_the_handler_of_others_hold_nobody_up() -> None:
    done = subprocess.run([sys.executable, "-c", STORM, "20000"], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_it_is_set_once_and_stays_set(stop: Stop) -> None:
    assert not stop.is_set()
    assert not stop.wait(0.01)
    for _ in range(3):
        stop.set()
        assert stop.is_set()
        assert stop.wait(0)
        assert stop.wait()


def test_every_waiter_goes_on_when_it_is_set() -> None:
    stop, went_on = Stop(), []
    waiters = [threading.Thread(target=lambda: went_on.append(stop.wait(30))) for _ in range(5)]
    for waiter in waiters:
        waiter.start()
    stop.set()
    for waiter in waiters:
        waiter.join(30)
    assert went_on == [True] * 5


def test_a_signal_ends_a_wait(stop: Stop) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert stop.wait(30)


def test_a_signal_breaks_off_what_is_fragile_and_nothing_else(stop: Stop) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(Stopped), stop.fragile():
        time.sleep(30)
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.is_set()


def test_nothing_fragile_begins_after_a_stop(stop: Stop) -> None:
    stop.set()
    with pytest.raises(Stopped), stop.fragile():
        pytest.fail("it began")


def test_a_pause_comes_back_in_steps_and_ends_with_the_stop(stop: Stop) -> None:
    steps = 0
    for _ in pause(stop, 30, 0.001):
        steps += 1
        if steps == 3:
            stop.set()
    assert steps == 3
    assert not list(pause(stop, 30, 1))
