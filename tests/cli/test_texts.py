"""The commands that take texts: inputs, outputs, and what they say."""

import csv
import json

import numpy as np
import pytest

from torchmoji import MojiPipeline
from torchmoji.cli.main import main
from torchmoji.cli.texts import _arriving_texts
from torchmoji.emojis import EMOJIS, EMOTIONS, shown

TEXTS = ["a day", "", "not a day"]
COMMANDS = ["emojize", "score", "emotions", "attention", "explain", "encode"]


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return MojiPipeline.from_pretrained(tiny_folder)


@pytest.fixture
def texts_file(tmp_path):
    path = tmp_path / "texts.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["n", "tweet"], *enumerate(TEXTS)])
    return ["--input", str(path), "--column", "tweet"]


def rows_of(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_rows_hold_what_the_pipeline_gives(tiny_folder, pipeline, capsys):
    near = {"abs": 2e-6}
    rows = {
        command: rows_of(capsys, command, "A  day", "--model", tiny_folder, *options)[0]
        for command, options in {**dict.fromkeys(COMMANDS, ()), "emojize": ("--top-k", "2")}.items()
    }
    expected = pipeline.predict("A  day", 2)
    row = rows["emojize"]
    assert [row["emoji_1"], row["emoji_2"]] == [shown(score.emoji) for score in expected]
    assert row["probability_2"] == pytest.approx(expected[1].probability, **near)
    for command, names, values in (
        ("score", [*map(shown, EMOJIS)], pipeline.predict_proba("A  day")),
        ("emotions", EMOTIONS, pipeline.emotions("A  day")),
    ):
        assert [rows[command][name] for name in names] == pytest.approx(values.tolist(), **near)
    assert rows["encode"]["features"] == pytest.approx(pipeline.encode("A  day").tolist(), **near)
    words = [(word["word"], word["start"], word["end"]) for word in rows["attention"]["words"]]
    assert words == [("a", 0, 1), ("day", 3, 6)]
    changes = [effect.change for effect in pipeline.explain("A  day").words]
    assert [word["change"] for word in rows["explain"]["words"]] == pytest.approx(changes, **near)


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_are_written_in_order_by_the_file_ending(tiny_folder, texts_file, tmp_path, capsys, command):
    rows = rows_of(capsys, command, *texts_file, "--model", tiny_folder)
    assert [(row["n"], row["tweet"]) for row in rows] == [("0", "a day"), ("1", ""), ("2", "not a day")]
    for kind in ("csv", "tsv", "jsonl", "parquet"):
        out = str(tmp_path / f"out.{kind}")
        assert main([command, *texts_file, "--model", tiny_folder, "--out", out]) == 0
        assert capsys.readouterr().out == ""
        again = rows_of(capsys, "emojize", out, "--column", "tweet", "--model", tiny_folder)
        assert [row["tweet"] for row in again] == TEXTS
    with open(tmp_path / "out.jsonl", encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == rows


def test_encodings_as_an_array(tiny_folder, pipeline, texts_file, tmp_path, capsys):
    for options in (texts_file, TEXTS):  # resumable, and not
        out = ["--out", str(tmp_path / "x.npy"), "--force"]
        assert main(["encode", *options, "--model", tiny_folder, *out]) == 0
        np.testing.assert_allclose(np.load(tmp_path / "x.npy"), pipeline.encode(TEXTS), atol=1e-6)


def test_tables_for_people(tiny_folder, capsys):
    for command in ("emojize", "emotions", "attention", "explain"):
        assert main([command, "a day", "--model", tiny_folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[2] == "a day"
    assert sum(emoji in map(shown, EMOJIS) for emoji in lines[1].split()) == 5
    assert "anger 0." in lines[3]
    assert sum("day" in line and "%" in line for line in lines) == 2
    assert main(["score", "a day", "--model", tiny_folder]) == 0
    assert len(next(csv.reader(capsys.readouterr().out.splitlines()))) == 65


def test_standard_input_comes_in_whole_lines_however_it_is_cut(monkeypatch):
    class Pipe:
        def __init__(self, *chunks):
            self.chunks = [*chunks, b""]

        def read1(self, size):
            return self.chunks.pop(0)

    class Stream:
        buffer: Pipe

    def windows(*chunks):
        Stream.buffer = Pipe(*chunks)
        monkeypatch.setattr("sys.stdin", Stream)
        return list(_arriving_texts())

    assert windows(b"\xef\xbb\xbfone\r\ntw", b"o", b"\nthree\n\n", "four \u2764".encode()) == [
        ["one"],
        ["two", "three", ""],
        ["four \u2764"],
    ]
    assert windows() == []
    assert windows(b"bad \xff byte\n") == [["bad \ufffd byte"]]


def test_the_encoding_of_a_file_is_named(tiny_folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes("a café".encode("cp1252"))
    command = ["emojize", "--input", str(tmp_path / "a.txt"), "--model", tiny_folder]
    assert main(command) == 1
    assert "a.txt, line 1, is not UTF-8 (byte 0xe9)" in capsys.readouterr().err
    (row,) = rows_of(capsys, *command, "--encoding", "cp1252")
    assert row["text"] == "a café"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no texts: give some, - for standard input, or files"),
        (["a", "--input", "x.csv"], "give texts or --input, not both"),
        (["a", "--column", "x"], "--text-column needs a file"),
        (["a", "--encoding", "x"], "--encoding needs a file"),
        (["a", "-"], "- stands for all texts of standard input: give it alone"),
        (["--input", "missing.csv"], "there is no file missing.csv"),
        (["a", "--out", "x.xlsx"], "its ending must be one of .csv"),
    ],
)
def test_wrong_input_is_one_line_on_stderr(tiny_folder, capsys, arguments, message):
    assert main(["emojize", *arguments, "--model", tiny_folder]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_resume_wants_files(tiny_folder, capsys):
    assert main(["encode", "a day", "--model", tiny_folder, "--resume"]) == 1
    assert "--resume needs a file of texts and --out FILE" in capsys.readouterr().err
