import json
import os
import re
import subprocess
import sys
import time

import pytest
import torch

from torchmoji import __version__
from torchmoji.cli.main import main
from torchmoji.emojis import EMOJIS
from torchmoji.model_def import TorchMoji


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Options that name a tiny model: the word "day" stands for the second emoji."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "vocabulary.json").write_text(json.dumps({"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "day": 2}))
    tiny = TorchMoji(64, 3, embedding_dim=2, hidden_size=1)
    with torch.no_grad():
        tiny.output_layer[0].bias.copy_(torch.arange(64).flip(0))
        tiny.output_layer[0].bias[1] += 3
        tiny.output_layer[0].weight.zero_()
    torch.save(tiny.state_dict(), folder / "weights.bin")
    return ["--weights", str(folder / "weights.bin"), "--vocabulary", str(folder / "vocabulary.json")]


def test_emojize_prints_each_text_with_its_emojis(model, capsys):
    assert main(["emojize", "a day", "", *model, "--top-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a day", "  😒 85.9%   😂 11.6%", "", "  😒 85.9%   😂 11.6%"]


def test_emojize_prints_five_emojis_by_default(model, capsys):
    main(["emojize", "a day", *model])
    assert sum(emoji in EMOJIS for emoji in capsys.readouterr().out.split()) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "x"], "--weights and --vocabulary belong together"),
        (["--weights", "x", "--vocabulary", "no-such.json"], "no-such.json"),
        (["--top-k", "0"], "top_k must be at least 1, got 0"),
        (["--weights", "x.onnx"], "there is no ONNX file x.onnx"),
        (["--weights", "x.onnx", "--backend", "torch"], "torch cannot run x.onnx: use --backend onnx"),
    ],
)
def test_wrong_input_is_one_line_on_stderr(model, capsys, arguments, message):
    options = arguments if "--weights" in arguments else [*model, *arguments]
    assert main(["emojize", "a day", *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"torchmoji {__version__}\n"


def test_the_package_can_be_run_as_a_module(model):
    command = [sys.executable, "-m", "torchmoji", "emojize", "a day", *model]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=None)
    assert result.stdout.startswith("a day\n  😒")


def test_help_does_not_import_torch():
    code = """
import sys
from torchmoji.cli.main import main
try:
    main(["emojize", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert "examples:" in result.stdout


def test_emojis_are_escaped_where_the_terminal_has_none(model):
    command = [sys.executable, "-m", "torchmoji", "emojize", "a day", *model]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, encoding="ascii", check=True, env=environment)
    assert result.stdout.startswith("a day\n  \\U0001f612 85.9%")


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed in another way there")
def test_a_reader_that_goes_away_is_no_error_message(model):
    command = [sys.executable, "-m", "torchmoji", "emojize", "a day", *model]
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, encoding="utf-8")
    os.close(write_end)
    assert (result.returncode, result.stderr) == (1, "")


# --- the ONNX engine ----------------------------------------------------------------------------------------

TEXTS = ["I love mom's cooking", "not again.. my train is late"]


@pytest.fixture
def onnx_file(model, tmp_path, capsys):
    """The tiny model as an ONNX file with its vocabulary."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    assert main(["export", "--out", str(path), *model]) == 0
    assert capsys.readouterr().out == f"{path}: 0.0 MB\n"
    return str(path)


def test_an_onnx_file_brings_its_vocabulary(onnx_file, capsys):
    assert main(["emojize", "a day", "--weights", onnx_file, "--top-k", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == ["a day", "  😒 85.9%   😂 11.6%"]


def test_an_onnx_file_can_have_another_vocabulary(onnx_file, model, capsys):
    assert main(["emojize", "a day", *model[2:], "--weights", onnx_file, "--top-k", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == ["a day", "  😒 85.9%"]


def test_an_onnx_file_without_vocabulary(model, tmp_path, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = str(tmp_path / "model.onnx")
    main(["export", "--out", path, *model[:2]])
    assert main(["emojize", "a day", "--weights", path]) == 1
    assert "has no vocabulary" in capsys.readouterr().err


def test_export_writes_the_outputs_that_are_named(model, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from torchmoji.onnx.model import OnnxModel

    path = str(tmp_path / "model.onnx")
    options = ["--quantize", "int8", "--output", "features", "attention"]
    assert main(["export", "--out", path, *model, *options]) == 0
    loaded = OnnxModel(path)
    assert (loaded.quantization, loaded.outputs) == ("int8", ("features", "attention"))


def test_export_takes_no_vocabulary_for_the_default_model(model, tmp_path, capsys):
    assert main(["export", "--out", str(tmp_path / "model.onnx"), *model[2:]]) == 1
    assert "--vocabulary needs --weights" in capsys.readouterr().err


def test_both_engines_give_the_same_emojis(capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    lines = {}
    for backend in ("torch", "onnx"):
        assert main(["emojize", *TEXTS, "--backend", backend]) == 0
        lines[backend] = re.sub(r"[\d.]+%", "", capsys.readouterr().out)
    assert lines["onnx"] == lines["torch"]


@pytest.mark.parametrize("backend", ["auto", "onnx"])
def test_the_first_emoji_is_there_soon_and_without_torch(backend):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    code = f"""
import sys
from torchmoji.cli.main import main
main(["emojize", "I love mom's cooking", "--backend", {backend!r}])
assert "torch" not in sys.modules
"""
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    assert "😋" in result.stdout
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_float_weights_can_be_run_by_either_engine(model, capsys, backend):
    if backend == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    assert main(["emojize", "a day", *model, "--top-k", "1", "--backend", backend]) == 0
    assert capsys.readouterr().out.splitlines() == ["a day", "  😒 85.9%"]


def test_without_the_extra_torch_computes(monkeypatch, capsys):
    monkeypatch.setattr("torchmoji.cli.models.find_spec", lambda name: None)
    monkeypatch.setattr("torchmoji.pipeline.pipeline.onnx_engine", None)
    assert main(["emojize", TEXTS[0], "--top-k", "1"]) == 0
    assert "😋" in capsys.readouterr().out
