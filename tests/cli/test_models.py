"""The commands about models, and how the options name one."""

import json
import re

import numpy as np
import pytest
import torch

from torchmoji import MojiPipeline
from torchmoji.cli.main import main
from torchmoji.emojis import EMOJIS
from torchmoji.estimator import TorchMojiClassifier
from torchmoji.model_def import TorchMoji
from torchmoji.pipeline.engines import ENGINES

TEXTS = ["I love mom's cooking", "not again.. my train is late"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Options that name weights and a vocabulary: the first two emojis are 😒 and 😂 for any text."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "vocabulary.json").write_text(json.dumps({"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "day": 2}))
    tiny = TorchMoji(64, 3, embedding_dim=2, hidden_size=1)
    with torch.no_grad():
        tiny.output_layer[0].bias.copy_(torch.arange(64).flip(0))
        tiny.output_layer[0].bias[1] += 3
        tiny.output_layer[0].weight.zero_()
    torch.save(tiny.state_dict(), folder / "weights.bin")
    return ["--weights", str(folder / "weights.bin"), "--vocabulary", str(folder / "vocabulary.json")]


def printed(capsys, *arguments):
    assert main([*arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("backend", ["auto", "torch", "onnx"])
def test_weights_can_be_run_by_either_engine(model, capsys, backend):
    lines = printed(capsys, "emojize", "a day", "", *model, "--top-k", "2", "--backend", backend).splitlines()
    assert lines == ["a day", "  😒 85.9%   😂 11.6%", "", "  (no words)"]


def test_the_default_model_gives_the_same_emojis_with_either_engine(capsys):
    lines = [
        re.sub(r"[\d.]+%", "", printed(capsys, "emojize", *TEXTS, "--backend", backend))
        for backend in ("torch", "onnx")
    ]
    assert lines[0] == lines[1]


def test_without_the_extra_torch_computes(monkeypatch, capsys):
    monkeypatch.setattr("torchmoji.pipeline.engines.find_spec", lambda name: None)
    monkeypatch.delitem(ENGINES, "onnx")
    assert "😋" in printed(capsys, "emojize", TEXTS[0], "--top-k", "1")


def test_an_exported_model_has_its_vocabulary_or_takes_another(model, tmp_path, capsys):
    out, alone = str(tmp_path / "model.onnx"), str(tmp_path / "alone.onnx")
    assert printed(capsys, "export", "--out", out, *model) == f"{out}: 0.0 MB\n"
    for vocabulary in ([], model[2:]):
        lines = printed(capsys, "emojize", "a day", "--weights", out, *vocabulary, "--top-k", "1").split("\n")
        assert lines == ["a day", "  😒 85.9%", ""]
    assert printed(capsys, "emojize", "a day", "--model", out, "--top-k", "1").split("\n") == lines
    printed(capsys, "export", "--out", alone, *model[:2])
    assert main(["emojize", "a day", "--weights", alone]) == 1
    assert "has no vocabulary" in capsys.readouterr().err


def test_files_are_replaced_with_force_only(model, tmp_path, capsys):
    weights, out = model[1], tmp_path / "there.onnx"
    out.write_text("mine")
    assert main(["export", "--out", str(out), *model]) == 1
    assert "there.onnx exists: give another name, or --force to replace it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["export", "--out", str(out), *model, "--force"]) == 0
    assert main(["convert", weights, weights, "--force"]) == 1
    assert f"{weights} would replace the input {weights}" in capsys.readouterr().err


def test_export_writes_the_outputs_that_are_named(model, tmp_path):
    from torchmoji.onnx.model import OnnxModel

    path = str(tmp_path / "model.onnx")
    options = ["--quantize", "int8", "--output", "features", "attention"]
    assert main(["export", "--out", path, *model, *options]) == 0
    loaded = OnnxModel(path)
    assert (loaded.quantization, loaded.outputs) == ("int8", ("features", "attention"))


@pytest.mark.parametrize("labels", [None, ["no", "yes"], [[1, 0], [0, 1]], [[1, 0, 0], [1, 1, 0]]])
def test_a_folder_gives_the_same_as_its_onnx_file(tiny_folder, tmp_path, capsys, labels):
    folder, out = tiny_folder, str(tmp_path / "tuned.onnx")
    classes = list(EMOJIS)
    if labels is not None:
        classes, folder = np.unique(labels) if labels == ["no", "yes"] else labels[0], str(tmp_path / "tuned")
        classifier = TorchMojiClassifier(tiny_folder, epochs=2, random_state=0)
        classifier.fit(["a day", "not a day"] * 6, labels * 6).save(folder)
    printed(capsys, "export", "--model", folder, "--out", out)
    torch_row, onnx_row = (
        json.loads(printed(capsys, "score", "a day", "--json", *options))
        for options in (("--model", folder, "--backend", "torch"), ("--weights", out))
    )
    assert onnx_row == pytest.approx(torch_row, abs=2e-6)
    assert len(onnx_row) == 1 + len(classes)


def test_weights_are_converted_there_and_back(tiny_folder, tmp_path, capsys):
    first, second = str(tmp_path / "w.hdf5"), str(tmp_path / "w.safetensors")
    about = json.loads(printed(capsys, "convert", tiny_folder, first, "--json"))
    assert (about["file"], about["layers"]["embed.weight"]) == (first, [14, 4])
    assert f"{second}: " in printed(capsys, "convert", first, second)
    assert main(["convert", first, second]) == 1
    assert "w.safetensors exists: give another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["emojize", "texts.txt", "--out", "new.csv", "--quiet"],
        ["encode", "texts.txt", "--out", "new.npy", "--quiet"],
        ["export", "--out", "new.onnx"],
        ["convert", "MODEL", "new.bin"],
        ["convert", "MODEL", "new.safetensors"],
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_folder, tmp_path, monkeypatch, capsys, command):
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("a day\n" * 20)
    command = [tiny_folder if word == "MODEL" else word for word in command]
    command += [] if command[0] == "convert" else ["--model", tiny_folder]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))  # bytes of a file
    try:
        assert main(command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    errors = capsys.readouterr().err
    assert errors.startswith("torchmoji: ")
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_info_says_what_the_model_is_made_of(tiny_folder, capsys):
    about = json.loads(printed(capsys, "info", "--model", tiny_folder, "--json"))
    assert (about["classes"], about["features"], about["words"]) == (list(EMOJIS), 16, 3)
    assert "features: 16" in printed(capsys, "info", "--model", tiny_folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emojize", "a", "--weights", "x"], "--weights and --vocabulary belong together"),
        (["emojize", "a", "--vocabulary", "x"], "--weights and --vocabulary belong together"),
        (["emojize", "a", "--weights", "x", "--vocabulary", "no-such.json"], "no-such.json"),
        (["emojize", "a", "--weights", "x.onnx"], "there is no ONNX file x.onnx"),
        (["emojize", "a", "--weights", "x.onnx", "--backend", "torch"], "torch cannot run x.onnx: use"),
        (["emojize", "a", "--model", "x", "--weights", "y"], "give --model or --weights, not both"),
        (["emojize", "a", "--model", "nothing"], "there is no model 'nothing'"),
        (["export", "--out", "m.onnx", "--vocabulary", "x"], "--vocabulary needs --weights"),
        (["export", "--out", "m.onnx", "--model", "x", "--weights", "y"], "give --model or --weights with"),
        (["export", "--out", "m.txt"], "its ending must be .onnx"),
        (["convert", "default", "w.xyz"], "unknown file ending '.xyz' of w.xyz"),
        (["convert", "nothing", "w.bin"], "there is no model 'nothing'"),
        (["emojize", "a", "--threads", "100000"], "from 1 to 1024, got 100000"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_on_stderr(capsys, arguments, message):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_server_with_an_empty_key_does_not_start(tiny_folder, capsys, monkeypatch):
    monkeypatch.setattr("torchmoji.cli.models.serve", lambda *_, **__: pytest.fail("it started"))
    assert main(["serve", "--model", tiny_folder, "--key", ""]) == 1
    assert "key must have ASCII characters" in capsys.readouterr().err


def test_an_exported_file_cuts_texts_as_the_model_does(tiny_folder, tmp_path):
    pipeline = MojiPipeline.from_pretrained(tiny_folder, max_length=2)
    pipeline.save_pretrained(tmp_path / "short")
    out = str(tmp_path / "short.onnx")
    assert main(["export", "--model", str(tmp_path / "short"), "--out", out]) == 0
    read = MojiPipeline.from_pretrained(out)
    assert read.max_length == 2
    found, expected = (pipe.predict_proba("a day not a day") for pipe in (read, pipeline))
    assert np.allclose(found, expected, atol=1e-5)
