"""torchmoji.global_variables: constants, and paths that are looked up when they are used."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from torchmoji import global_variables
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH, cache_directory


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path))
    return tmp_path / "deepmoji"


def install(home, *names):
    home.mkdir(exist_ok=True)
    for name in names:
        (home / name).write_text("{}")


def run(code, **environment):
    """What a fresh Python prints, as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


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
    return [str(VOCAB_PATH), str(PRETRAINED_PATH)]


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


def test_default_model_directory_is_in_the_package_or_the_checkout(monkeypatch, tmp_path):
    package = tmp_path / "torchmoji"
    package.mkdir()
    monkeypatch.setattr(global_variables, "__file__", str(package / "global_variables.py"))
    monkeypatch.setattr(global_variables, "ROOT_PATH", str(tmp_path))
    assert global_variables.default_model_directory() == tmp_path / "model"
    (package / "model").mkdir()
    assert global_variables.default_model_directory() == package / "model"


# --- the paths are used as the strings of 2017


@pytest.fixture
def path(home):
    """VOCAB_PATH as a string, with a file there."""
    install(home, "vocabulary.json", "pytorch_model.bin")
    return str(home / "vocabulary.json")


def test_what_programs_of_2017_do_with_the_strings(path):
    with open(VOCAB_PATH) as file:
        assert file.read() == "{}"
        assert Path(file.name) == Path(path)
    assert f"{VOCAB_PATH}|{VOCAB_PATH:>200}" == f"{path}|{path:>200}"
    assert "{}".format(VOCAB_PATH) == "%s" % VOCAB_PATH == str(VOCAB_PATH) == path  # noqa: UP031, UP032
    assert repr(VOCAB_PATH) == f"<VOCAB_PATH: {path!r}>"
    assert "vocabulary" in VOCAB_PATH
    assert "pytorch" not in VOCAB_PATH
    assert VOCAB_PATH[-5:] == ".json"
    assert len(VOCAB_PATH) == len(path)
    assert VOCAB_PATH.replace(".json", ".txt") == path.replace(".json", ".txt")
    with pytest.raises(AttributeError, match="no_such_method"):
        VOCAB_PATH.no_such_method()


def test_copies_are_looked_up_too(home):
    copies = [copy.deepcopy(VOCAB_PATH), pickle.loads(pickle.dumps(VOCAB_PATH))]
    install(home, "vocabulary.json", "pytorch_model.bin")
    assert [str(copied) for copied in copies] == [str(home / "vocabulary.json")] * 2


# --- the folder for weights of this process


def test_weights_folder_is_made_at_first_use_and_removed_at_the_end(tmp_path):
    code = f"""
import json, os
from torchmoji.global_variables import WEIGHTS_DIR
before = os.listdir({str(tmp_path)!r})
paths = [str(WEIGHTS_DIR), os.path.join(WEIGHTS_DIR, "")]
open(os.path.join(WEIGHTS_DIR, "weights.bin"), "w").close()
print(json.dumps([before, os.listdir({str(tmp_path)!r}), paths]))
"""
    before, after, paths = run(code, TMPDIR=str(tmp_path))
    assert before == []
    assert len(after) == 1
    assert paths == [str(tmp_path / after[0]), os.path.join(tmp_path, after[0], "")]
    assert list(tmp_path.iterdir()) == []
