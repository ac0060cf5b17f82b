"""Outages: processes that are killed, stopped for a while or started again, and connections that break."""

import random
import signal
import socket
import time
from contextlib import suppress

from tests.faults.processes import Process
from tests.faults.proxy import DOWN, UP
from tests.faults.world import World


def kill_one(world: World, rng: random.Random) -> int:
    """kill -9 of one process."""
    return world.processes[rng.choice(sorted(world.processes))].down()


def kill_some(world: World, rng: random.Random) -> int:
    """kill -9 of several at once; the broker, where it is among them, may forget everything too."""
    names = rng.sample(sorted(world.processes), rng.randint(2, len(world.processes)))
    killed = sum(world.processes[name].down() for name in names)
    if "broker" in names and rng.random() < 0.5:
        wipe_broker(world, rng)
    return killed


def wipe_broker(world: World, rng: random.Random) -> int:
    """kill -9 of the broker, whose memory is lost with it."""
    broker = world.processes["broker"]
    broker.held = True
    killed = broker.down()
    world.wipe_broker()
    time.sleep(rng.uniform(0.0, 0.5))
    broker.held = False
    return killed


def restart_one(world: World, rng: random.Random) -> int:
    """SIGTERM: a process ends as it wants to, and is started again."""
    world.processes[rng.choice(sorted(world.processes))].down(signal.SIGTERM)
    return 0


def stop_one(world: World, rng: random.Random) -> int:
    """SIGSTOP for a while: it is there and does not answer."""
    process = world.processes[rng.choice(sorted(world.processes))]
    process.send(signal.SIGSTOP)
    time.sleep(rng.uniform(1.0, 3.0))
    process.send(signal.SIGCONT)
    return 0


def no_flow(world: World, rng: random.Random) -> int:
    """The dataflow is killed and stays away: nothing is acknowledged, small outboxes give up what they have sent."""
    return _away(world.processes["run"], rng.uniform(3.0, 4.0))


def no_broker(world: World, rng: random.Random) -> int:
    """The broker is killed and stays away until small outboxes give up what nobody else has."""
    return _away(world.processes["broker"], rng.uniform(3.0, 4.0))


def _away(process: Process, seconds: float) -> int:
    process.held = True
    killed = process.down()
    time.sleep(seconds)
    process.held = False
    return killed


def cut(world: World, rng: random.Random) -> int:
    """Connections break, some times in a row."""
    proxy = rng.choice((world.to_devices, world.to_servers))
    for _ in range(rng.randint(1, 4)):
        proxy.cut()
        time.sleep(rng.uniform(0.1, 0.5))
    return 0


def swallow(world: World, rng: random.Random) -> int:
    """What flows one way is taken and lost: PUBLISHes, or the answers to them."""
    proxy = rng.choice((world.to_devices, world.to_servers))
    proxy.swallow(rng.choice((UP, DOWN)), rng.uniform(0.5, 2.0))
    return 0


def garbage(world: World, rng: random.Random) -> int:
    """Bytes that are no MQTT, sent to the broker."""
    for _ in range(20):
        with suppress(OSError), socket.create_connection(("127.0.0.1", world.to_servers.port), timeout=1) as link:
            link.sendall(rng.randbytes(rng.randint(1, 4000)))
    return 0


def everything(world: World, rng: random.Random) -> int:
    """kill -9 of all at once, as when the power of one machine goes."""
    return sum(process.down() for process in world.processes.values())


OUTAGES = (
    kill_one,
    kill_some,
    wipe_broker,
    restart_one,
    stop_one,
    no_flow,
    no_broker,
    cut,
    swallow,
    garbage,
    everything,
)
