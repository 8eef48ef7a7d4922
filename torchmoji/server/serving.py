"""Serving the application on this machine: a socket, uvicorn with limits, and Ctrl-C.

    torchmoji.server.serve()                                # until Ctrl-C
    with torchmoji.server.served() as address: ...          # in a thread

FastAPI and uvicorn are the extra `server`: they check and describe what comes in, and are what most people
know who would change this server. `torchmoji.demo` is another name of this room, `launch` of `serve`.
"""

import errno
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.runtime.machine import require
from torchmoji.server.settings import Settings

if TYPE_CHECKING:
    import asyncio

    from fastapi import FastAPI
    from uvicorn.protocols.http.h11_impl import H11Protocol

PORT = 7860
_MOST = 1 << 28  # bytes of all answers being taken; of more the one that has taken longest is dropped
_LEAST = 1 << 20  # bytes of an answer that a client is to take in a period, where so many are left


def create_app(pipeline: MojiPipeline | None = None, settings: Settings | None = None) -> "FastAPI":
    """Make the application, for an ASGI server of one's own; `serve` also limits slow and large heads.

    Args:
        pipeline: By default the model that comes with the package. One without classes has no page.
        settings: Access and limits.

    Raises:
        ModuleNotFoundError: The extra `server` is missing.
    """
    for package in ("fastapi", "uvicorn", "orjson", "prometheus_client"):
        require(package, "server", "the server")
    from torchmoji.server.app import Application

    pipeline = MojiPipeline.from_pretrained() if pipeline is None else pipeline
    return Application(pipeline, settings or Settings()).app


def serve(
    pipeline: MojiPipeline | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = PORT,
    settings: Settings | None = None,
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are being answered have a few seconds to end.

    Args:
        pipeline: See `create_app`.
        host: The address to listen at. "0.0.0.0" lets other machines in: set a key, see `Settings`.
        port: 0 or None picks a free one.
        settings: Access and limits; `host` is added to its hosts.
        open_browser: Open the page in the user's browser.
        ready: Called with the page's address once it can be opened.

    Raises:
        OSError: The port is in use, or there is no such address.
        ValueError: The port is no port, or there is a page to be opened and the model has no classes.
        ModuleNotFoundError: The extra `server` is missing.
    """
    if open_browser and pipeline is not None and not pipeline.classes:
        raise ValueError("the page shows classes, but this model gives features alone: use another")

    def started(address: str) -> None:
        if ready is not None:
            ready(address)
        if open_browser:
            webbrowser.open(address)

    # the server stops at the first Ctrl-C by itself, and raises it again when it is done
    with (
        _server(pipeline, host, port, settings, started) as (running, listener, _),
        suppress(KeyboardInterrupt),
    ):
        running.run(sockets=[listener])


launch = serve


@contextmanager
def served(
    pipeline: MojiPipeline | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    settings: Settings | None = None,
) -> Iterator[str]:
    """Serve in a thread while the block runs; arguments and errors as of `serve`.

    Yields:
        The page's address.
    """
    has_started = threading.Event()
    with _server(pipeline, host, port, settings, lambda _: has_started.set()) as (running, listener, address):
        thread = threading.Thread(target=running.run, args=([listener],), name="torchmoji-server")
        thread.start()
        try:
            if not has_started.wait(60):
                raise OSError("the server did not start within a minute")
            yield address
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def _server(
    pipeline: MojiPipeline | None,
    host: str,
    port: int | None,
    settings: Settings | None,
    started: Callable[[str], None],
) -> Iterator[tuple[Any, socket.socket, str]]:
    """A server that is not running yet, the socket for it, which already has its port, and its address."""
    settings = settings or Settings()
    uvicorn = require("uvicorn", "server", "the server")
    with _listener(host, port or 0) as listener:
        settings = replace(settings, hosts=(*settings.hosts, host))
        number = listener.getsockname()[1]
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        address = f"http://{name}:{number}/"
        from torchmoji.server.guard import LARGEST_HEAD

        config = uvicorn.Config(
            create_app(pipeline, settings),
            http=patient_protocol(settings.body_seconds),
            ws="none",
            log_config=None,  # the process's logging is not ours to set up
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            limit_concurrency=settings.max_connections + 1,  # from so many on it refuses
            timeout_graceful_shutdown=settings.stop_seconds,
        )

        class Server(uvicorn.Server):  # type: ignore[name-defined]
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets=sockets)
                started(address)

        yield Server(config), listener, address


def _listener(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 (a free one) to 65535, got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        message = (
            f"cannot listen at {host}, port {port}: {error.strerror or error}; "
            "the host is 127.0.0.1, or 0.0.0.0 to let other machines in"
        )
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} is in use: stop what uses it, or take another port, 0 for any free one"
        raise OSError(message) from error


def patient_protocol(seconds: float) -> "type[H11Protocol]":
    """Uvicorn's HTTP protocol, which closes connections of clients that neither ask nor take their answer.

    uvicorn itself limits the time between two requests, but not that to the first, nor that to the end of a
    head, nor that in which an answer is taken: the answer would stay in memory as long as the client likes.
    `seconds` go from the connection, or the first byte of a further request, to the end of its head; in as
    many a client takes 1 MB of an answer, or the rest.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    slow: dict[Any, None] = {}  # in the order in which they began to wait for their clients

    class Protocol(H11Protocol):
        _timer: "asyncio.TimerHandle | None" = None
        _taking: "asyncio.TimerHandle | None" = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop()
            self._stop_taking()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_taking()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_taking()

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:  # the head is here
                self._stop()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _watch_taking(self) -> None:
            slow[self] = None
            if sum(other.transport.get_write_buffer_size() for other in slow) > _MOST:
                next(iter(slow)).transport.abort()
            left = self.transport.get_write_buffer_size()
            self._taking = self.loop.call_later(seconds, self._check_taking, left)

        def _check_taking(self, left: int) -> None:
            if self.transport.get_write_buffer_size() > max(0, left - _LEAST):
                self.transport.abort()
            else:
                self._watch_taking()

        def _stop_taking(self) -> None:
            if self._taking is not None:
                self._taking.cancel()
                self._taking = None
                del slow[self]

    return Protocol
