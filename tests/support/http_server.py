"""A file server on loopback that misbehaves in chosen ways and remembers what it was asked.

Each function below that gives a `Behaviour` is one way to answer; `FileServer.serve` puts it at a path.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Answers each path with its behaviour, any other with 404; `requests` are pairs of path and range.

    `stopping` is set when the server is about to end, and by tests to let blocked answers go on.
    """

    daemon_threads = False  # `server_close` waits for the answers in progress

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.stopping = threading.Event()

    def serve(self, path: str, behaviour: "Behaviour") -> str:
        """Answer requests for `path` so from now on; gives the URL."""
        self.behaviours[path] = behaviour
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address) -> None:
        """A client that gives up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.server.behaviours.get(self.path, missing)(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def start(self, status: int = 200, **headers: object) -> None:
        """Send the status line and headers; `content_length=3` becomes `Content-Length: 3`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def range_start(self) -> int:
        """The first byte asked for; 0 without a range."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0


Behaviour = Callable[[_Handler], None]


@contextmanager
def running_server() -> Iterator[FileServer]:
    """A server on a free port of loopback, ended with the block."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def missing(handler: _Handler) -> None:
    """Does not have the file."""
    handler.send_error(404)


def silent(handler: _Handler) -> None:
    """Accepts the request and never answers."""
    handler.server.stopping.wait(30)


def redirects(location: str) -> Behaviour:
    """Sends the client to another URL."""
    return lambda handler: handler.start(302, location=location, content_length=0)


def whole(content: bytes) -> Behaviour:
    """Sends all of it, whatever range is asked for."""

    def answer(handler: _Handler) -> None:
        handler.start(content_length=len(content))
        handler.wfile.write(content)

    return answer


def ranged(content: bytes) -> Behaviour:
    """Sends the range asked for, as a good server does."""

    def answer(handler: _Handler) -> None:
        start = handler.range_start()
        handler.start(206 if start else 200, content_length=len(content) - start)
        handler.wfile.write(content[start:])

    return answer


def cut_off(content: bytes, after: int) -> Behaviour:
    """Announces the range asked for and closes the connection after some bytes of it."""

    def answer(handler: _Handler) -> None:
        start = handler.range_start()
        handler.start(206 if start else 200, content_length=len(content) - start)
        handler.wfile.write(content[start : start + after])

    return answer


def pauses(content: bytes, after: int) -> Behaviour:
    """Sends some bytes from the start of the range asked for, and the rest when the server is `stopping`."""

    def answer(handler: _Handler) -> None:
        start = handler.range_start()
        handler.start(206 if start else 200, content_length=len(content) - start)
        handler.wfile.write(content[start : start + after])
        handler.server.stopping.wait(30)
        handler.wfile.write(content[start + after :])

    return answer


def trickles(content: bytes, seconds: float) -> Behaviour:
    """Sends the content a byte at a time with a pause after each."""

    def answer(handler: _Handler) -> None:
        handler.start(content_length=len(content))
        for byte in content:
            handler.wfile.write(bytes([byte]))
            if handler.server.stopping.wait(seconds):
                return

    return answer
