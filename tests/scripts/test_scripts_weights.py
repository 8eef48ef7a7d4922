"""scripts/convert_keras_weights.py and scripts/verify_weights.py."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from support.weights import assert_same, make_weights

from torchmoji import global_variables
from torchmoji.weights import formats
from torchmoji.weights.formats import LAYERS, ModelSizes, load_state_dict, save_state_dict

WORDS = ["i", "love", "mom's", "cooking", "how", "you", "this", "is", "the", "shit", ".."]


def load_script(repository, name):
    spec = importlib.util.spec_from_file_location(name, repository / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scripts(repository):
    """The two scripts as modules; what they put before `sys.path` is taken away again."""
    before = list(sys.path)
    yield {name: load_script(repository, name) for name in ("convert_keras_weights", "verify_weights")}
    sys.path[:] = before


@pytest.fixture
def convert(scripts):
    return scripts["convert_keras_weights"]


@pytest.fixture
def verify(scripts):
    return scripts["verify_weights"]


SIZES = ModelSizes(30, 3, 2, 64)


# convert_keras_weights.py


@pytest.mark.parametrize(
    ("source", "target", "sizes"),
    [
        ("in.hdf5", "out.bin", ModelSizes(30, 3, 2, 64)),
        ("in.h5", "out.safetensors", ModelSizes(4, 8, 2, 1)),
        ("in.safetensors", "out.h5", ModelSizes(9, 2, 5, None)),
    ],
)
def test_convert_keeps_every_tensor(source, target, sizes, convert, tmp_path, capsys):
    weights = make_weights(sizes)
    save_state_dict(weights, tmp_path / source)
    assert convert.main([str(tmp_path / source), str(tmp_path / target)]) == 0
    assert_same(load_state_dict(tmp_path / target), weights)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(weights)
    assert lines[0].split() == f"embed.weight {sizes.nb_tokens} x {sizes.embedding_dim} float32".split()
    assert f"{target}: {len(weights)} layers" in lines[-1]


def test_convert_to_keras_keeps_the_sums_of_the_biases(convert, tmp_path):
    weights = make_weights(SIZES, second_biases=True)
    save_state_dict(weights, tmp_path / "in.bin")
    assert convert.main([str(tmp_path / "in.bin"), str(tmp_path / "out.hdf5")]) == 0
    loaded = load_state_dict(tmp_path / "out.hdf5")
    assert_same(formats.with_summed_biases(loaded), formats.with_summed_biases(weights))
    expected = weights["lstm_1.bias_ih_l0"] + weights["lstm_1.bias_hh_l0"]
    assert torch.equal(loaded["lstm_1.bias_ih_l0"], expected)


def test_convert_overwrites_only_with_force(convert, tmp_path, capsys):
    save_state_dict(make_weights(SIZES), tmp_path / "in.bin")
    (tmp_path / "out.h5").write_text("old")
    arguments = [str(tmp_path / "in.bin"), str(tmp_path / "out.h5")]
    assert convert.main(arguments) == 1
    assert "out.h5 exists: give another name, or overwrite=True (--force)" in capsys.readouterr().err
    assert (tmp_path / "out.h5").read_text() == "old"
    assert convert.main([*arguments, "--force"]) == 0
    assert len(load_state_dict(tmp_path / "out.h5")) == len(LAYERS)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none.bin", "out.h5", "there is no weights file"),
        ("page.bin", "out.h5", "is an HTML page"),
        ("in.bin", "out.npz", r"unknown file ending '.npz'"),
    ],
)
def test_convert_says_what_is_wrong(source, target, message, convert, tmp_path, capsys):
    save_state_dict(make_weights(SIZES), tmp_path / "in.bin")
    (tmp_path / "page.bin").write_text("<html>Not found</html>")
    assert convert.main([str(tmp_path / source), str(tmp_path / target)]) == 1
    assert message in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.bin", "page.bin"]


@pytest.mark.parametrize("target", ["out.safetensors", "out.h5"])
def test_convert_refuses_a_file_that_reads_back_differently(target, convert, tmp_path, monkeypatch, capsys):
    save_state_dict(make_weights(SIZES), tmp_path / "in.bin")

    def save_changed(weights, path):
        save_state_dict({**weights, "lstm_0.bias_ih_l0": weights["lstm_0.bias_ih_l0"] + 1e-6}, path)

    monkeypatch.setattr(formats, "save_state_dict", save_changed)
    assert convert.main([str(tmp_path / "in.bin"), str(tmp_path / target)]) == 1
    assert "read back, these layers differ: lstm_0.bias_ih_l0\n" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["in.bin"]


# verify_weights.py


def write_vocabulary(path):
    words = [*global_variables.SPECIAL_TOKENS, *WORDS]
    path.write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")


@pytest.fixture
def pair(tmp_path):
    """Arguments that name weights and a vocabulary of a model that knows none of the answers."""
    save_state_dict(make_weights(SIZES), tmp_path / "weights.bin")
    write_vocabulary(tmp_path / "vocabulary.json")
    return ["--weights", str(tmp_path / "weights.bin"), "--vocabulary", str(tmp_path / "vocabulary.json")]


def test_differences_name_the_sentence_or_the_features(verify):
    nearly = [feature + 0.0004 for feature in verify.KNOWN.features]
    assert verify.differences(verify.KNOWN._replace(features=nearly), verify.KNOWN) == []

    classes = [list(row) for row in verify.KNOWN.classes]
    classes[5] = [32, 55, 27, 1, 37]
    features = [*verify.KNOWN.features[:4], float("nan")]
    sentence, mean = verify.differences(verify.Answers(classes, features), verify.KNOWN)
    assert sentence == "'This is shit': expected classes [55, 32, 27, 1, 37], found [32, 55, 27, 1, 37]"
    assert mean.startswith("mean of the first features: expected [-0.023, 0.021, -0.037, -0.001, -0.005], f")
    assert mean.endswith("nan]")


def test_verify_says_which_answers_differ_and_passes_those_that_do_not(verify, pair, monkeypatch, capsys):
    assert verify.main(pair) == 1
    lines = capsys.readouterr().out.splitlines()
    for sentence, line in zip(verify.EXAMPLE_TEXTS, lines, strict=False):
        assert line.startswith(f"{sentence!r}: expected classes [")
    assert lines[8].endswith("weights.bin: 8 of 8 known answers differ")

    folder = global_variables.original_model_directory()  # where the pair is found without its names
    folder.mkdir(parents=True)
    for name, path in (("ORIGINAL_WEIGHTS_NAME", pair[1]), ("VOCABULARY_NAME", pair[3])):
        shutil.copy(path, folder / getattr(global_variables, name))
    monkeypatch.setattr(verify, "KNOWN", verify.ask(Path(pair[1]), Path(pair[3])))
    assert verify.main([]) == 0
    assert f"{folder / 'pytorch_model.bin'}: 0 of 8 known answers differ" in capsys.readouterr().out


def test_verify_without_original_weights_or_with_half_of_a_pair(verify, pair, capsys):
    with pytest.raises(SystemExit, match="2"):
        verify.main(pair[:2])
    assert "give both --weights and --vocabulary, or neither" in capsys.readouterr().err
    assert verify.main([]) == 2
    message = capsys.readouterr().err
    assert f"no original weights are installed in {global_variables.original_model_directory()}" in message
    assert "scripts/download_weights.py" in message


@pytest.mark.parametrize(
    ("weights", "vocabulary", "message"),
    [
        ("none.bin", "vocabulary.json", "there is no weights file"),
        ("weights.bin", "weights.bin", "weights.bin is not a vocabulary: no valid JSON"),
        ("few_words.bin", "vocabulary.json", "outside the model's vocabulary of 12"),
        ("encoder.bin", "vocabulary.json", "has no output layer"),
    ],
)
def test_verify_says_why_files_cannot_be_used(weights, vocabulary, message, verify, pair, tmp_path, capsys):
    save_state_dict(make_weights(ModelSizes(12, 3, 2, 64)), tmp_path / "few_words.bin")
    save_state_dict(make_weights(ModelSizes(30, 3, 2, None)), tmp_path / "encoder.bin")
    arguments = ["--weights", str(tmp_path / weights), "--vocabulary", str(tmp_path / vocabulary)]
    assert verify.main(arguments) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
