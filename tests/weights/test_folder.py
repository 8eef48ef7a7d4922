"""Models from a Hugging Face hub: the real client against a small hub on loopback, in other processes."""

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


def emojize(hub, cache, model, **environment):
    """The command, in a process that knows no other hub."""
    command = [sys.executable, "-m", "torchmoji", "emojize", "a day", "--json", "--model", model]
    variables = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    return subprocess.run(command, capture_output=True, encoding="utf-8", env={**os.environ, **variables})


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_model_is_fetched_once_and_then_found_without_a_network(hub, tiny_folder, tmp_path, revision):
    fetched = emojize(hub, tmp_path, f"me/tiny{revision}")
    assert fetched.returncode == 0, fetched.stderr
    local = emojize(hub, tmp_path, tiny_folder)
    assert json.loads(fetched.stdout) == json.loads(local.stdout)
    commit = REVISIONS[revision.removeprefix("@") or "main"]
    assert f"/me/tiny/resolve/{commit}/model.safetensors" in hub.asked
    hub.asked.clear()
    offline = emojize(hub, tmp_path, f"me/tiny{revision}", HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout) == (0, fetched.stdout)
    assert hub.asked == []


@pytest.mark.parametrize("model", ["me/none", "me/tiny@v2"])
def test_what_the_hub_does_not_have_is_one_line(hub, tmp_path, model):
    result = emojize(hub, tmp_path, model)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"the Hugging Face hub has no '{model}' for you" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_network_and_a_cache_the_message_says_what_to_do(hub, tmp_path):
    result = emojize(hub, tmp_path, "me/tiny", HF_HUB_OFFLINE="1")
    assert (result.returncode, result.stdout) == (1, "")
    assert "cannot reach the Hugging Face hub for 'me/tiny'" in result.stderr
    assert "use 'default', which needs no network" in result.stderr
