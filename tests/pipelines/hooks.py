"""A real HTTP server on loopback that takes notices as somebody's webhook would, with answers to choose."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 60.0


class Hook:
    """What the test changes and reads while it runs.

    Attributes:
        status: of the answers from now on.
        heard: (path, headers, body) of each request, in order, with the status it got.
        url: where to post.
    """

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.heard: list[tuple[str, dict[str, str], bytes, int]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook._answer(self)

            do_GET = do_POST  # noqa: N815 - the name that the server looks for

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?key=secret-in-the-path"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self) -> list[dict[str, Any]]:
        """The notices that were answered with 2xx, repeats included."""
        return [json.loads(body) for _, _, body, status in tuple(self.heard) if status < 300]

    def statuses(self) -> list[int]:
        """What was answered, in order."""
        return [status for *_, status in tuple(self.heard)]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        status = self.status
        self.heard.append((request.path, dict(request.headers), body, status))
        request.send_response(status)
        if 300 <= status < 400:
            request.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()


@contextmanager
def hooked(port: int = 0) -> Iterator[Hook]:
    """A hook until the block ends."""
    hook = Hook(port)
    try:
        yield hook
    finally:
        hook.close()


def until(true: Callable[[], object]) -> None:
    """Return once it is true; fail where it does not come to be."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
