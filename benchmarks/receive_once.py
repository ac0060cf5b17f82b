"""Receive what waits at a broker, once, in this process; print what it took.

    python -m benchmarks.receive_once {bare|ingest} MESSAGES [section.key=value …]

`bare` counts in `on_message` and lets paho acknowledge; `ingest` is Gleaner's own, log and fsync included.
Both connect with the same options, under a client id whose session has been collecting messages.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pipelines import metrics
from pipelines.ingest import ingest
from pipelines.log import LogWriter
from pipelines.mqtt import open_client
from pipelines.settings import Settings, load
from pipelines.stop import Stop

BARE = "gleaner-bare"
FILTER = "gleaner/v1/+/+/up/+"


def main(arguments: list[str]) -> None:
    """Print wall and CPU seconds as one JSON object."""
    kind, messages, *told = arguments
    settings = load(None, told)
    receive = {"bare": _bare, "ingest": _ingest}[kind]
    if kind == "ingest":
        LogWriter(settings.log_dir, settings.log.partitions).close()
    sys.stdout.write(json.dumps(_measured(lambda: receive(settings, int(messages)))) + "\n")


def _measured(what: Callable[[], None]) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    what()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {"wall_s": wall, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _bare(settings: Settings, messages: int) -> None:
    left = messages

    def on_message(client: Any, _userdata: Any, _message: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            client.disconnect()

    client = open_client(settings.mqtt, BARE, keep_session=True)
    client.on_message = on_message
    client.subscribe(FILTER, qos=1)
    client.loop_forever()


def _ingest(settings: Settings, messages: int) -> None:
    stop = Stop()

    def watch() -> None:
        while metrics.LOGGED._value.get() < messages:
            time.sleep(0.005)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    ingest(settings, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
