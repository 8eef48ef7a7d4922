"""Requests to the server of the demo page."""

import json
import re
import urllib.error
import urllib.request


def fetch(url, data=None, headers=(), method=None):
    """Status, headers and text of an answer; an object goes as JSON."""
    body = None if data is None else json.dumps(data).encode() if isinstance(data, dict) else data
    kind = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, body, {**kind, **dict(headers)}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode("utf-8")


def call(address, endpoint, *values):
    """Call an endpoint in two steps: the event, and its data."""
    url = f"{address}gradio_api/call/{endpoint}"
    number = json.loads(fetch(url, {"data": values})[2])["event_id"]
    event, data = re.findall(r"^(?:event|data): (.*)$", fetch(f"{url}/{number}")[2], re.M)[-2:]
    return event, json.loads(data)
