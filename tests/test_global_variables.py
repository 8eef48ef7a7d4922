"""torchmoji.global_variables: constants, and paths that are looked up when they are used."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support.python import python
from support.weights import assert_same, make_weights

from torchmoji import global_variables
from torchmoji.global_variables import cache_directory
from torchmoji.weights import load_state_dict, save_quantized, torch_copy


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path))
    return tmp_path / "deepmoji"


def install(home, *names):
    home.mkdir(exist_ok=True)
    for name in names:
        (home / name).write_text("{}")


def test_constants():
    assert global_variables.NB_TOKENS == 50000
    assert global_variables.NB_EMOJI_CLASSES == 64
    assert global_variables.FINETUNING_METHODS == ["last", "full", "new", "chain-thaw"]
    assert global_variables.FINETUNING_METRICS == ["acc", "weighted"]
    tokens = "MASK UNKNOWN AT URL NUMBER BREAK BLANK_6 BLANK_7 BLANK_8 BLANK_9".split()
    assert global_variables.SPECIAL_PREFIX == "CUSTOM_"
    assert [f"CUSTOM_{token}" for token in tokens] == global_variables.SPECIAL_TOKENS


# --- the cache


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("TORCHMOJI_HOME", "~/elsewhere")
    assert cache_directory() == Path.home() / "elsewhere"
    monkeypatch.delenv("TORCHMOJI_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == Path.home() / ".cache" / "torchmoji"


# --- the pair of vocabulary and weights


def default_model():
    return [
        str(global_variables.default_model_directory() / name)
        for name in ("vocabulary.json", "model.safetensors")
    ]


def pair():
    return [global_variables.VOCAB_PATH, global_variables.pretrained_weights()]


@pytest.mark.parametrize("installed", [[], ["vocabulary.json"], ["pytorch_model.bin"]])
@pytest.mark.usefixtures("home")
def test_default_model_unless_both_original_files_are_there(home, installed):
    install(home, *installed)
    assert pair() == default_model()


def test_original_model_as_soon_as_both_files_are_there(home):
    before = pair()
    install(home, "vocabulary.json", "pytorch_model.bin")
    assert before == default_model()
    assert pair() == [str(home / "vocabulary.json"), str(home / "pytorch_model.bin")]
    assert pair()[1] == global_variables.PRETRAINED_PATH


def test_default_model_directory_is_in_the_package_or_the_checkout(monkeypatch, tmp_path):
    package = tmp_path / "torchmoji"
    package.mkdir()
    monkeypatch.setattr(global_variables, "__file__", str(package / "global_variables.py"))
    monkeypatch.setattr(global_variables, "ROOT_PATH", str(tmp_path))
    assert global_variables.default_model_directory() == tmp_path / "model"
    (package / "model").mkdir()
    assert global_variables.default_model_directory() == package / "model"


# --- the paths are the strings of 2017


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Weights in the place of the default model's, and the path of the torch file made of them."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_quantized(make_weights(), folder / "model.safetensors")
    monkeypatch.setattr(global_variables, "default_model_directory", lambda: folder)
    return folder / "model.safetensors", torch_copy.torch_copy()


@pytest.mark.parametrize("name", ["VOCAB_PATH", "PRETRAINED_PATH", "WEIGHTS_DIR"])
def test_what_programs_of_2017_do_with_the_strings(small, name, monkeypatch):
    path = getattr(global_variables, name)
    assert type(path) is str
    assert name in dir(global_variables)
    assert json.loads(json.dumps({"path": path})) == {"path": path}
    monkeypatch.setitem(os.environ, "TORCHMOJI_PATH", path)
    assert ",".join(["a", path]) == "a," + path
    with pytest.raises(ImportError, match="NO_PATH"):
        from torchmoji.global_variables import NO_PATH  # noqa: F401


def test_torch_loads_the_default_weights_and_one_thread_makes_the_file(small, monkeypatch):
    safetensors, path = small
    made, make = [], torch_copy._make
    monkeypatch.setattr(torch_copy, "_make", lambda path: (made.append(path), make(path)))
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: global_variables.PRETRAINED_PATH, range(4)))
    assert found == {str(path)}
    assert made == [path]
    assert_same(torch.load(path, weights_only=True), load_state_dict(safetensors))


@pytest.mark.parametrize("damage", [b"", b"other", None])
def test_a_damaged_torch_file_is_made_again(small, damage):
    safetensors, path = small
    whole = Path(global_variables.PRETRAINED_PATH).read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage and whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    assert_same(torch.load(global_variables.PRETRAINED_PATH, weights_only=True), load_state_dict(safetensors))


def test_other_default_weights_have_a_torch_file_of_their_own(small):
    safetensors, path = small
    global_variables.PRETRAINED_PATH  # noqa: B018  made here
    save_quantized({name: 2 * weight for name, weight in make_weights().items()}, safetensors)
    assert str(path) != global_variables.PRETRAINED_PATH
    assert_same(torch.load(global_variables.PRETRAINED_PATH), load_state_dict(safetensors))


def test_without_a_cache_the_torch_file_is_this_process_s_alone(small, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path / "file" / "home"))
    assert_same(torch.load(global_variables.PRETRAINED_PATH), load_state_dict(small[0]))
    assert global_variables.PRETRAINED_PATH.startswith(global_variables.WEIGHTS_DIR)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "set TORCHMOJI_HOME to a folder that can" in caplog.text


# --- the folder for weights of this process


def test_weights_folder_is_made_at_first_use_and_removed_at_the_end(tmp_path):
    code = f"""
import json, os
from torchmoji import global_variables
before = os.listdir({str(tmp_path)!r})
from torchmoji.global_variables import WEIGHTS_DIR
paths = [str(WEIGHTS_DIR), os.path.join(WEIGHTS_DIR, "")]
open(os.path.join(WEIGHTS_DIR, "weights.bin"), "w").close()
print(json.dumps([before, os.listdir({str(tmp_path)!r}), paths]))
"""
    before, after, paths = python(code, TMPDIR=str(tmp_path))
    assert before == []
    assert len(after) == 1
    assert paths == [str(tmp_path / after[0]), os.path.join(tmp_path, after[0], "")]
    assert list(tmp_path.iterdir()) == []
