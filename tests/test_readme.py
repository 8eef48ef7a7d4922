"""What the README shows is run, and gives what it shows."""

import gzip
import re
import shlex

import pytest

from torchmoji.cli import main


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text(encoding="utf-8")


def blocks(readme, language):
    """Each code block of a language, and the output block that follows it."""
    return re.findall(rf"```{language}\n(.*?)```\n\n```\n(.*?)```", readme, re.DOTALL)


def test_the_first_command_prints_what_is_shown(readme, capsys):
    command, shown = blocks(readme, "bash")[0]
    texts = re.findall(r'"([^"]+)"', command)
    assert len(texts) == 2
    assert main(["emojize", *texts]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(shown.splitlines()) == 4
    for line, expected in zip(printed, shown.splitlines(), strict=True):
        assert re.sub(r"[\d.]+%", "", line) == re.sub(r"[\d.]+%", "", expected)


def without_last_digits(text):
    return re.sub(r"(\d\.\d)\d*", r"\1", text)


@pytest.mark.parametrize("number", [0, 1])
def test_the_snippets_for_emojis_give_what_is_shown(readme, capsys, number):
    code, shown = blocks(readme, "python")[number]
    exec(compile(code, "README.md", "exec"), {})
    assert without_last_digits(capsys.readouterr().out) == without_last_digits(shown)


def test_the_shell_commands_run(readme, tmp_path, monkeypatch, capsys):
    (section,) = re.findall(r"```bash\n(torchmoji emojize --input.*?)```", readme, re.DOTALL)
    (tmp_path / "tweets.csv").write_text("text\nI love it\n")
    (tmp_path / "tweets.txt.gz").write_bytes(gzip.compress(b"I love it\n"))
    monkeypatch.chdir(tmp_path)
    lines = section.splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert main(shlex.split(line)[1:]) == 0
    assert sorted(path.name for path in tmp_path.iterdir())[:2] == ["emojis.csv", "features.npy"]
    monkeypatch.setattr("torchmoji.cli.standard_input", lambda: iter(["I love it"]))
    assert main(shlex.split(lines[2].partition("| ")[2])[1:]) == 0
    assert '"joy"' in capsys.readouterr().out


def test_the_snippet_for_finetuning_runs(readme, capsys, repository, monkeypatch):
    code, shown = blocks(readme, "python")[2]
    shortened = code.replace("epoch_size=500", "epoch_size=32").replace("nb_epochs=20", "nb_epochs=1")
    assert shortened != code
    monkeypatch.chdir(repository)
    exec(compile(shortened, "README.md", "exec"), {})
    accuracy = re.compile(r"accuracy on the test part: (0\.\d\d)\n")
    assert accuracy.fullmatch(shown)
    assert float(accuracy.fullmatch(capsys.readouterr().out)[1]) > 0.3


def test_the_snippets_for_speed_run(readme, tmp_path, monkeypatch):
    section = readme.split("## Faster")[1].split("\n## ")[0]
    snippets = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(snippets) == 2
    monkeypatch.chdir(tmp_path)
    found = [{}, {}]
    for code, names in zip(snippets, found, strict=True):
        exec(compile(code.replace("range(1000)", "range(10)"), "README.md", "exec"), names)
    assert found[0]["model"].quantization == "int8"
    assert found[1]["features"].shape == (2304,)
