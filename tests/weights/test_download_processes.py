"""`torchmoji.weights.download` with several processes, one of which may die or be interrupted."""

import hashlib
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support import http_server
from support.http_server import FileServer

from torchmoji.weights.download import DownloadError, RemoteFile, download_file

PART = "weights.bin.part"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with http_server.running_server() as running:
        yield running


def remote(*sources: str) -> RemoteFile:
    return RemoteFile("weights.bin", len(LONG), hashlib.sha256(LONG).hexdigest(), sources)


def visible(folder: Path) -> list[str]:
    """Names in the folder but the lock's, which begins with a dot."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


CHILD = """
import logging, sys
from torchmoji.weights.download import RemoteFile, download_file
logging.basicConfig(level=logging.INFO, format="%(message)s")
size, sha256, url, folder = sys.argv[1:]
download_file(RemoteFile("weights.bin", int(size), sha256, (url,)), folder, timeout=20, progress=False)
"""
LONG = bytes(range(256)) * 4000  # more than a file object holds back


@pytest.fixture
def start_child(server, tmp_path, repository):
    """A function that starts a process which downloads `LONG` into `tmp_path`."""
    children = []

    def start(url: str) -> subprocess.Popen[str]:
        file = remote()
        command = [sys.executable, "-c", CHILD, str(file.size), file.sha256, url, str(tmp_path)]
        children.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=repository))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.communicate()


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "what the test waits for has not come"
        time.sleep(0.01)


def part_has_begun(folder: Path) -> bool:
    return (folder / PART).is_file() and (folder / PART).stat().st_size > 0


def test_of_two_processes_one_fetches_and_both_succeed(server, tmp_path, start_child):
    url = server.serve("/file", http_server.pauses(LONG, 500_000))
    first = start_child(url)
    wait_for(lambda: server.requests)
    second = start_child(url)
    assert "another process is fetching" in second.stderr.readline()
    server.stopping.set()
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert len(server.requests) == 1
    assert (tmp_path / "weights.bin").read_bytes() == LONG
    assert visible(tmp_path) == ["weights.bin"]


def test_the_lock_of_a_process_that_was_killed_holds_nobody_up(server, tmp_path, start_child):
    child = start_child(server.serve("/file", http_server.pauses(LONG, 500_000)))
    wait_for(lambda: part_has_begun(tmp_path))
    child.kill()
    child.wait(60)
    kept = (tmp_path / PART).stat().st_size
    url = server.serve("/good", http_server.ranged(LONG))
    path = download_file(remote(url), tmp_path, timeout=10, progress=False)
    assert path.read_bytes() == LONG
    assert server.requests[1:] == [("/good", f"bytes={kept}-")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_leaves_the_partial_file_alone_and_a_later_call_goes_on(server, tmp_path, start_child):
    child = start_child(server.serve("/file", http_server.pauses(LONG, 500_000)))
    wait_for(lambda: part_has_begun(tmp_path))
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=60)[1]
    assert visible(tmp_path) == [PART]
    kept = (tmp_path / PART).read_bytes()
    assert kept == LONG[: len(kept)]

    url = server.serve("/good", http_server.ranged(LONG))
    path = download_file(remote(url), tmp_path, timeout=10, progress=False)
    assert path.read_bytes() == LONG
    assert server.requests[1:] == [("/good", f"bytes={len(kept)}-")]


def test_waiting_for_another_process_has_an_end(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("torchmoji.weights.download.SILENCE", 0.1)
    locked, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(str(tmp_path / ".weights.bin.lock")):
            locked.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(60)
    try:
        with (
            caplog.at_level(logging.INFO),
            pytest.raises(
                DownloadError, match=r"another process has held .*weights\.bin\.lock for over 0\.3 s"
            ),
        ):
            download_file(remote("https://example.com/f"), tmp_path, timeout=0.2)
    finally:
        leave.set()
        holder.join()
    assert "waiting for it" in caplog.text
