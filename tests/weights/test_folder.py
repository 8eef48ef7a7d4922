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
from support.hostile import check_mutations
from support.weights import make_weights

from torchmoji.pipeline import MojiPipeline
from torchmoji.weights.folder import FILE_NAMES, find, save, write_card
from torchmoji.weights.formats import load_state_dict, save_state_dict
from torchmoji.weights.layers import Int8Rows, read_layers

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


def test_a_repository_of_2017_s_files_is_fetched(hub, tmp_path, model):
    weights, vocabulary, _ = model
    hub.folder = tmp_path / "repository"
    hub.folder.mkdir()
    save_state_dict(weights, hub.folder / "pytorch_model.bin")
    (hub.folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    code = "import sys; from torchmoji.weights.folder import find; print(find(sys.argv[1]).weights.name)"
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = run(hub, tmp_path / "cache", "-c", code, "me/tiny", **environment)
        assert (done.returncode, done.stdout) == (0, "pytorch_model.bin\n"), done.stderr


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
    assert list(files.config) == ["model_type", "version", *config, "files"]
    assert isinstance(read_layers(files.weights)["embed.weight"], Int8Rows)
    names = {path.name for path in files.weights.parent.iterdir()}
    assert names == {*FILE_NAMES, "more.json"} - {"vocabulary.spellings.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]

    (tmp_path / "new" / "README.md").write_text("mine")
    save(tmp_path / "new", weights, {"c": 0}, config)
    assert find(tmp_path / "new").vocabulary == {"c": 0}
    assert not isinstance(read_layers(files.weights)["embed.weight"], Int8Rows)
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


# --- files that do not belong together, or hold no numbers


def rewrite_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "vocabulary.json", "more.json", "vocabulary.spellings.json"]
)
def test_files_of_two_models_or_damaged_ones_are_refused(tmp_path, model, name):
    save(tmp_path, *model, extra={"more.json": "{}"})
    path = tmp_path / name
    content = bytearray(path.read_bytes() if path.exists() else b"{}")  # spellings of an older model
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is not the file that config\.json was .* again$"):
        find(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["files"]  # as older versions wrote it
    (tmp_path / "config.json").write_text(json.dumps(config))
    if name != "vocabulary.spellings.json":
        assert find(tmp_path, {"a": 0}).config == config


def test_who_changed_the_shipped_model_is_told_to_reinstall(tmp_path, model, monkeypatch):
    save(tmp_path, *model)
    (tmp_path / "vocabulary.json").write_text("{}")
    monkeypatch.setattr("torchmoji.weights.folder.default_model_directory", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"vocabulary\.json is not the file .*: reinstall torchmoji$"):
        find("default")


def test_a_save_killed_between_two_names_is_noticed(tmp_path, model, monkeypatch):
    weights, vocabulary, config = model
    save(tmp_path, *model)
    del config["classes"]
    replace, left = Path.replace, []

    def killed(self, target):
        if left:
            raise KeyboardInterrupt
        if Path(target).parent == tmp_path:
            left.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, {name: 2 * weight for name, weight in weights.items()}, vocabulary, config)
    with pytest.raises(ValueError, match="is not the file that config"):
        find(tmp_path)


def test_a_card_that_a_person_wrote_or_changed_stays(tmp_path, model):
    card = tmp_path / "README.md"
    save(tmp_path, *model, "# First")
    save(tmp_path, *model, "# Second")
    assert card.read_text() == "# Second"
    save(tmp_path, *model)
    write_card(tmp_path, "# Second, scored")
    assert card.read_text() == "# Second, scored"
    find(tmp_path)
    save(tmp_path, *model, "# Second")
    card.write_text("# Second, completed")
    save(tmp_path, *model, "# Third")
    write_card(tmp_path, "# Fourth")
    assert card.read_text() == "# Second, completed"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"multi_label": "false"}, "\"multi_label\" must be true or false, got 'false'"),
        ({"files": {"../x": {}}}, '"files" must be an object of names of files beside it'),
        ({"classes": list(range(1000))}, r'"classes" must be a list of names, got \[0, 1, 2, 3, 4, 5, \.\.'),
    ],
)
def test_wrong_values_of_a_configuration_are_refused(tmp_path, model, values, message):
    save(tmp_path, *model)
    rewrite_config(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        find(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        find(tmp_path)


def test_2017_s_torch_file_and_a_vocabulary_are_a_model(tmp_path, model, monkeypatch):
    weights, vocabulary, _ = model
    save_state_dict(weights, tmp_path / "pytorch_model.bin")
    (tmp_path / "vocabulary.json").write_text(json.dumps(vocabulary))
    assert find(tmp_path) == (tmp_path / "pytorch_model.bin", vocabulary, {})
    assert load_state_dict(tmp_path).keys() == weights.keys()
    assert MojiPipeline.from_pretrained(tmp_path, "torch").encode("a").shape == (11,)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "vocabulary.spellings.json"])
def test_damaged_folders_are_refused_or_read(tmp_path, model, name):
    weights, vocabulary, config = model
    config |= {"multi_label": False, "temperature": 1.5, "thresholds": [0.5] * 5, "max_length": 9}
    config |= {"classes": list("abcde"), "class_frequencies": [0.2] * 5}
    save(tmp_path, weights, {"#a": 0, **vocabulary}, config)
    if name != "config.json":
        values = json.loads((tmp_path / "config.json").read_text())
        del values["files"]  # so that the file itself is read
        (tmp_path / "config.json").write_text(json.dumps(values))
    check_mutations(
        tmp_path / name,
        lambda path: MojiPipeline.from_pretrained(path.parent, "torch").encode("a"),
        (ValueError, FileNotFoundError),
    )
