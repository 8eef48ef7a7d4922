"""`torchmoji.weights.hub` and `scripts/download_weights.py`; nothing here asks a server beyond this
machine."""

import hashlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import http_server
from support.http_server import FileServer

from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH, original_model_directory
from torchmoji.weights import hub
from torchmoji.weights.download import DownloadError, RemoteFile

CONTENTS = {"pytorch_model.bin": b"torch", "deepmoji_weights.hdf5": b"keras", "vocabulary.json": b"{}"}
CONSTANTS = {
    "PYTORCH_WEIGHTS": "pytorch_model.bin",
    "KERAS_WEIGHTS": "deepmoji_weights.hdf5",
    "VOCABULARY": "vocabulary.json",
}
HUB_PATH = "/Uberduck/torchmoji/resolve/main/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Small files in place of the originals, at the paths of the hub, with `HF_ENDPOINT` leading there."""
    monkeypatch.setenv("no_proxy", "*")
    with http_server.running_server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.serve("/", http_server.missing))
        for constant, name in CONSTANTS.items():
            content = CONTENTS[name]
            running.serve(HUB_PATH + name, http_server.ranged(content))
            sources = ("https://huggingface.co" + HUB_PATH + name,)
            file = RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), sources)
            monkeypatch.setattr(hub, constant, file)
        yield running


@pytest.mark.parametrize(
    ("file", "name", "size", "sha256", "hosts"),
    [
        (
            hub.PYTORCH_WEIGHTS,
            "pytorch_model.bin",
            89_616_062,
            "8cbf6f7067d56aa1c2d571bb169f05fba16cea4c263c06fb3f217f42c591a978",
            ["huggingface.co"] * 3 + ["github.com", "www.dropbox.com"],
        ),
        (
            hub.KERAS_WEIGHTS,
            "deepmoji_weights.hdf5",
            89_610_904,
            "ca663315cf4a22ced569cf928f9277ebd013c55d93a19e1d0dde001f59a72476",
            ["www.dropbox.com"],
        ),
        (
            hub.VOCABULARY,
            "vocabulary.json",
            1_064_975,
            "951e74fe4661b23e490e79d3a9496bd61d027b14b55dd99dd1ae2c1fc3e25f3e",
            ["raw.githubusercontent.com", "huggingface.co"],
        ),
    ],
)
def test_the_original_files(file, name, size, sha256, hosts):
    assert (file.name, file.size, file.sha256) == (name, size, sha256)
    assert [url.split("/")[:3] for url in file.sources] == [["https:", "", host] for host in hosts]
    assert all(f"/{name}" in url for url in file.sources)


def test_the_vocabulary_beside_the_tests_is_the_original(data_root):
    hub.verify_file(data_root / "data" / "vocabulary.json", hub.VOCABULARY)


def test_weights_and_vocabulary_go_into_the_cache_and_are_found_there(server):
    weights, vocabulary = hub.download_original(progress=False)
    assert weights == original_model_directory() / "pytorch_model.bin"
    assert weights.read_bytes() == b"torch"
    assert vocabulary.read_bytes() == b"{}"
    assert str(weights) == str(PRETRAINED_PATH)
    assert str(vocabulary) == str(VOCAB_PATH)


def test_the_keras_weights(server):
    weights, vocabulary = hub.download_original(keras=True, progress=False)
    assert weights == original_model_directory() / "deepmoji_weights.hdf5"
    assert weights.read_bytes() == b"keras"
    assert vocabulary.read_bytes() == b"{}"
    assert not (original_model_directory() / "pytorch_model.bin").exists()


def test_another_folder(server, tmp_path):
    weights, vocabulary = hub.download_original(folder=str(tmp_path / "here"), progress=False)
    assert (weights, vocabulary) == (tmp_path / "here/pytorch_model.bin", tmp_path / "here/vocabulary.json")
    assert not original_model_directory().exists()


def test_the_error_covers_both_files(server):
    server.behaviours.clear()
    with pytest.raises(DownloadError) as caught:
        hub.download_original(progress=False)
    for name in ("pytorch_model.bin", "vocabulary.json"):
        assert f"could not fetch {name}" in str(caught.value)
        assert f"  http://127.0.0.1:{server.server_port}{HUB_PATH}{name}\n" in str(caught.value)


def test_one_file_is_kept_when_the_other_cannot_be_had(server):
    server.serve(HUB_PATH + "vocabulary.json", http_server.missing)
    with pytest.raises(DownloadError) as caught:
        hub.download_original(progress=False)
    assert str(caught.value).startswith("could not fetch vocabulary.json")
    assert (original_model_directory() / "pytorch_model.bin").read_bytes() == b"torch"


def test_sources_beside_the_hub_do_not_move_with_hf_endpoint(server, monkeypatch, tmp_path):
    url = server.serve("/elsewhere", http_server.whole(b"keras"))
    file = RemoteFile("k.hdf5", 5, hashlib.sha256(b"keras").hexdigest(), (url,))
    monkeypatch.setattr(hub, "KERAS_WEIGHTS", file)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    (tmp_path / "vocabulary.json").write_bytes(b"{}")
    weights, _ = hub.download_original(keras=True, folder=tmp_path, progress=False)
    assert weights.read_bytes() == b"keras"


def test_importing_the_hub_imports_neither_torch_nor_the_hub_client(repository):
    code = (
        "import sys, torchmoji.weights.hub; print({'torch', 'huggingface_hub', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=True)
    assert done.stdout == "set()\n"


# scripts/download_weights.py


def run_script(monkeypatch: pytest.MonkeyPatch, repository: Path, *arguments: str) -> int:
    """Run the script in this process, where the files are small and on loopback, and give its exit status."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["download_weights.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(repository / "scripts" / "download_weights.py"), run_name="__main__")
    return caught.value.code


def test_the_script_says_where_the_files_are(server, monkeypatch, repository, capsys):
    assert run_script(monkeypatch, repository) == 0
    folder = original_model_directory()
    printed = capsys.readouterr()
    assert (
        printed.out
        == f"weights:    {folder / 'pytorch_model.bin'}\nvocabulary: {folder / 'vocabulary.json'}\n"
    )
    assert "pytorch_model.bin: 100%" in printed.err


def test_the_script_takes_the_options(server, monkeypatch, repository, capsys, tmp_path):
    assert (
        run_script(monkeypatch, repository, "--keras", "--quiet", "--timeout", "5", "--to", str(tmp_path))
        == 0
    )
    assert (tmp_path / "deepmoji_weights.hdf5").read_bytes() == b"keras"
    assert capsys.readouterr().err == ""


def test_the_script_ends_with_status_1_and_the_reasons(server, monkeypatch, repository, capsys):
    server.behaviours.clear()
    assert run_script(monkeypatch, repository, "--quiet") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "HTTP status 404: Not Found" in printed.err
    assert str(original_model_directory() / "pytorch_model.bin") in printed.err


def test_the_script_refuses_a_time_limit_below_zero(server, monkeypatch, repository, capsys):
    assert run_script(monkeypatch, repository, "--timeout", "-1") == 1
    assert "timeout must be a positive number of seconds, got -1.0" in capsys.readouterr().err


def test_the_script_takes_ctrl_c(server, monkeypatch, repository, capsys):
    def interrupted(**arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "download_original", interrupted)
    assert run_script(monkeypatch, repository) == 130
    assert "goes on where this one stopped" in capsys.readouterr().err


def test_the_script_runs_from_any_directory(repository, tmp_path):
    command = [sys.executable, str(repository / "scripts" / "download_weights.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    for option in ("--keras", "--timeout", "--quiet", "--to"):
        assert option in done.stdout
