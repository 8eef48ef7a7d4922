"""Asking one HTTP server for a file, or for the rest of a file, within a time limit.

New in this package, on `urllib` of the standard library alone. Only https is allowed, and http on this
machine; that also holds for redirects. `torchmoji.weights.download` uses it for each source of a file.
"""

import http.client
import re
import threading
import time
import urllib.request
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

SILENCE = 20.0
"""Seconds without a byte after which a source is given up."""

Response = http.client.HTTPResponse | HTTPError
"""What a server answers; urllib's error for a status such as 404 can be read in the same way."""


class SourceFailed(Exception):
    """One source did not deliver the file; the message says why."""


def open_at(url: str, offset: int, deadline: float) -> tuple[Response, int]:
    """Ask for a file from byte `offset` on, or for all of it where the server cannot do that.

    Args:
        url: Where the file is.
        offset: Position of the first byte wanted.
        deadline: When to give up, on the clock of `time.monotonic`, in seconds.

    Returns:
        The response, to be closed by the caller, and the position of its first byte: `offset` or 0.

    Raises:
        SourceFailed: There is no answer in time, or the server does not have the file.
    """
    if offset:
        response = _open(url, {"Range": f"bytes={offset}-"}, deadline)
        if response.status == 206 and _first_byte(response) == offset:
            return response, offset
        if response.status == 200:
            return response, 0
        response.close()
    response = _open(url, {}, deadline)
    if response.status != 200:
        response.close()
        raise SourceFailed(f"HTTP status {response.status}: {' '.join(str(response.reason).split())}")
    return response, 0


def _first_byte(response: Response) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _open(url: str, headers: dict[str, str], deadline: float) -> Response:
    """Send a GET request and wait for the headers of the answer, until `deadline` and no longer.

    The time limit of a socket starts afresh with each byte and each address, and does not cover name look-up.
    So the request is made in a thread of its own, which is left to itself when the time is up.
    """
    seconds = deadline - time.monotonic()
    answer: Future[Response] = Future()

    def request() -> None:
        try:
            response = _request(url, headers, min(seconds, SILENCE))
        except Exception as error:
            with suppress(InvalidStateError):
                answer.set_exception(error)
            return
        try:
            answer.set_result(response)
        except InvalidStateError:  # nobody waits any more
            response.close()

    if seconds > 0:
        threading.Thread(target=request, daemon=True).start()
        try:
            wait([answer], timeout=seconds)
        except BaseException:
            answer.cancel()
            raise
    if answer.cancel():
        raise SourceFailed("gave no answer in time")
    try:
        return answer.result()
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            raise SourceFailed("gave no answer in time") from None
        raise SourceFailed(f"no proper answer ({type(cause).__name__}: {cause})") from error


def _request(url: str, headers: dict[str, str], timeout: float) -> Response:
    _check_url(url)
    request = urllib.request.Request(url, headers={"User-Agent": "torchmoji"} | headers)
    try:
        response: Response = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except HTTPError as error:
        response = error
    return response


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    ):
        return
    raise SourceFailed(f"{url} is refused: only https is allowed (and http on this machine)")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to allowed URLs, and status 308, which Python 3.10 does not know."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _check_url(newurl)
        except Exception:
            fp.close()
            raise
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302
