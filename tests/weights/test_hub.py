"""`torchmoji.weights.hub` and `scripts/download_weights.py`, against a misbehaving server on loopback."""

import hashlib
import math
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from filelock import FileLock
from support import http_server
from support.http_server import FileServer

from torchmoji import global_variables
from torchmoji.cli import main
from torchmoji.global_variables import original_model_directory
from torchmoji.weights import hub
from torchmoji.weights.hub import DownloadError, RemoteFile, download_file

CONTENT = hashlib.sha256(b"seed").digest() * 10  # 320 bytes
PART = "weights.bin.part"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50)  # bytes, in place of 10 MB
    with http_server.running_server() as running:
        yield running


def remote(*sources: str, content: bytes = CONTENT, name: str = "weights.bin") -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), sources)


def fetch(folder: Path, *sources: str, timeout: float = 10.0, content: bytes = CONTENT) -> Path:
    return download_file(remote(*sources, content=content), folder, timeout=timeout, progress=False)


def names(folder: Path) -> list[str]:
    """What is in the folder, but for the lock that a failure leaves."""
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".weights.bin.lock")


# --- a good source, and a file that is there


@pytest.mark.parametrize(
    "behaviour", [http_server.whole, lambda content: http_server.whole(content + b"more")]
)
def test_the_file_is_fetched_and_nothing_else_left(server, tmp_path, capsys, behaviour):
    path = fetch(tmp_path / "new" / "folder", server.serve("/file", behaviour(CONTENT)))
    assert path == tmp_path / "new" / "folder" / "weights.bin"
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["weights.bin"]
    assert capsys.readouterr() == ("", "")


def test_a_wrong_file_is_kept_aside_once_the_right_one_is_there(server, tmp_path, caplog):
    (tmp_path / "weights.bin").write_bytes(b"mine")
    with pytest.raises(DownloadError):
        fetch(tmp_path, server.serve("/file", http_server.missing))
    assert (tmp_path / "weights.bin").read_bytes() == b"mine"

    good = server.serve("/good", http_server.whole(CONTENT))
    for _ in range(2):  # the second time it is there
        assert fetch(tmp_path, good).read_bytes() == CONTENT
    assert server.requests == [("/file", None), ("/good", None)]
    assert (tmp_path / "weights.bin.old").read_bytes() == b"mine"
    assert "was not the original file" in caplog.text


# --- a bad source: its fault, and the next one that makes up for it

HTML = b"<!DOCTYPE html><html><body>Too many requests</body></html>"
BAD = {
    "not found": (http_server.missing, "HTTP status 404: Not Found"),
    "HTML": (http_server.whole(HTML), "sent an HTML page"),
    "wrong bytes": (http_server.whole(bytes(len(CONTENT))), "sent another file: its SHA-256 is "),
    "longer": (http_server.whole(bytes(10_000)), "sent another file: its SHA-256 is "),
    "shorter": (http_server.whole(CONTENT[:100]), "should be of size 320 but has size 100"),
    "cut off": (http_server.cut_off(CONTENT, 0), "; 0 of 320 bytes are here"),
    "redirect to a file": (http_server.redirects("file:///etc/hosts"), "; 0 of 320 bytes are here"),
    "silent": (http_server.silent, "; 0 of 320 bytes are here"),
    "stalled": (http_server.pauses(CONTENT, 0), "; 0 of 320 bytes are here"),
}


@pytest.mark.parametrize(("behaviour", "fault"), BAD.values(), ids=BAD.keys())
def test_a_bad_source_is_named_with_its_fault_and_the_next_used(
    server, tmp_path, monkeypatch, behaviour, fault
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)  # seconds
    bad, good = server.serve("/bad", behaviour), server.serve("/good", http_server.ranged(CONTENT))
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, bad)
    assert f"  {bad}\n    " in str(caught.value)
    assert fault in str(caught.value)
    assert set(names(tmp_path)) <= {PART}

    assert fetch(tmp_path, bad, good).read_bytes() == CONTENT
    assert names(tmp_path) == ["weights.bin"]


def test_the_error_lists_every_source_and_the_next_step(server, tmp_path):
    other = "http://127.0.0.1.example.com/f"
    sources = {
        other: f"{other} is refused: only https is allowed (and http on this machine); 0 of 320 bytes "
        "are here",
        "https://[::1/f": "Invalid IPv6 URL; 0 of 320 bytes are here",
        server.serve("/a", http_server.missing): "HTTP status 404: Not Found; 0 of 320 bytes are here",
        server.serve(
            "/b", http_server.whole(CONTENT[:7])
        ): "Consistency check failed: file should be of size "
        "320 but has size 7 (weights.bin).; 7 of 320 bytes are here",
    }
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, *sources)
    assert str(caught.value) == (
        "could not fetch weights.bin; sources tried, with up to 10 s each:\n"
        + "".join(f"  {url}\n    {fault}\n" for url, fault in sources.items())
        + "The 7 of 320 bytes that arrived are kept: a later try goes on from there.\nNext step: try again, "
        f"or get the file in another way and put it at\n  {tmp_path / 'weights.bin'}\n"
        f"It must have 320 bytes and the SHA-256\n  {hashlib.sha256(CONTENT).hexdigest()}"
    )


