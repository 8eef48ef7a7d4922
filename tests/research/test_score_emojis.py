"""research/score_emojis.py on a few texts with the default model."""

import pytest
from support.programs import run

from torchmoji import MojiPipeline

TEXTS = {"so funny i can't stop laughing": "0", "i love you": "8,4", "good night": "14"}


@pytest.fixture
def program(repository):
    return lambda *arguments: run(repository / "research" / "score_emojis.py", *arguments)


def test_scores_are_those_of_the_guesses(program, tmp_path, capsys):
    lines = [f"{labels}\t{text}\n" for text, labels in TEXTS.items()]
    (tmp_path / "texts.tsv").write_text("".join(lines), encoding="utf-8")
    program(str(tmp_path / "texts.tsv"))
    printed = capsys.readouterr().out
    pipeline = MojiPipeline.from_pretrained()
    first, first_five = (
        sum(
            any(str(pipeline.classes.index(s.emoji)) in labels.split(",") for s in pipeline.predict(text, k))
            for text, labels in TEXTS.items()
        )
        / len(TEXTS)
        for k in (1, 5)
    )
    assert f"| default | {first:.2%} | {first_five:.2%} |" in printed
    assert printed.startswith("On 3 texts.")
    assert "| 😂 | 1 | " in printed
    assert "## Where it fails" in printed


def test_a_line_that_is_none_is_named(program, tmp_path, capsys):
    (tmp_path / "texts.tsv").write_text("64\ttoo high\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        program(str(tmp_path / "texts.tsv"))
    assert "line 1: expected classes from 0 to 63" in capsys.readouterr().err
