"""`torchmoji.weights.http_source`: requests that are given up; `test_download` covers what servers answer."""

import threading
import time
from collections.abc import Iterator

import pytest

from torchmoji.weights import http_source


class LateResponse:
    """An answer that comes after the caller has given up."""

    def __init__(self) -> None:
        self.asked_for = threading.Event()
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def late_response(monkeypatch: pytest.MonkeyPatch) -> Iterator[LateResponse]:
    response = LateResponse()

    def request(url: str, headers: dict[str, str], timeout: float) -> LateResponse:
        response.asked_for.wait(60)
        return response

    monkeypatch.setattr(http_source, "_request", request)
    yield response
    response.asked_for.set()


def test_an_answer_after_the_limit_is_closed(late_response):
    with pytest.raises(http_source.SourceFailed, match="gave no answer in time"):
        http_source.open_at("https://example.com/f", 0, time.monotonic() + 0.05)
    late_response.asked_for.set()
    assert late_response.closed.wait(60)


def test_an_answer_after_ctrl_c_is_closed(late_response, monkeypatch):
    def interrupted(futures, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(http_source, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        http_source.open_at("https://example.com/f", 0, time.monotonic() + 20)
    late_response.asked_for.set()
    assert late_response.closed.wait(60)


def test_no_time_left_means_no_request(monkeypatch):
    requests = []
    monkeypatch.setattr(http_source, "_request", lambda *arguments: requests.append(arguments))
    with pytest.raises(http_source.SourceFailed, match="gave no answer in time"):
        http_source.open_at("https://example.com/f", 0, time.monotonic() - 1)
    assert requests == []