def test_a_source_that_takes_too_long_is_given_up(server, tmp_path):
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"too slow: not done within 0\.5 s; \d+ of 320 bytes are here"):
        fetch(tmp_path, server.serve("/slow", http_server.trickles(CONTENT, 0.05)), timeout=0.5)
    assert 0.4 < time.monotonic() - began < 5


@pytest.mark.parametrize("timeout", [-1.0, math.nan])
def test_a_time_limit_that_is_none_is_refused(tmp_path, timeout):
    with pytest.raises(ValueError, match=f"timeout must be a positive number of seconds, got {timeout}"):
        fetch(tmp_path, "https://example.com", timeout=timeout)


# --- going on with the bytes of an earlier try, and files that are none


@pytest.mark.parametrize(
    ("kept", "behaviour", "requests"),
    [
        (CONTENT[:100], http_server.ranged(CONTENT), ["bytes=100-"]),
        (bytes(100), http_server.whole(CONTENT), ["bytes=100-"]),  # it ignores the range
        (bytes(100), http_server.ranged(CONTENT), ["bytes=100-", None]),
        (bytes(len(CONTENT)), http_server.ranged(CONTENT), [None]),
        (bytes(len(CONTENT) + 1), http_server.ranged(CONTENT), [None]),
        (CONTENT, http_server.missing, []),
    ],
)
def test_right_bytes_from_before_are_used_and_wrong_ones_not(server, tmp_path, kept, behaviour, requests):
    (tmp_path / PART).write_bytes(kept)
    path = fetch(tmp_path, server.serve("/file", behaviour))
    assert path.read_bytes() == CONTENT
    assert server.requests[: len(requests)] == [("/file", wanted) for wanted in requests]
    assert names(tmp_path) == ["weights.bin"]


def test_the_next_source_goes_on_where_one_stopped(server, tmp_path):
    short, target = http_server.whole(CONTENT[:100]), server.serve("/target", http_server.ranged(CONTENT))
    moved = server.serve("/moved", http_server.redirects(target))
    path = fetch(tmp_path, server.serve("/short", short), moved)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/short", None), ("/moved", "bytes=100-"), ("/target", "bytes=100-")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO, and links take a privilege")
