"""What the README shows is run, and gives what it shows."""

import gzip
import re
import shlex
import subprocess

import pytest
from support.snippets import REPOSITORY, ROUNDING, Reader, agree, blocks, shown_after

from torchmoji.cli.main import _parser, main

TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGE = blocks(TEXT)
PYTHON = [block for block in PAGE if block.language == "python"]
BASH = [block for block in PAGE if block.language == "bash"]

SHORTER = {"epochs=20": "epochs=1"}
"""What is changed in the snippets so that they do not take long."""


def test_the_first_command_prints_what_is_shown(capsys):
    texts = re.findall(r'"([^"]+)"', BASH[0].text.partition("emojize")[2])
    assert len(texts) == 2
    assert main(["emojize", *texts]) == 0
    assert agree(capsys.readouterr().out, shown_after(PAGE, BASH[0]).text)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"line {block.line}")
def test_the_python_snippets_give_what_is_shown(block, tmp_path):
    text = block.text
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    printed, shown = Reader("README.md", tmp_path).run(block._replace(text=text)), shown_after(PAGE, block)
    assert agree(printed, shown.text, ROUNDING if text == block.text else 1)


def test_the_commands_for_files_run(tmp_path):
    (block,) = [block for block in BASH if "emojize tweets.csv" in block.text]
    (tmp_path / "tweets.csv").write_text("text\nI love it\n")
    (tmp_path / "tweets.txt.gz").write_bytes(gzip.compress(b"I love it\n"))
    (tmp_path / "tweets.txt").write_text("I love it\n")
    assert '"joy"' in Reader("README.md", tmp_path).run(block)
    assert (tmp_path / "emojis.csv").read_text("utf-8").startswith("text,emoji_1,")
    assert (tmp_path / "features.npy").stat().st_size > 2304 * 4


@pytest.mark.parametrize("block", BASH, ids=lambda block: f"line {block.line}")
def test_the_commands_have_options_that_exist(block):
    subprocess.run(["bash", "-n", "-c", block.text], check=True)
    for line in block.text.splitlines():
        command = re.split(r"&&|\|", line)[-1].strip()
        program, *options = shlex.split(command, comments=True)
        if program.rpartition("/")[2] == "torchmoji":
            _parser().parse_args(options)


def test_the_results_are_those_of_the_benchmarks():
    measured = (REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+)(?: \(\w+\))? \| [\w -]+ \| (0\.\d+) \|", TEXT, re.M)
    assert len(rows) == 5
    for name, score in rows:
        assert re.search(rf"^\| {name} \| .* \| last \| {score} ", measured, re.M), name


def test_the_links_lead_to_files():
    targets = re.findall(r"\]\((?!http)([^)#]+)", TEXT)
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
