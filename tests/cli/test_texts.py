"""The commands that take texts: inputs, outputs, and what they say."""

import csv
import json
import os
from io import BufferedReader, BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from torchmoji import MojiPipeline
from torchmoji.cli import texts as texts_module
from torchmoji.cli.main import main
from torchmoji.cli.texts import _arriving_texts
from torchmoji.emojis import EMOJIS, EMOTIONS, shown
from torchmoji.files.tables import as_json, open_table

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


@pytest.mark.parametrize(
    ("command", "names"), [("emojize", ["emoji_1_", "probability_1"]), ("encode", ["features"])]
)
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_table_without_rows_has_the_columns_of_its_results(tiny_folder, tmp_path, kind, command, names):
    source, target = tmp_path / "none.csv", tmp_path / f"out.{kind}"
    source.write_text("n,text,emoji_1\n")
    options = ["--top-k", "1", "--workers", "2"] if command == "emojize" else []
    arguments = [command, source, "--out", target, "--model", tiny_folder, "--quiet", *options]
    assert main([*map(str, arguments)]) == 0
    with open_table(target) as table:
        assert (table.columns, list(table)) == (["n", "text", "emoji_1", *names], [])


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
    def windows(*chunks, encoding=None):
        left = [*chunks, b""]
        pipe = SimpleNamespace(read1=lambda size: left.pop(0))
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=pipe))
        return list(_arriving_texts(encoding))

    assert windows(b"\xef\xbb\xbfone\r\ntw", b"o", b"\nthree\n\n", "four \u2764".encode()) == [
        ["one"],
        ["two", "three", ""],
        ["four \u2764"],
    ]
    assert windows() == []
    assert windows(b"caf\xe9\n", encoding="latin-1") == [["caf\xe9"]]
    for encoding, message in ((None, r"line 2, is not UTF-8 .byte 0xe9"), ("lattin", "'lattin' is unknown")):
        with pytest.raises(ValueError, match=message):
            windows(b"one\ncaf\xe9\n", encoding=encoding)


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
        (["a.txt", "--column", "x"], "--text-column names a column, but a.txt has a text a line"),
        (["a", "--encoding", "x"], "--encoding is that of a file"),
        (["a", "-"], "- stands for all texts of standard input: give it alone"),
        (["--input", "missing.csv"], "there is no file missing.csv"),
        (["a", "--out", "x.xlsx"], "its ending must be one of .csv, .tsv, .jsonl, .parquet; Excel opens"),
        (["no-such.csv"], "there is no file no-such.csv: check the path; a text of that name can come by"),
        (["tweets.csv.xz"], "there is no file tweets.csv.xz"),
        (["--input", "a.csv.xz"], "cannot read a.csv.xz, which is packed: unpack it, or pack it as .gz"),
        (["sheet.xlsx"], "cannot read sheet.xlsx, a spreadsheet: save it as CSV"),
        (["--input", "sheet.xlsx"], "cannot read sheet.xlsx, a spreadsheet: save it as CSV"),
        (["sheet.xlsx", "a day"], "sheet.xlsx is a file, 'a day' is none: give texts or files, not both"),
        (["a.txt", "sub/a.csv", "--output-dir", "x"], "a.txt and sub/a.csv would both become x/a.csv"),
        (["a.txt", "sub/a.csv"], "several files need --output-dir FOLDER, or --json"),
        (["a.txt", "sub/a.csv", "--json", "--out", "x.csv"], "--out takes the result of one file"),
        (["a", "--output-dir", "x"], "--output-dir needs files of texts"),
        (["sub/a.csv", "--column", "b"], "has no column 'b', only 'text': name one with --text-column"),
        (["./sub"], "sub is a folder: name files in it"),
        (["a", "--out", "a.csv", "--json"], "--json is for standard output"),
    ],
)
def test_wrong_input_is_one_line_on_stderr(tiny_folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    for name in ("sheet.xlsx", "a.txt", "sub/a.csv", "a.csv.xz"):
        Path(name).write_text("text\na day\n")
    assert main(["emojize", *arguments, "--model", tiny_folder, "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_files_as_arguments_are_read_and_said_so(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,text,emoji_1\n1,a day,mine\n")
    Path("b.json").write_text('[{"text": "a day", "k": 1},\n {"text": "", "k": [2]}]')
    command = ["emojize", "--model", tiny_folder, "--top-k", "1"]
    rows = rows_of(capsys, *command, "a.csv", "b.json")
    assert [list(row) for row in rows] == [
        ["id", "text", "emoji_1", "emoji_1_", "probability_1"],  # a taken name gets an underscore
        *[["text", "k", "emoji_1", "probability_1"]] * 2,
    ]
    assert rows[0]["emoji_1"] == "mine"
    assert (rows[2]["k"], rows[2]["emoji_1"], rows[2]["probability_1"]) == ([2], None, None)
    assert main([*command, "a.csv", "--output-dir", "out", "b.json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("torchmoji: reading the file a.csv; a text of that name can come by")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.csv", "b.jsonl"]
    assert main([*command, "--input", "a.csv", "--input", "b.json", "--output-dir", "new", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert Path("new/b.jsonl").read_bytes() == Path("out/b.jsonl").read_bytes()


def test_hearts_and_hands_have_their_colour_in_results(monkeypatch, tiny_folder, capsys):
    for command in (["emojize", "--top-k", "64"], ["score"]):
        assert main([*command, "a day", "--json", "--model", tiny_folder]) == 0
        line = capsys.readouterr().out
        assert all(f'"{emoji}\ufe0f"' in line for emoji in "❤♥☺✌")


def test_numbers_of_texts_without_words_are_empty_cells(tiny_folder, capsys):
    for command in ("emojize", "score", "emotions", "explain"):
        row = rows_of(capsys, command, " \ufe0f ", "--model", tiny_folder)[0]
        assert {str(value) for name, value in row.items() if name != "text"} <= {"None", "[]"}


def test_options_of_computing_reach_the_pipeline(tiny_folder, monkeypatch, capsys):
    loaded, load = [], texts_module.load_pipeline
    monkeypatch.setattr(
        texts_module, "load_pipeline", lambda options: loaded.append(load(options)) or loaded[-1]
    )
    options = "--max-length 2 --windows --batch-size 3 --threads 1 --precision float32 --device cpu".split()
    for command in COMMANDS:
        balance = [] if command == "encode" else ["--balance", "0"]
        rows_of(capsys, command, "a day not a day", "--model", tiny_folder, *options, *balance)
        assert (loaded[-1].max_length, loaded[-1].windows, loaded[-1].batch_size) == (2, True, 3)


def test_what_is_there_is_replaced_with_force_only_and_the_input_never(tiny_folder, tmp_path, capsys):
    table, link, copy, there = (tmp_path / name for name in ("a.csv", "link.csv", "copy.csv", "there.csv"))
    table.write_text("text\na day\n")
    link.symlink_to(table)
    os.link(table, copy)
    there.write_text("mine")
    command = ["emojize", str(table), "--model", tiny_folder, "--quiet"]
    for out in (table, link, copy, tmp_path / "new" / ".." / "a.csv"):
        for options in (["--out", str(out)], ["--out", str(out), "--force"]):
            assert main([*command, *options]) == 1
            assert f"{out} would replace the input {table}: give another name" in capsys.readouterr().err
    assert main([*command, "--output-dir", str(tmp_path), "--force"]) == 1
    assert main([*command, "--out", str(there)]) == 1
    assert "there.csv exists: give another name, or --force to replace it" in capsys.readouterr().err
    assert (table.read_text(), there.read_text()) == ("text\na day\n", "mine")
    link.unlink()
    link.symlink_to(there)
    assert main([*command, "--out", str(link), "--force"]) == 0
    assert link.is_symlink()
    assert there.read_text().startswith("text,emoji_1")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_are_not_replaced(tiny_folder, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    out = ["--out", str(tmp_path / "pipe.csv"), "--force"]
    assert main(["emojize", "a day", "--model", tiny_folder, *out]) == 1
    assert "pipe.csv is a pipe or a device, no file: name a file" in capsys.readouterr().err


def test_resume_of_a_finished_file_says_so(tiny_folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a day\nnot a day\n")
    out = tmp_path / "a.npy"
    command = ["encode", str(tmp_path / "a.txt"), "--model", tiny_folder, "--out", str(out)]
    assert main(command) == 0
    before = out.stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert "a.npy is finished: nothing is left to do" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == before
    assert main([*command, "--resume", "--force"]) == 0
    assert out.stat().st_mtime_ns > before


def test_progress_has_a_total_on_a_terminal_and_is_in_no_log(tiny_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.txt").write_text("a day\n" * 5)
    command = ["emotions", str(tmp_path / "a.txt"), "--model", tiny_folder, "--out", str(tmp_path / "a.csv")]
    assert main(command) == 0
    assert "5/5" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main([*command, "--force"]) == 0
    assert "5/5" in capsys.readouterr().err


def test_resume_wants_files(tiny_folder, capsys):
    assert main(["encode", "a day", "--model", tiny_folder, "--resume"]) == 1
    assert "--resume needs a file of texts and --out FILE" in capsys.readouterr().err


def test_half_of_a_file_is_not_thrown_away_unasked(tiny_folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a day\n")
    for name in ("a.npy.partial", "a.npy.partial.json"):
        (tmp_path / name).write_text("half")
    command = ["encode", str(tmp_path / "a.txt"), "--model", tiny_folder, "--out", str(tmp_path / "a.npy")]
    assert main(command) == 1
    assert "a.npy is half done: --resume goes on with it, --force begins anew" in capsys.readouterr().err
    assert (tmp_path / "a.npy.partial").read_text() == "half"
    assert main([*command, "--force"]) == 0


def test_a_file_that_is_replaced_is_for_the_same_readers(tiny_folder, tmp_path):
    (tmp_path / "a.txt").write_text("a day\n")
    out = tmp_path / "a.csv"
    out.write_text("old")
    out.chmod(0o600)
    command = ["encode", str(tmp_path / "a.txt"), "--model", tiny_folder, "--out", str(out), "--force"]
    assert main(command) == 0
    assert out.stat().st_mode & 0o777 == 0o600


def test_texts_behind_two_dashes(tiny_folder, capsys):
    assert main(["emojize", "a day", "--model", tiny_folder, "--json", "--", "-_-", "-.- a"]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["text"] for row in rows] == ["a day", "-_-", "-.- a"]


@pytest.mark.parametrize(
    ("given", "results"),
    [("a.ndjson", "a.jsonl"), ("a.csv.bz2", "a.csv"), ("a.tsv.zst", "a.tsv"), ("a.json.gz", "a.jsonl")],
)
def test_results_have_the_names_of_their_files(given, results):
    assert texts_module._name_of_result(given, False) == results


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "latin-1", None])
def test_standard_input_may_have_another_encoding(monkeypatch, encoding):
    content = "é day\r\nnot a day\nlast".encode(encoding or "utf-8-sig")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BufferedReader(BytesIO(content), 3)))
    monkeypatch.setattr(texts_module, "_CHUNK_BYTES", 3)
    assert [line for lines in _arriving_texts(encoding) for line in lines] == ["é day", "not a day", "last"]


def test_a_line_of_standard_input_has_an_end(monkeypatch):
    lines = BufferedReader(BytesIO(b"a\n" + b"b" * (1 << 21)))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=lines))
    with pytest.raises(ValueError, match="standard input, line 2, is longer than 1048576 characters"):
        list(_arriving_texts())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top-k", "3"], "--top-k is for --outputs emojis"),
        (["--outputs", "emotions", "--dtype", "float16"], "--dtype is for --outputs features"),
        (["--balance", "1"], "--balance changes probabilities, not features"),
    ],
)
def test_options_that_change_no_part_are_refused(tiny_folder, tmp_path, capsys, options, message):
    (tmp_path / "a.txt").write_text("a day\n")
    command = ["encode", str(tmp_path / "a.txt"), "--model", tiny_folder, "--out", str(tmp_path / "z")]
    assert main([*command, "--shards", "1", *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "z").exists()


def test_a_number_that_is_none_is_null_in_json(tmp_path):
    assert as_json({"a": float("nan"), "b": [1.5, float("inf")]}) == '{"a": null, "b": [1.5, null]}'
