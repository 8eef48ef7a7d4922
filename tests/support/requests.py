"""Requests to a server, as a program without a client library makes them."""

import json
import urllib.error
import urllib.request


def fetch(url, data=None, headers=()):
    """Status, headers and text of an answer; what is no bytes goes as JSON."""
    body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
    kind = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, body, {**kind, **dict(headers)})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode("utf-8")
