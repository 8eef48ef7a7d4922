"""Models in folders, also from a hub: the real client against a small hub on loopback, in other processes."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.weights import make_weights

from torchmoji.weights.folder import FILE_NAMES, find, save
from torchmoji.weights.layers import has_int8_rows

REVISIONS = {"main": "a" * 40, "v1": "b" * 40}


class _Hub(BaseHTTPRequestHandler):
    """One repository, `me/tiny`, as the client asks for it: revision, file list, files."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        parts = path.strip("/").split("/")
        if parts[:4] == ["api", "models", "me", "tiny"]:
            self._answer_api(parts[4:])
        elif parts[:3] == ["me", "tiny", "resolve"] and (self.server.folder / parts[-1]).is_file():
            content = (self.server.folder / parts[-1]).read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": parts[3], "Accept-Ranges": "bytes"})
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _answer_api(self, parts: list[str]) -> None:
        files = sorted(self.server.folder.iterdir())
        if parts[:1] == ["tree"]:
            self._send_json(
                [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0" * 40}
                    for file in files
                ]
            )
        else:
            name = parts[1] if parts[:1] == ["revision"] else "main"
            if name in REVISIONS:
                about = {"id": "me/tiny", "sha": REVISIONS[name]}
                self._send_json({**about, "siblings": [{"rfilename": file.name} for file in files]})
            else:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tiny_folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.folder, server.asked = Path(tiny_folder), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(hub, cache, *command, **environment):
    """Python, in a process that knows no other hub."""
    variables = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, *command], capture_output=True, encoding="utf-8", env={**os.environ, **variables}
    )


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_model_is_fetched_once_and_then_found_without_a_network(hub, tiny_folder, tmp_path, revision):
    code = (
        "import json, sys; from torchmoji.weights.folder import find; files = find(sys.argv[1])\n"
        "print(json.dumps([str(files.weights), files.vocabulary, files.config]))"
    )
    fetched = run(hub, tmp_path, "-c", code, f"me/tiny{revision}")
    assert fetched.returncode == 0, fetched.stderr
    weights, *found = json.loads(fetched.stdout)
    local = find(tiny_folder)
    assert Path(weights).read_bytes() == local.weights.read_bytes()
    assert found == [local.vocabulary, local.config]
    commit = REVISIONS[revision.removeprefix("@") or "main"]
    assert f"/me/tiny/resolve/{commit}/model.safetensors" in hub.asked
    hub.asked.clear()
    offline = run(hub, tmp_path, "-c", code, f"me/tiny{revision}", HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout) == (0, fetched.stdout)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("model", "environment", "message"),
    [
        ("me/none", {}, "the Hugging Face hub has no 'me/none' for you"),
        ("me/tiny@v2", {}, "the Hugging Face hub has no 'me/tiny@v2' for you"),
        ("me/tiny", {"HF_HUB_OFFLINE": "1"}, "cannot reach the Hugging Face hub for 'me/tiny'"),
    ],
)
def test_what_cannot_be_had_is_one_line(hub, tmp_path, model, environment, message):
    result = run(hub, tmp_path, "-m", "torchmoji", "emojize", "a day", "--model", model, **environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert ("use 'default', which needs no network" in result.stderr) == bool(environment)
    assert result.stderr.count("\n") == 1


# --- written


@pytest.fixture
def model():
    """The arguments of `save` but for the folder."""
    return make_weights(), {"a": 0, "b\ud83d": 1}, {"classes": ["x", "y"]}


def test_what_is_saved_is_found(tmp_path, model):
    weights, vocabulary, config = model
    save(tmp_path / "new", *model, "# A card\n", int8=True, extra={"more.json": "{}"})
    files = find(tmp_path / "new")
    assert files.vocabulary == vocabulary
    assert list(files.config) == ["model_type", "version", *config]
    assert has_int8_rows(files.weights)
    names = {path.name for path in files.weights.parent.iterdir()}
    assert names == {*FILE_NAMES, "more.json"} - {"vocabulary.spellings.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]

    (tmp_path / "new" / "README.md").write_text("mine")
    save(tmp_path / "new", weights, {"c": 0}, config)
    assert find(tmp_path / "new").vocabulary == {"c": 0}
    assert not has_int8_rows(files.weights)
    assert (tmp_path / "new" / "README.md").read_text() == "mine"
    assert len(list((tmp_path / "new").iterdir())) == 5


def test_other_spellings_are_saved_beside_the_words_and_go_with_them(tmp_path, model):
    weights, vocabulary, config = model
    save(tmp_path, weights, {"#a": 0, **vocabulary}, config)
    assert find(tmp_path).vocabulary == {"#a": 0, **vocabulary}
    assert json.loads((tmp_path / "vocabulary.json").read_bytes().decode("ascii")) == vocabulary
    assert {path.name for path in tmp_path.iterdir()} == {*FILE_NAMES} - {"README.md"}
    save(tmp_path, *model)
    assert find(tmp_path).vocabulary == vocabulary


def test_a_save_that_fails_changes_nothing(tmp_path, model):
    weights, _, config = model
    save(tmp_path / "old", *model)
    before = {path: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    for name in ("old", "new"):
        with pytest.raises(UnicodeEncodeError):
            save(tmp_path / name, weights, {"c": 0}, config, card="\ud83d")
    assert {path: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_file_in_place_of_the_folder(tmp_path, model):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file: give a folder"):
        save(tmp_path / "file", *model)
