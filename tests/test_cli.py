import json
import os
import subprocess
import sys

import pytest
import torch

from torchmoji import __version__
from torchmoji.cli import main
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
from torchmoji.cli import main
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