@pytest.mark.parametrize("make", [os.symlink, os.link, lambda other, part: os.mkfifo(part)])
def test_a_part_that_leads_elsewhere_is_replaced_and_never_followed(server, tmp_path, make):
    other = tmp_path / "other"
    other.write_bytes(CONTENT[:100])
    make(other, tmp_path / PART)
    path = fetch(tmp_path, server.serve("/file", http_server.ranged(CONTENT)))
    assert server.requests == [("/file", None)]
    assert (path.read_bytes(), other.read_bytes()) == (CONTENT, CONTENT[:100])
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("chunk", [50, 10_000_000])
def test_what_the_file_system_refuses_is_said_with_its_name(server, tmp_path, monkeypatch, chunk):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", chunk)
    content = CONTENT * 1000
    url = server.serve("/file", http_server.whole(content))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"):
        fetch(tmp_path / "file" / "folder", url)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # bytes of a file, as on a full disk
    try:
        with pytest.raises(OSError, match=r"File too large: .*weights\.bin\.part"):
            fetch(tmp_path, url, content=content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fetch(tmp_path, url, content=content).read_bytes() == content


# --- several processes

LONG = bytes(range(256)) * 4000  # more than a file object holds back
CHILD = """
import sys
import huggingface_hub.constants
from torchmoji.weights.hub import RemoteFile, download_file
size, sha256, url, folder = sys.argv[1:]
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 100_000
download_file(RemoteFile("weights.bin", int(size), sha256, (url,)), folder, timeout=20, progress=False)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def test_processes_go_on_after_one_that_was_killed_and_one_alone_fetches(server, tmp_path, repository):
    url = server.serve("/file", http_server.pauses(LONG, 400_000))
    file = remote(url, content=LONG)
    command = [sys.executable, "-c", CHILD, str(file.size), file.sha256, url, str(tmp_path)]
    children = []

    def start() -> None:
        children.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=repository))

    part = tmp_path / PART
    try:
        start()
        wait_until(lambda: part.is_file() and part.stat().st_size > 0)
        children[0].kill()
        children[0].wait()
        kept = part.stat().st_size
        start()
        start()
        wait_until(lambda: len(server.requests) == 2)
        time.sleep(0.5)  # for the other to come to the lock
        server.stopping.set()
        assert [child.wait(60) for child in children[1:]] == [0, 0]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert server.requests == [("/file", None), ("/file", f"bytes={kept}-")]
    assert (tmp_path / "weights.bin").read_bytes() == LONG
    assert os.listdir(tmp_path) == ["weights.bin"]


def test_waiting_for_another_process_has_an_end(tmp_path):
    with (
        FileLock(tmp_path / ".weights.bin.lock"),
        pytest.raises(OSError, match=r"process has held .*weights\.bin\.lock for over 0\.4 s"),
    ):
        fetch(tmp_path, "https://example.com/f", timeout=0.2)


# --- the original files

CONTENTS = {
    "PYTORCH_WEIGHTS": ("pytorch_model.bin", b"torch"),
    "KERAS_WEIGHTS": ("deepmoji_weights.hdf5", b"keras"),
    "VOCABULARY": ("vocabulary.json", b"{}"),
}
HUB_PATH = "/Uberduck/torchmoji/resolve/main/"


@pytest.fixture
def originals(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """Small files in place of the originals; `HF_ENDPOINT` leads to those of the hub, all but Keras's."""
    monkeypatch.setenv("HF_ENDPOINT", server.serve("/mirror/", http_server.missing))
    for constant, (name, content) in CONTENTS.items():
        url = f"https://huggingface.co{HUB_PATH}{name}"
        mirrored = server.serve(f"/mirror{HUB_PATH}{name}", http_server.ranged(content))
        file = remote(mirrored if "KERAS" in constant else url, content=content, name=name)
        monkeypatch.setattr(hub, constant, file)
    return server


def test_weights_and_vocabulary_go_into_the_cache_and_are_found_there(originals, capsys):
    weights, vocabulary = hub.download_original()
    assert weights == original_model_directory() / "pytorch_model.bin"
    assert (weights.read_bytes(), vocabulary.read_bytes()) == (b"torch", b"{}")
    assert str(weights) == global_variables.PRETRAINED_PATH == global_variables.pretrained_weights()
    assert str(vocabulary) == global_variables.VOCAB_PATH
    assert "pytorch_model.bin: 100%" in capsys.readouterr().err


def test_the_command_says_where_they_are_or_why_not(originals, capsys):
    for _ in range(2):  # the second time they are there
        assert main(["download"]) == 0
        folder = original_model_directory()
        text = f"weights:    {folder / 'pytorch_model.bin'}\nvocabulary: {folder / 'vocabulary.json'}\n"
        assert capsys.readouterr() == (text, "")
    assert len(originals.requests) == 2
    (folder / "vocabulary.json").unlink()
    originals.behaviours.clear()
    assert main(["download"]) == 1
    assert "torchmoji: could not fetch vocabulary.json; sources tried" in capsys.readouterr().err


def test_the_error_covers_both_files(originals):
    originals.behaviours.clear()
    with pytest.raises(DownloadError) as caught:
        hub.download_original(progress=False)
    for name in ("pytorch_model.bin", "vocabulary.json"):
        assert f"could not fetch {name}" in str(caught.value)
        assert f"  http://127.0.0.1:{originals.server_port}/mirror{HUB_PATH}{name}\n" in str(caught.value)


# --- scripts/download_weights.py


@pytest.fixture
def run_script(originals, monkeypatch: pytest.MonkeyPatch, repository: Path):
    """Runs the script in this process, where the files are small and on loopback; gives its exit status."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "argv", ["download_weights.py", *arguments])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(repository / "scripts" / "download_weights.py"), run_name="__main__")
        return caught.value.code

    return run


def test_the_script(run_script, originals, tmp_path, capsys):
    assert run_script("--keras", "--quiet", "--timeout", "5", "--to", str(tmp_path)) == 0
    weights, vocabulary = tmp_path / "deepmoji_weights.hdf5", tmp_path / "vocabulary.json"
    assert (weights.read_bytes(), vocabulary.read_bytes()) == (b"keras", b"{}")
    assert capsys.readouterr() == (f"weights:    {weights}\nvocabulary: {vocabulary}\n", "")
    assert not original_model_directory().exists()

    originals.behaviours.clear()
    assert run_script("--quiet") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "HTTP status 404: Not Found" in printed.err
    assert run_script("--timeout", "-1") == 1
    assert "timeout must be a positive number of seconds, got -1.0" in capsys.readouterr().err


def test_the_script_takes_ctrl_c(run_script, monkeypatch, capsys):
    def interrupted(**arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "download_original", interrupted)
    assert run_script() == 130
    assert "goes on where this one stopped" in capsys.readouterr().err
