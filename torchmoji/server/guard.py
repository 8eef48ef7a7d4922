"""What stands before the application: who may ask, how large and slow a request may be, how errors look.

An ASGI middleware. Errors are JSON in the form of what is asked for: that of OpenAI under `/v1/`, elsewhere
that of Hugging Face's text-embeddings-inference. No message of an error is logged: it may have a user's text
in it.
"""

import asyncio
import hmac
import ipaddress
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from torchmoji.server.settings import Settings

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN = ("/", "/health", "/demo.css", "/demo.js", "/icon.svg")
"""What needs no key: it has no texts, and computes nothing."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_OPENAI = {401: "authentication_error", 429: "rate_limit_error"}
_TEI = {401: "Unauthorized", 429: "Overloaded", 503: "Unhealthy"}
_DRAINED_SECONDS = 5.0
LARGEST_HEAD = 16 << 10
"""Bytes of a request's headers, and of its address."""


def route_path(scope: Message) -> str:
    """The path of a request, without that at which the application is mounted in another."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def failure(path: str, status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as JSON, in the form that clients of a path know."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    content: dict[str, Any] = {"error": message, "error_type": _TEI.get(status, "Validation")}
    if status >= 500:
        content["error_type"] = _TEI.get(status, "Backend")
    if path.startswith("/v1/"):
        code = "invalid_api_key" if status == 401 else None
        told = {"message": message, "type": _OPENAI.get(status, kind), "param": None, "code": code}
        content = {"error": told}
    return JSONResponse(content, status, headers)


class Guard:
    """Refuses requests before they reach the application, and sees to it that each gets an answer.

    `observe` is called with path, status and seconds of each request.
    """

    def __init__(
        self, app: Any, settings: Settings, observe: Callable[[str, int, float], object]
    ) -> None:  # `app` by name: so do versions of Starlette call it
        self._application, self._settings, self._observe = app, settings, observe
        self._hosts = {name.lower().strip("[]") for name in (*LOOPBACK, *settings.hosts)}
        self._arriving = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        received = 0

        is_gone = is_answered = False
        request = asyncio.current_task()
        watcher: asyncio.Task[None] | None = None

        async def watch() -> None:
            """Give a request up when its client goes, which computes for nobody then."""
            nonlocal is_gone
            while (await receive())["type"] != "http.disconnect":
                pass
            if request is not None and not is_answered:
                is_gone = True
                request.cancel()

        async def guarded_send(message: Message) -> None:
            nonlocal status, is_answered
            is_answered = message["type"] == "http.response.body" and not message.get("more_body")
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message.get("headers", [])}
                added = [pair for pair in _HEADERS if pair[0] not in own]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        path = route_path(scope)
        is_file = path in ("/file", "/columns")
        most = self._settings.max_file if is_file else self._settings.max_body
        seconds = self._settings.file_seconds if is_file else self._settings.body_seconds
        deadline, is_whole = time.monotonic() + seconds, False

        async def counted() -> Message:
            nonlocal received, is_whole, watcher
            if is_whole:  # what comes now is that the client has gone
                return await receive()
            with anyio.move_on_after(deadline - time.monotonic()) as limit:
                message = await receive()
            if limit.cancelled_caught:
                raise HTTPException(408, f"the body did not arrive within {seconds:g} seconds")
            size = len(message.get("body", b""))
            received += size
            self._arriving += 0 if is_file else size
            is_whole = not message.get("more_body")
            if received > most:
                await _drain(receive, is_whole)
                is_whole = True
                raise HTTPException(413, f"the request has more than {most} bytes: send less at once")
            if self._arriving > self._settings.max_arriving:
                raise HTTPException(503, "too much arrives at once", {"Retry-After": "1"})
            if is_whole:
                watcher = asyncio.create_task(watch())
            return message

        try:
            refusal = self._refusal(scope, most)
            if refusal is not None:
                waits = any(name == b"expect" for name, _ in scope["headers"])  # with the body, for our word
                if refusal.status_code == 413 and not waits:
                    await _drain(receive, False)
                raise refusal
            await self._application(scope, counted, guarded_send)
        except HTTPException as error:
            if not status:
                headers = {**(error.headers or {}), "connection": "close"}
                answer = failure(path, error.status_code, error.detail, headers)
                await answer(scope, receive, guarded_send)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            if not is_gone and not status:
                answer = failure(path, 503, "the server is being stopped", {"connection": "close"})
                await answer(scope, receive, guarded_send)
        except Exception as error:
            logger.error("%s", _told(error))
            if not status:  # else the answer cannot be ended, and the server closes the connection
                answer = failure(path, 500, "the server failed: its log says where")
                await answer(scope, receive, guarded_send)
        finally:
            if watcher is not None:
                watcher.cancel()
            self._arriving -= 0 if is_file else received
            self._observe(path, status, time.perf_counter() - started)

    def _refusal(self, scope: Message, most: int) -> HTTPException | None:
        """Why a request is not answered."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
            return HTTPException(431, f"the headers have more than {LARGEST_HEAD} bytes")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LARGEST_HEAD:
            return HTTPException(414, f"the address has more than {LARGEST_HEAD} bytes")
        hosts = [value.decode("latin-1") for value in headers.get(b"host", [])]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return HTTPException(400, "this server does not go by that name: start it with --allow-host NAME")
        origin = b"".join(headers.get(b"origin", [])).decode("latin-1")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            is_own = not origin or origin.lower().partition("://")[2] == hosts[0].lower()
            sites = headers.get(b"sec-fetch-site", [])
            is_foreign = not is_own or (not origin and sites not in ([], [b"same-origin"], [b"none"]))
            if is_foreign and origin not in self._settings.origins and "*" not in self._settings.origins:
                return HTTPException(
                    403, "pages of other sites may not ask: start it with --allow-origin SITE"
                )
        if self._settings.key is not None and route_path(scope) not in OPEN and scope["method"] != "OPTIONS":
            scheme, _, given = b"".join(headers.get(b"authorization", [])).partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given, self._settings.key.encode()):
                return HTTPException(
                    401,
                    "this server needs its key: Authorization: Bearer KEY",
                    {"WWW-Authenticate": "Bearer"},
                )
        size = b"".join(headers.get(b"content-length", [])) or b"0"
        if not size.isdigit() or len(size) > 18 or int(size) > most:
            return HTTPException(413, f"the request has more than {most} bytes: send less at once")
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
        name = name.lower().strip("[]")
        if name in self._hosts or "*" in self._hosts:
            return True
        if not self._hosts & {"0.0.0.0", "::"}:
            return False
        try:  # a name can be made to lead here, an address in numbers cannot
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False


