"""A proxy between a store and whoever asks it, with faults to switch on: a thread for each connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

_HEADER_END = b"\r\n\r\n"
_OVERLOADED = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
)


class Fault(StrEnum):
    NONE = "none"
    OVERLOADED = "overloaded"  # 503 without asking the store
    HANGING = "hanging"  # the request is read, nothing answers
    CUT = "cut"  # the store gets half of the body, then the connection ends
    ALTERED = "altered"  # one byte of the body is another one
    UNANSWERED = "unanswered"  # the store does it, its answer is thrown away


class Proxy:
    """What the test changes and reads while it runs.

    Attributes:
        fault: what befalls requests of `methods` from now on.
        methods: those that suffer.
        seen: method of each request, in order.
        endpoint: where to ask.
    """

    def __init__(self, upstream: str) -> None:
        self.fault, self.methods, self.seen = Fault.NONE, {"PUT"}, list[str]()
        self.drop_headers: set[str] = set()
        host, port = upstream.split(":")
        self._upstream = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._released = threading.Event()
        self.endpoint = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._released.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while (head := _head_of(client)) is not None:
                method = head.split(b" ", 1)[0].decode()
                self.seen.append(method)
                if b"100-continue" in head.lower():
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                fault = self.fault if method in self.methods else Fault.NONE
                if not self._pass_on(client, self._without(head), fault):
                    return

    def _pass_on(self, client: socket.socket, head: bytes, fault: Fault) -> bool:
        """One request and its answer; whether the connection goes on."""
        length = _length_of(head)
        body = _exactly(client, length)
        if fault is Fault.OVERLOADED:
            client.sendall(_OVERLOADED[1] % len(_OVERLOADED[0]) + _OVERLOADED[0])
            return False
        if fault is Fault.HANGING:
            self._released.wait()
            return False
        if fault is Fault.ALTERED and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        with socket.create_connection(self._upstream) as store:
            store.sendall(head + (body[: len(body) // 2] if fault is Fault.CUT else body))
            if fault is Fault.CUT:
                return False
            answer = store.recv(1 << 16)  # by now the store has done it
            while answer and fault is not Fault.UNANSWERED:
                client.sendall(answer)
                answer = store.recv(1 << 16)
        return False

    def _without(self, head: bytes) -> bytes:
        """The head without headers that an old store would not know; one answer for each connection."""
        dropped = {*self.drop_headers, "expect", "connection"}
        lines = head.removesuffix(_HEADER_END).split(b"\r\n")
        kept = [line for line in lines if line.split(b":")[0].decode().lower() not in dropped]
        return b"\r\n".join([*kept, b"Connection: close"]) + _HEADER_END


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy before `upstream` until the block ends."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()


def _head_of(client: socket.socket) -> bytes | None:
    head = b""
    while not head.endswith(_HEADER_END):
        byte = client.recv(1)
        if not byte:
            return None
        head += byte
    return head


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def _exactly(client: socket.socket, length: int) -> bytes:
    body = bytearray()
    while len(body) < length and (chunk := client.recv(min(1 << 16, length - len(body)))):
        body += chunk
    return bytes(body)
