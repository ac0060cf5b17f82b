"""A broker for the demo: Mosquitto if it is here, else the embedded one."""

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

from amqtt.broker import Broker

from schemas.errors import SettingsError

_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 1000
max_queued_messages 20000
max_packet_size 262144
retain_available false
log_type error
log_type warning
"""


def broker_command(choice: str, port: int, folder: Path) -> tuple[str, list[str]]:
    """Which broker it is, and the command that starts it on loopback.

    Raises:
        SettingsError: Mosquitto was asked for and is not on the PATH.
    """
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if choice == "mosquitto" and mosquitto is None:
        raise SettingsError(
            "no mosquitto on the PATH; install it (apt-get install mosquitto), or say --broker embedded"
        )
    if mosquitto is None or choice == "embedded":
        return "embedded", [sys.executable, "-m", "pipelines.demo.broker", str(port)]
    config = folder / "mosquitto.conf"
    config.write_text(_MOSQUITTO.format(port=port))
    return "mosquitto", [mosquitto, "-c", str(config)]


async def _serve(port: int) -> None:
    """Run the embedded broker until a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
