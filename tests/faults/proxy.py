"""A TCP proxy before the broker: it cuts connections, and holds back what flows one way until it cuts."""

import socket
import threading
import time
from contextlib import suppress
from typing import Final

_CHUNK: Final = 65_536
_POLL_S: Final = 0.02
UP, DOWN = "up", "down"


class Proxy:
    """Listens on a free loopback port and passes on to another one, until it is closed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._held: set[str] = set()
        self._open: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection."""
        with self._mutex:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def swallow(self, direction: str, seconds: float) -> None:
        """Take what flows in one direction and never pass it on; after `seconds` all connections are cut."""
        self._held.add(direction)
        time.sleep(seconds)
        self.cut()
        self._held.discard(direction)

    def close(self) -> None:
        """Stop listening and cut."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._mutex:
                self._open |= {near, far}
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._pump, args=(far, near, DOWN), daemon=True)
        back.start()
        self._pump(near, far, UP)
        back.join()
        with self._mutex:
            self._open -= {near, far}
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                if direction in self._held:
                    while direction in self._held:
                        time.sleep(_POLL_S)
                    break  # what was taken is lost: nothing may follow it
                sink.sendall(chunk)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