async def _drain(receive: Receive, is_whole: bool) -> None:
    """Read on for a moment and keep nothing: most clients listen only after they have sent all."""
    with anyio.move_on_after(_DRAINED_SECONDS):
        while not is_whole:
            is_whole = not (await receive()).get("more_body")


def _told(error: Exception) -> str:
    """Where an error was raised, without its message."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return f"{type(error).__name__}: " + " > ".join(places[-8:])


def _send(path: str) -> str:
    """What to do after a body that is none of the API."""
    inputs = '"input": "so good"' if path.startswith("/v1/") else '"inputs": ["so good"]'
    return f"send JSON in UTF-8 such as {{{inputs}}}"


def add_handlers(app: FastAPI) -> None:
    """Give errors of an application their form."""
    from fastapi.exceptions import RequestValidationError
    from starlette.requests import Request

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        path = route_path(request.scope)
        headers = {**(error.headers or {})}
        if error.status_code in (408, 413, 503):
            headers["connection"] = "close"
        message = {
            404: f"there is no {path[:80]}: /openapi.json has what there is",
            405: f"{path[:80]} takes {headers.get('Allow')}, not {request.method}",
        }.get(error.status_code, error.detail)
        if error.status_code == 400 and error.__cause__:  # FastAPI says no more than that there was an error
            reasons = {UnicodeDecodeError: "is not UTF-8", RecursionError: "has too many lists in lists"}
            reason = reasons.get(type(error.__cause__), "cannot be read")
            message = f"the body {reason}: {_send(path)}"
        return failure(path, error.status_code, message, headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        wrong, path, status = error.errors()[0], route_path(request.scope), 422
        _, *place = wrong["loc"]
        if wrong["type"] == "json_invalid":
            where = f"character {place[0] + 1}: {wrong['ctx']['error']}"
            message, status = f"the body is not JSON ({where}): {_send(path)}", 400
        elif isinstance(wrong.get("input"), bytes):
            message = "the body does not say that it is JSON: send it with Content-Type: application/json"
        elif not place:
            message = f"the body must be an object: {_send(path)}"
        else:
            message = f"{place[0]}: {wrong['msg'].removeprefix('Value error, ')}"
        return failure(path, 400 if path.startswith("/v1/") else status, message)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
