"""torchmoji.files.tables: texts out of every kind of file, rows into every kind, whole or not at all."""

import builtins
import csv
import gzip
import json
import os

import numpy as np
import pytest

from torchmoji.files.tables import arriving_texts, check_writable, read_texts, write_npy, write_rows

TEXTS = ["I love it, really", "", 'he said "no"\nand left', "ünï 😂"]
LINES = [text.replace("\n", " ") for text in TEXTS]
ROWS = [{"text": text, "score": number / 2, "words": [text]} for number, text in enumerate(TEXTS)]


def write(path, kind):
    if kind == "txt":
        content = "\r\n".join(LINES) + "\r\n"
    elif kind == "jsonl":
        content = "\n".join(json.dumps({"n": 1, "text": text}) for text in TEXTS) + "\n\n"
    else:
        delimiter = {"csv": ",", "tsv": "\t"}[kind]
        with open(path.with_suffix(".raw"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([["n", "text"], *([1, text] for text in TEXTS)])
        content = path.with_suffix(".raw").read_bytes().decode()
    data = ("\ufeff" + content).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl"])
def test_texts_are_read_from_every_kind_of_file(tmp_path, kind, zipped):
    path = tmp_path / f"texts.{kind}{zipped}"
    write(path, kind)
    assert list(read_texts(path)) == (LINES if kind == "txt" else TEXTS)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_that_are_written_are_read_again(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "new" / f"rows.{kind}"
    assert write_rows(iter(ROWS), path) == 4
    assert list(read_texts(path)) == TEXTS
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_lists_are_json_in_csv(tmp_path):
    write_rows(ROWS, tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert json.loads(rows[3]["words"]) == ["ünï 😂"]
    assert rows[3]["score"] == "1.5"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "npy"])
def test_a_failure_leaves_no_file(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")

    def rows():
        yield np.zeros(2) if kind == "npy" else {"text": "one"}
        raise ValueError("broken")

    path = tmp_path / f"rows.{kind}"
    with pytest.raises(ValueError, match="broken"):
        write_npy(rows(), 2, path) if kind == "npy" else write_rows(rows(), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1, 1000])
def test_an_array_is_written_row_by_row(tmp_path, number):
    rows = np.random.RandomState(0).rand(number, 3).astype(np.float32)
    assert write_npy(iter(rows), 3, tmp_path / "rows.npy") == number
    got = np.load(tmp_path / "rows.npy")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, rows)


def test_many_rows_and_none_of_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    assert write_rows(({"text": str(n)} for n in range(9000)), tmp_path / "rows.parquet") == 9000
    assert list(read_texts(tmp_path / "rows.parquet")) == [str(n) for n in range(9000)]
    assert write_rows([], tmp_path / "none.parquet") == 0


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    write(tmp_path / "texts.csv", "csv")
    write(tmp_path / "texts.jsonl", "jsonl")
    for kind in ("csv", "jsonl"):
        with pytest.raises(
            ValueError, match=r"has no column 'tweet', only 'n', 'text': name one with --column"
        ):
            list(read_texts(tmp_path / f"texts.{kind}", "tweet"))
    assert list(read_texts(tmp_path / "texts.csv", "n")) == ["1"] * 4


@pytest.mark.parametrize(
    ("content", "message"), [(b'{"text"', "line 1, is not JSON"), (b"7", "line 1: expected a text, got 7")]
)
def test_wrong_json_lines_are_named(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_texts(tmp_path / "x.jsonl"))


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        next(read_texts(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        list(read_texts(tmp_path / "latin.txt"))


@pytest.mark.parametrize("name", ["x", "x.xlsx", "x.csv.gz", "x.npy"])
def test_files_that_cannot_be_written_are_refused_with_those_that_can(name):
    with pytest.raises(ValueError, match=r"its ending must be one of \.csv, \.tsv, \.jsonl, \.parquet"):
        check_writable(name, has_numbers=False)
    if name == "x.npy":
        check_writable(name, has_numbers=True)


def test_parquet_without_pyarrow_names_the_extra(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[parquet\]"'):
        check_writable("x.parquet", has_numbers=False)


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
        return list(arriving_texts())

    assert windows(b"\xef\xbb\xbfone\r\ntw", b"o", b"\nthree\n\n", "four \u2764".encode()) == [
        ["one"],
        ["two", "three", ""],
        ["four \u2764"],
    ]
    assert windows() == []
    assert windows(b"bad \xff byte\n") == [["bad \ufffd byte"]]


def test_what_is_not_a_whole_gzip_file_is_one_message(tmp_path):
    path = tmp_path / "texts.csv.gz"
    path.write_bytes(gzip.compress(b"text\n" + b"some words\n" * 500)[:40])
    with pytest.raises(ValueError, match=r"texts.csv.gz is not a whole gzip file .*get or pack it again"):
        list(read_texts(path))
    path.write_bytes(b"text\nno gzip\n")
    with pytest.raises(ValueError, match="is not a whole gzip file"):
        list(read_texts(path))


def test_semicolons_divide_columns_where_there_are_no_commas(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("id;text\n1;one, two\n2;three\n")
    assert list(read_texts(path)) == ["one, two", "three"]


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("text,text\na,b\n")
    with pytest.raises(ValueError, match="has 2 columns 'text': rename all but one"):
        list(read_texts(path))


@pytest.mark.skipif(os.name == "nt", reason="there are no such names of pipes")
def test_a_folder_is_no_file_and_a_pipe_can_be_read(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
        list(read_texts(tmp_path))
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\ntwo\n")
    os.close(write_end)
    assert list(read_texts(f"/dev/fd/{read_end}")) == ["one", "two"]
    os.close(read_end)
