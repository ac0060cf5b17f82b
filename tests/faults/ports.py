"""Ports for servers that come and go, where no outgoing connection takes one while its server is down."""

import random
import socket
from typing import Final

_BELOW_EPHEMERAL: Final = range(20_000, 32_000)


def port() -> int:
    """A loopback port that is free now."""
    while True:
        chosen = random.choice(_BELOW_EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", chosen))
            except OSError:
                continue
            return chosen
