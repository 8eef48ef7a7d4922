"""benchmarks/tokenization.py: reads files of texts, measures in processes of its own, writes its tables."""

import gzip
import re

import pytest
from support.programs import loaded, run

from torchmoji.create_vocab import save_vocabulary
from torchmoji.global_variables import SPECIAL_TOKENS


@pytest.fixture
def program(repository):
    return repository / "benchmarks" / "tokenization.py"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """An empty folder with two files of texts and a vocabulary; gives the arguments that name the last."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("I love it\n\nlove\u2028you\n", encoding="utf-8")
    with gzip.open(tmp_path / "labelled.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("1,2\tone\ttwo\n3\tthree\n")
    vocabulary = {word: i for i, word in enumerate([*SPECIAL_TOKENS, "love"])}
    save_vocabulary(vocabulary, tmp_path / "vocabulary.json")
    return ["--vocabulary", "vocabulary.json"]


def test_texts_of_a_file(program, small, tmp_path):
    with loaded(program) as module:
        assert module.read_texts(tmp_path / "plain.txt", None) == ["I love it", "", "love\u2028you"]
        assert module.read_texts(tmp_path / "labelled.tsv.gz", None) == ["one\ttwo", "three"]
        assert module.read_texts(tmp_path / "labelled.tsv.gz", 1) == ["one\ttwo"]


def test_tables(program, small, tmp_path):
    run(
        program,
        *("plain.txt", "labelled.tsv.gz", *small, "--repeat", "2", "--limit", "2"),
        *("--characters", "400", "--output", "out.md"),
    )
    report = (tmp_path / "out.md").read_text("utf-8")
    speed = r" \| [\d,]+ \([\d,]+ to [\d,]+\)" * 2
    assert re.search(rf"^\| plain.txt \| 2{speed} \|$", report, re.MULTILINE)
    assert re.search(rf"^\| labelled.tsv.gz \| 2{speed} \|$", report, re.MULTILINE)
    assert "to ids, 100 | to ids, 400 |" in report
    assert "| `a.a.a.` | 0.00 | 0.00 | 0.00 | 0.00 |" in report
    assert "python benchmarks/tokenization.py plain.txt labelled.tsv.gz" in report
