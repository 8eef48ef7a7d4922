"""benchmarks/score_emojis.py on a few texts with the default model."""

import pytest
from support.programs import run

from torchmoji import MojiPipeline

TEXTS = {"so funny i can't stop laughing": "0", "i love you": "8,4", "good night": "14"}


def test_scores_are_those_of_the_guesses(repository, tmp_path, capsys):
    lines = [f"{labels}\t{text}\n" for text, labels in TEXTS.items()]
    (tmp_path / "texts.tsv").write_text("".join(lines), encoding="utf-8")
    run(repository / "benchmarks" / "score_emojis.py", tmp_path / "texts.tsv")
    printed, pipeline = capsys.readouterr().out, MojiPipeline.from_pretrained()

    def share(top_k):
        guesses = [[str(score.index) for score in pipeline.predict(text, top_k)] for text in TEXTS]
        pairs = zip(guesses, TEXTS.values(), strict=True)
        return sum(bool(set(row) & set(own.split(","))) for row, own in pairs) / len(TEXTS)

    assert f"| default | {share(1):.2%} | {share(5):.2%} |" in printed
    assert "| 😂 | 1 | " in printed


def test_a_line_that_is_none_is_named(repository, tmp_path, capsys):
    (tmp_path / "texts.tsv").write_text("64\ttoo high\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        run(repository / "benchmarks" / "score_emojis.py", tmp_path / "texts.tsv")
    assert "line 1: expected classes from 0 to 63" in capsys.readouterr().err
