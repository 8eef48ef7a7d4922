"""`torchmoji.weights.download`, and `torchmoji.weights.http_source` below it, against a misbehaving server
on loopback."""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import http_server
from support.http_server import FileServer

from torchmoji.weights import http_source
from torchmoji.weights.download import DownloadError, RemoteFile, download_file, verify_file

CONTENT = hashlib.sha256(b"seed").digest() * 10  # 320 bytes
PART = "weights.bin.part"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with http_server.running_server() as running:
        yield running


def remote(*sources: str, content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile("weights.bin", len(content), hashlib.sha256(content).hexdigest(), sources)


def fetch(folder: Path, *sources: str, timeout: float = 10.0) -> Path:
    return download_file(remote(*sources), folder, timeout=timeout, progress=False)


def visible(folder: Path) -> list[str]:
    """Names in the folder but the lock's, which begins with a dot."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


# A good source


@pytest.mark.parametrize(
    "behaviour",
    [
        http_server.whole(CONTENT),
        http_server.ranged(CONTENT),
        http_server.without_length(CONTENT),
        http_server.whole(CONTENT, content_type="text/plain; charset=utf-8"),
    ],
)
def test_the_file_is_fetched_under_its_name_alone(server, tmp_path, behaviour):
    path = fetch(tmp_path / "new" / "folder", server.serve("/file", behaviour))
    assert path == tmp_path / "new" / "folder" / "weights.bin"
    assert path.read_bytes() == CONTENT
    assert visible(path.parent) == ["weights.bin"]


def test_a_long_file_arrives_whole(server, tmp_path):
    content = os.urandom(3_000_000)
    url = server.serve("/file", http_server.whole(content))
    path = download_file(remote(url, content=content), tmp_path, progress=False)
    assert path.read_bytes() == content


def test_bytes_beyond_the_end_are_not_taken(server, tmp_path):
    url = server.serve("/file", http_server.without_length(CONTENT + b"more"))
    assert fetch(tmp_path, url).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server, tmp_path, status):
    target = server.serve("/target", http_server.whole(CONTENT))
    url = server.serve("/file", http_server.redirects(target, status))
    assert fetch(tmp_path, url).read_bytes() == CONTENT


def test_the_progress_bar_names_the_file(server, tmp_path, capsys):
    url = server.serve("/file", http_server.whole(CONTENT))
    download_file(remote(url), tmp_path, progress=True)
    assert "weights.bin: 100%" in capsys.readouterr().err


def test_without_progress_nothing_is_printed(server, tmp_path, capsys):
    fetch(tmp_path, server.serve("/file", http_server.whole(CONTENT)))
    assert capsys.readouterr() == ("", "")


# A file that is there already


def test_the_right_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "weights.bin").write_bytes(CONTENT)
    fetch(tmp_path, server.serve("/file", http_server.whole(CONTENT)))
    assert server.requests == []
    assert list(tmp_path.iterdir()) == [tmp_path / "weights.bin"]


@pytest.mark.parametrize("wrong", [b"short", bytes(len(CONTENT))])
def test_a_wrong_file_is_fetched_again_with_a_warning_and_kept_aside(server, tmp_path, caplog, wrong):
    (tmp_path / "weights.bin").write_bytes(wrong)
    path = fetch(tmp_path, server.serve("/file", http_server.whole(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert (tmp_path / "weights.bin.old").read_bytes() == wrong
    assert "is not the original file" in caplog.text


def test_a_wrong_file_stays_when_no_source_works(server, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"mine")
    with pytest.raises(DownloadError):
        fetch(tmp_path, server.serve("/file", http_server.missing))
    assert (tmp_path / "weights.bin").read_bytes() == b"mine"


def test_verify_file_accepts_the_right_file(tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    verify_file(tmp_path / "f", remote())


def test_verify_file_names_sizes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    with pytest.raises(DownloadError, match=r"f is not the original weights\.bin: it has 3 bytes, not 320"):
        verify_file(tmp_path / "f", remote())


def test_verify_file_names_hashes(tmp_path):
    (tmp_path / "f").write_bytes(bytes(320))
    found, expected = hashlib.sha256(bytes(320)).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(DownloadError, match=f"its SHA-256 is {found}, not {expected}"):
        verify_file(tmp_path / "f", remote())


def test_verify_file_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        verify_file(tmp_path / "nothing_here", remote())


# A bad source: the reason, and that the next one is used

HTML = b"<!DOCTYPE html><html><body>Too many requests</body></html>"
BAD = {
    "not found": (http_server.missing, "HTTP status 404: Not Found"),
    "no content": (lambda handler: handler.start(204), "HTTP status 204: No Content"),
    "HTML by its type": (http_server.whole(HTML, "text/html; charset=utf-8"), "sent an HTML page"),
    "HTML by its text": (http_server.without_length(b"\n " + HTML), "sent an HTML page"),
    "HTML of the right length": (http_server.whole(HTML.ljust(len(CONTENT))), "sent an HTML page"),
    "wrong bytes": (http_server.whole(bytes(len(CONTENT))), "sent another file: its SHA-256 is "),
    "longer": (http_server.whole(CONTENT + b"more"), "announced 324 bytes in place of 320"),
    "shorter": (http_server.whole(CONTENT[:-4]), "announced 316 bytes in place of 320"),
    "length too great": (http_server.announces(CONTENT, 400), "announced 400 bytes in place of 320"),
    "length too small": (http_server.announces(CONTENT, 200), "announced 200 bytes in place of 320"),
    "length no number": (http_server.announces(CONTENT, "many"), "announced many bytes in place of 320"),
    "cut off": (http_server.cut_off(CONTENT, 100), "broke off after 100 of 320 bytes"),
    "cut off at once": (http_server.cut_off(CONTENT, 0), "broke off after 0 of 320 bytes"),
    "cut off in a chunk": (http_server.cut_off_chunks(CONTENT, 100), "broke off after 100 of 320 bytes"),
    "shorter, no length": (http_server.without_length(CONTENT[:50]), "broke off after 50 of 320 bytes"),
    "connection reset": (http_server.resets(CONTENT, 100), "connection lost after "),
    "gzip": (http_server.compressed(CONTENT), "sent the file in the encoding gzip"),
    "another protocol": (http_server.not_http, "no proper answer (BadStatusLine: "),
    "redirect to http": (
        http_server.redirects("http://example.invalid/f"),
        "http://example.invalid/f is refused",
    ),
    "redirect to a file": (
        http_server.redirects("file:///etc/hosts"),
        "url 'file:///etc/hosts' is not allowed",
    ),
    "redirect to itself": (http_server.redirects("/bad"), "infinite loop"),
}


@pytest.mark.parametrize(("behaviour", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_source_is_named_with_its_fault(server, tmp_path, behaviour, reason):
    url = server.serve("/bad", behaviour)
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, url)
    assert f"  {url}\n    " in str(caught.value)
    assert reason in str(caught.value)
    assert set(visible(tmp_path)) <= {PART}


@pytest.mark.parametrize("behaviour", [case[0] for case in BAD.values()], ids=BAD.keys())
@pytest.mark.parametrize("good", [http_server.whole, http_server.ranged])
def test_the_next_source_makes_up_for_a_bad_one(server, tmp_path, behaviour, good):
    bad, fine = server.serve("/bad", behaviour), server.serve("/good", good(CONTENT))
    assert fetch(tmp_path, bad, fine).read_bytes() == CONTENT
    assert visible(tmp_path) == ["weights.bin"]


def test_nobody_listens(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match=r"no proper answer \(ConnectionRefusedError: "):
        fetch(tmp_path, http_server.dead_url())


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/f",
        "ftp://127.0.0.1/f",
        "file:///etc/hosts",
        "weights.bin",
        "http://127.0.0.1.example.com/f",
    ],
)
def test_only_https_is_allowed_beyond_this_machine(tmp_path, url):
    with pytest.raises(DownloadError, match="is refused: only https is allowed"):
        fetch(tmp_path, url)


def test_a_malformed_address_is_a_fault_of_its_source(server, tmp_path):
    fine = server.serve("/good", http_server.whole(CONTENT))
    assert fetch(tmp_path, "https://[::1/f", "http://127.0.0.1:port/f", fine).read_bytes() == CONTENT


def test_the_error_lists_every_source_and_the_next_step(server, tmp_path):
    first, second = (
        server.serve("/a", http_server.missing),
        server.serve("/b", http_server.cut_off(CONTENT, 7)),
    )
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, first, second)
    assert str(caught.value).splitlines() == [
        "could not fetch weights.bin; sources tried, with up to 10 s each:",
        f"  {first}",
        "    HTTP status 404: Not Found",
        f"  {second}",
        "    broke off after 7 of 320 bytes",
        "The 7 of 320 bytes that arrived are kept: a later try goes on from there.",
        "Next step: try again, or get the file in another way and put it at",
        f"  {tmp_path / 'weights.bin'}",
        "It must have 320 bytes and the SHA-256",
        f"  {hashlib.sha256(CONTENT).hexdigest()}",
    ]


def test_the_error_says_when_nothing_is_kept(server, tmp_path):
    with pytest.raises(DownloadError, match=r"No bytes of it are kept\."):
        fetch(tmp_path, server.serve("/a", http_server.missing))


# Time limits

SLOW = {
    "stalls": (http_server.pauses(CONTENT, 100), "stalled after 100 of 320 bytes"),
    "never answers": (http_server.silent, "gave no answer in time"),
    "a byte at a time": (
        http_server.trickles(CONTENT, 0.05),
        r"too slow: \d+ of 320 bytes within the time limit",
    ),
    "a byte of headers at a time": (
        http_server.trickles_headers(0.05),
        "gave no answer in time",
    ),
}


@pytest.mark.parametrize(("behaviour", "reason"), SLOW.values(), ids=SLOW.keys())
def test_a_slow_source_is_given_up_after_the_limit(server, tmp_path, behaviour, reason):
    url = server.serve("/slow", behaviour)
    began = time.monotonic()
    with pytest.raises(DownloadError, match=reason):
        fetch(tmp_path, url, timeout=1.5)
    assert 1.4 < time.monotonic() - began < 10


def test_the_next_source_goes_on_from_where_a_slow_one_was_given_up(server, tmp_path):
    slow = server.serve("/slow", http_server.pauses(CONTENT, 100))
    fine = server.serve("/good", http_server.ranged(CONTENT))
    assert fetch(tmp_path, slow, fine, timeout=1.5).read_bytes() == CONTENT
    assert server.requests == [("/slow", None), ("/good", "bytes=100-")]


@pytest.mark.parametrize("behaviour", [http_server.silent, http_server.pauses(CONTENT, 100)])
def test_a_silent_source_is_given_up_before_the_limit(server, tmp_path, monkeypatch, behaviour):
    monkeypatch.setattr(http_source, "SILENCE", 0.2)
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"gave no answer in time|stalled"):
        fetch(tmp_path, server.serve("/silent", behaviour), timeout=60)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("timeout", [0, -1.0, math.inf, math.nan])
def test_a_time_limit_that_is_none_is_refused(tmp_path, timeout):
    with pytest.raises(ValueError, match=f"timeout must be a positive number of seconds, got {timeout}"):
        fetch(tmp_path, "https://example.com", timeout=timeout)


# Resuming


def test_a_resumed_download_asks_for_the_rest_only(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    path = fetch(tmp_path, server.serve("/file", http_server.ranged(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=100-")]


def test_a_redirect_keeps_the_range(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    target = server.serve("/target", http_server.ranged(CONTENT))
    fetch(tmp_path, server.serve("/file", http_server.redirects(target)))
    assert server.requests == [("/file", "bytes=100-"), ("/target", "bytes=100-")]


def test_a_source_that_ignores_the_range_is_used_from_its_first_byte(server, tmp_path):
    (tmp_path / PART).write_bytes(bytes(100))
    path = fetch(tmp_path, server.serve("/file", http_server.whole(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=100-")]


@pytest.mark.parametrize("behaviour", [http_server.refuses_ranges, http_server.wrong_range])
def test_a_source_that_cannot_resume_is_asked_for_everything(server, tmp_path, behaviour):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    path = fetch(tmp_path, server.serve("/file", behaviour(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=100-"), ("/file", None)]


def test_wrong_bytes_from_before_are_thrown_away(server, tmp_path):
    (tmp_path / PART).write_bytes(bytes(100))
    path = fetch(tmp_path, server.serve("/file", http_server.ranged(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=100-"), ("/file", None)]


@pytest.mark.parametrize("kept", [bytes(len(CONTENT)), CONTENT + b"more"])
def test_a_partial_file_that_is_no_part_is_thrown_away(server, tmp_path, kept):
    (tmp_path / PART).write_bytes(kept)
    path = fetch(tmp_path, server.serve("/file", http_server.ranged(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", None)]


def test_a_whole_partial_file_gets_its_name_without_a_request(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT)
    path = fetch(tmp_path, server.serve("/file", http_server.missing))
    assert path.read_bytes() == CONTENT
    assert server.requests == []
    assert visible(tmp_path) == ["weights.bin"]


def test_a_file_that_changed_on_the_server_is_refused_and_its_bytes_thrown_away(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    url = server.serve("/file", http_server.ranged(bytes(len(CONTENT))))
    with pytest.raises(DownloadError, match="sent another file"):
        fetch(tmp_path, url)
    assert visible(tmp_path) == []


def test_a_file_that_grew_on_the_server_is_refused_and_the_bytes_kept(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    url = server.serve("/file", http_server.ranged(CONTENT + b"more"))
    with pytest.raises(DownloadError, match="announced 224 bytes in place of 220"):
        fetch(tmp_path, url)
    assert (tmp_path / PART).read_bytes() == CONTENT[:100]


def test_a_source_without_ranges_that_breaks_off_costs_no_progress(server, tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:100])
    with pytest.raises(DownloadError, match="broke off after 10 of 320 bytes"):
        fetch(tmp_path, server.serve("/file", http_server.cut_off(CONTENT, 10)))
    assert (tmp_path / PART).read_bytes() == CONTENT[:100]
