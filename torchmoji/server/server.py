"""The server of the page of `torchmoji.server.demo`: gradio's application, mounted and kept from the outside.

Serving is done here and not by `Blocks.launch`, which prints, asks its own address over HTTP, looks for
another port where one is in use, and cannot add a header to what it sends.
"""

import errno
import os
import re
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import fastapi
import gradio as gr
import uvicorn

from torchmoji.server.page import blocks, in_a_loop, looks
from torchmoji.server.reading import Reader

LARGEST_UPLOAD = "50mb"
_LARGEST_BODIES = {"/gradio_api/upload": 51 << 20}  # what goes around the file included
_LARGEST_BODY = 1 << 20
"""Bytes of any other request: texts are short."""

_POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "  # gradio has its settings and templates in the page
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_ELSEWHERE = re.compile(
    rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*'
    rb'|<script[^>]*\ssrc="(?:https?:)?//[^>]*>\s*</script>\s*'
    rb'|<link[^>]*\shref="(?:https?:)?//[^>]*>\s*'
)
"""Elements of gradio's page with addresses elsewhere: for link previews, scripts and fonts."""
_FETCHES = re.compile(r"/gradio_api/(proxy=|file[=/]\s*https?:)", re.IGNORECASE)
"""Addresses at which gradio would fetch what is elsewhere and pass it on."""
_TEMPORARY = "GRADIO_TEMP_DIR"
_SECONDS_TO_STOP = 2

_CLOSE = (b"connection", b"close")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]


class Server(uvicorn.Server):
    """A server that says when it has started, and ends the page's open streams when it stops.

    Args:
        page: The page.
        address: Where the page can be opened.
        started: Called with the address, in the server's thread.
        stopped: Called when it has stopped, before a signal that stopped it ends the process.
    """

    def __init__(
        self, page: gr.Blocks, address: str, started: Callable[[str], None], stopped: Callable[[], None]
    ) -> None:
        mounted = in_a_loop(partial(_mounted, page))
        config = uvicorn.Config(
            SameOrigin(mounted),
            log_config=None,  # the process's logging is not ours to set up
            access_log=False,
            timeout_graceful_shutdown=_SECONDS_TO_STOP,
        )
        super().__init__(config)
        self.address = address
        self._page, self._started, self._stopped = page, started, stopped
        mount: Any = mounted.routes[-1]
        self._gradio = mount.app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets=sockets)
        self._started(self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._page.is_running = False
        self._gradio.stop_event.set()  # or the browser's open connection would keep us waiting
        await super().shutdown(sockets=sockets)
        self._stopped()


def _mounted(page: gr.Blocks) -> fastapi.FastAPI:
    page.has_launched = True  # else gradio takes any path of this machine for an upload
    options: dict[str, Any] = {
        "footer_links": ["api"],
        "run_history": False,  # texts are not kept, in the browser neither
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "max_file_size": LARGEST_UPLOAD,
        **looks(),
    }
    return gr.mount_gradio_app(fastapi.FastAPI(openapi_url=None), page, path="/", **options)


class SameOrigin:
    """Keeps the page to this server: by a policy for browsers, and by refusing to fetch for them.

    It also takes what gradio has from elsewhere out of the page: a script in older versions, fonts, and what
    link previews read. And it refuses requests that are larger than an upload or a text needs to be.

    Args:
        application: An ASGI application.
    """

    def __init__(self, application: _Application) -> None:
        self._application = application

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """See ASGI."""
        is_page = scope["type"] == "http" and scope["path"] == "/"
        start: _Message = {}
        body = b""

        async def guarded(message: _Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            if not is_page:
                await send(message)
            elif message["type"] == "http.response.start":
                start = message  # sent with the length of the changed page
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    body = _ELSEWHERE.sub(b"", body)
                    others = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                    await send({**start, "headers": [*others, (b"content-length", str(len(body)).encode())]})
                    await send({**message, "body": body})

        if scope["type"] == "http" and (refusal := _refusal(scope)) is not None:
            status, message = refusal
            while status == 413 and (await receive()).get("more_body"):
                pass  # a client listens only after it has sent all; nothing of it is kept
            await guarded({"type": "http.response.start", "status": status, "headers": [_CLOSE]})
            await guarded({"type": "http.response.body", "body": f"{message}\n".encode()})
            return
        if is_page:  # it is changed, which it could not be while packed
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        await self._application(scope, receive, guarded)


def _refusal(scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
    """Status and message for a request that is not answered."""
    if _FETCHES.match(scope["path"]):
        return 403, "this server fetches nothing from elsewhere"
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return 411, "give the size of the request, Content-Length"
    most = _LARGEST_BODIES.get(scope["path"], _LARGEST_BODY)
    size = int(headers.get(b"content-length", b"0"))  # uvicorn has checked that it is a number
    if size > most:
        return 413, f"the request has {size} bytes, the maximum allowed size is {most}"
    return None


@contextmanager
def server(
    make_reader: Callable[[], Reader], host: str, port: int | None, started: Callable[[str], None]
) -> Iterator[tuple[Server, socket.socket]]:
    """Give a server that is not running yet, and the socket for it, which already has its port.

    Args:
        make_reader: Loads the model.
        host: The address to listen at.
        port: 0 or None picks a free one.
        started: Called with the page's address once the server runs.

    Raises:
        OSError: The port is in use, or there is no such address.
    """
    with _listener(host, port or 0) as listener, _private_folder() as remove:
        number = listener.getsockname()[1]
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        page = blocks(make_reader())
        yield Server(page, f"http://{name}:{number}/", started, remove), listener


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


@contextmanager
def _private_folder() -> Iterator[Callable[[], None]]:
    """Give uploads a folder that only this user can read, and a function that removes it, as the end does.

    gradio takes its name from the environment; where the user has set it, it stays.
    """
    if os.environ.get(_TEMPORARY):
        yield lambda: None
        return
    folder = tempfile.TemporaryDirectory(prefix="torchmoji-demo-", ignore_cleanup_errors=True)
    with folder as name:
        os.environ[_TEMPORARY] = name
        try:
            yield folder.cleanup
        finally:
            os.environ.pop(_TEMPORARY, None)
