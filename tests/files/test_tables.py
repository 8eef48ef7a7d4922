"""torchmoji.files.tables: rows out of every kind of file, and into every kind, whole or not at all."""

import bz2
import csv
import gzip
import importlib
import io
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow
import pytest
from support.hostile import check_mutations

from torchmoji.files import tables
from torchmoji.files.tables import (
    check_writable,
    likely_column,
    open_table,
    read_texts,
    write_npy,
    write_rows,
)

TEXTS = ["I love it, really", "", 'he said "no"\nand left', "ünï 😂"]
LINES = [text.replace("\n", " ") for text in TEXTS]
ROWS = [{"text": text, "score": number / 2, "words": [text]} for number, text in enumerate(TEXTS)]


def content_of(kind):
    if kind == "txt":
        return "\r\n".join(LINES) + "\r\n"
    if kind == "jsonl":
        return "\n\n".join(json.dumps({"n": 1, "text": text}) for text in TEXTS) + "\n"
    if kind == "json":
        return "\n" + json.dumps([{"n": 1, "text": text} for text in TEXTS], indent=2)
    file = io.StringIO()
    rows = [["n", "text"], [], *([1, text] for text in TEXTS)]
    csv.writer(file, delimiter={"csv": ",", "tsv": "\t"}[kind]).writerows(rows)
    return file.getvalue()


def rows_of(path, **options):
    with open_table(path, **options) as table:
        return list(table)


@pytest.fixture
def table(tmp_path):
    """Write a file and give its path."""

    def write(name, content):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl", "json"])
def test_texts_are_read_from_every_kind_of_file(table, kind, zipped):
    path = table(f"texts.{kind}{zipped}", "\ufeff" + content_of(kind))
    assert list(read_texts(path)) == (LINES if kind == "txt" else TEXTS)


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_other_encodings_are_named(table, kind, encoding):
    content = content_of(kind).replace("😂", "€").replace(r"\ud83d\ude02", "€")
    path = table(f"a.{kind}", content.encode(encoding))
    assert list(read_texts(path, encoding=encoding))[-1] == "ünï €"


def test_rows_have_every_column_in_order_and_their_line(table):
    expected = [(2, {"id": "1", "text": "two\nlines", "n": ""}), (5, {"id": "2", "text": "b", "n": None})]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("a.tsv", "\t")):
        content = 'id,text,n\n1,"two\nlines",\n\n2,b\n'.replace(",", delimiter)
        with open_table(table(name, content)) as rows:
            assert (rows.columns, rows.delimiter) == (["id", "text", "n"], delimiter)
            assert list(rows) == expected
    assert rows_of(table("a.jsonl", '\n{"b": [1], "text": "x"}\n"y"\nnull\n')) == [
        (2, {"b": [1], "text": "x"}),
        (3, {"text": "y"}),
        (4, {"text": None}),
    ]


def test_arrays_are_read_wherever_lines_end(table, monkeypatch):
    values = [{"text": "a ] , [ \\", "n": [[1], {}]}, "b", None, {"text": "x" * 30}]
    expected = [value if isinstance(value, dict) else {"text": value} for value in values]
    for block in (1, 1 << 16):
        monkeypatch.setattr(tables, "_BLOCK", block)
        for indent in (None, 1):
            rows = rows_of(table("a.jsonl", json.dumps(values, indent=indent) + "\n\n"))
            assert [row for _, row in rows] == expected
    assert [line for line, _ in rows] == [2, 11, 12, 13]
    assert rows_of(table("b.json", " [ ] ")) == []
    assert rows_of(table("c.json", '{"text": "a"}\n{"text": 2}')) == [(1, {"text": "a"}), (2, {"text": 2})]


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl", "json"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    row = json.dumps({"text": "some words " * 8})
    content = {"csv": "text\n" + (row + "\n") * 10_000, "json": "[" + ",".join([row] * 10_000) + "]"}
    content["csv"] = content["csv"].replace('"', "'")
    path = tmp_path / f"a.{kind}"
    path.write_text(content.get(kind, (row + "\n") * 10_000))
    assert path.stat().st_size > 1e6
    tracemalloc.start()
    assert sum(1 for _ in read_texts(path)) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (4e6 if kind == "json" else 3e5)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_that_are_written_are_read_again(tmp_path, kind):
    path = tmp_path / "new" / f"rows.{kind}"
    assert write_rows(iter(ROWS), path) == 4
    assert list(read_texts(path)) == TEXTS
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    (_, row), *_ = rows_of(path)
    assert row == (
        ROWS[0]
        if kind in ("jsonl", "parquet")
        else {"text": TEXTS[0], "score": "0.0", "words": json.dumps([TEXTS[0]])}
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "npy"])
def test_a_failure_leaves_no_file(tmp_path, kind):

    def rows():
        yield np.zeros(2) if kind == "npy" else {"text": "one"}
        raise ValueError("broken")

    path = tmp_path / f"rows.{kind}"
    with pytest.raises(ValueError, match="broken"):
        write_npy(rows(), 2, path) if kind == "npy" else write_rows(rows(), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1000])
def test_an_array_is_written_row_by_row(tmp_path, number):
    rows = np.random.RandomState(0).rand(number, 3).astype(np.float32)
    assert write_npy(iter(rows), 3, tmp_path / "rows.npy") == number
    array = np.load(tmp_path / "rows.npy")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, rows)


def test_many_rows_and_none_of_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    assert write_rows(({"n": n, "text": str(n)} for n in range(9000)), path) == 9000
    assert list(read_texts(path)) == [str(n) for n in range(9000)]
    with pytest.raises(ValueError, match="line 1, has 0 as 'n': it must be a text"):
        next(read_texts(path, "n"))
    with open_table(path, only=["n"]) as table:
        assert (table.columns, next(iter(table))) == (["n", "text"], (1, {"n": 0}))
    assert write_rows([], tmp_path / "none.parquet") == 0


LONG = "x" * 200_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id, text\n1,a\n", None),  # a blank before a name does not count
        ("a.csv", "id,body\n", r"a\.csv has no column 'text', only 'id', 'body': name one of these"),
        ("a.csv", "", "a.csv has no texts: give a file with some"),
        ("a.csv", "text,n,n\na,b,c\n", "a.csv has 2 columns 'n': rename all but one"),
        ("a.csv", "id,text\n1,a\n2,b,c\n", "line 3, has 3 cells, but the header has 2: put cells"),
        ("a.csv", 'text\na\n"b\nc\nd', r"line 3, is not CSV \(unexpected end of data\): close"),
        ("a.tsv", 'text\n"a" b\n', "line 2, is not CSV .* expected after"),
        ("a.csv", f'text\n"{LONG}"\n', "line 2, has a cell of more than 131072 characters"),
        ("a.csv", "text\na\n" + LONG * 6, "line 3, is longer than 1048576 characters: is this"),
        ("a.txt", LONG * 6, "a.txt, line 1, is longer than"),
        ("a.csv.gz", "text\na\ncaf\xe9\n".encode("latin-1"), r"3, is not UTF-8 .byte 0xe9.: .*--encoding"),
        ("a.txt", "text".encode("utf-16"), "line 1, is not UTF-8"),
        ("a.jsonl", '"a"\n{"text"\n', "line 2, is not JSON .*: write an object a line"),
        ("a.jsonl", "7", "line 1, has 7: it must be a JSON object or a text"),
        ("a.jsonl", '{"text": "a"}\n{"b": 1}\n', "line 2, has no column 'text', only 'b'"),
        ("a.jsonl", '\n{"text": [1]}\n', r"line 2, has \[1\] as 'text': it must be a text"),
        ("a.json", '{\n"text": "a"\n}', "line 1, is not JSON"),
        ("a.json", '["a",\n{"text"', "line 2, is not JSON"),
        ("a.json", '["a",\n', "line 2, is not JSON"),
        ("a.json", '["a"\n\n"b"]', "line 3, is not JSON .*where ',' or ']' must be"),
        ("a.jsonl", '["a"]\n["b"]\n', "line 2, goes on after the JSON array"),
        ("a.jsonl", '["a", 1]\n', "line 1, has 1: it must be"),
        ("a.json", "[" * 100_000, "line 1, is not JSON"),
        ("a.json", f'["a",\n"{LONG * 8}"]', None),
        ("a.json", f'["a",\n"{LONG * 12}', "line 2, is not JSON"),
        ("a.parquet", "PAR1", "a.parquet is damaged or no parquet file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_the_line(table, name, content, message):
    path = table(name, content)
    if message is None:
        assert next(read_texts(path)) == "a"
    else:
        with pytest.raises(ValueError, match=message):
            list(read_texts(path))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"text\n" + b"some words\n" * 500, mtime=0)[:40], b"text\nno gzip\n"],
    ids=["cut off", "no gzip"],
)
def test_what_is_not_a_whole_gzip_file_is_one_message(tmp_path, content):
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.csv.gz is not a whole .gz file .*get or pack it again"):
        list(read_texts(tmp_path / "a.csv.gz"))


def test_files_that_are_not_there_and_encodings_that_do_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.txt: check the path"):
        next(read_texts(tmp_path / "none.txt"))
    with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
        next(read_texts(tmp_path))
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="unknown encoding: klingon: give one such as utf-8"):
        next(read_texts(tmp_path / "a.txt", encoding="klingon"))


@pytest.mark.skipif(os.name == "nt", reason="there are no such names of pipes")
def test_a_pipe_can_be_read():
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\ntwo\n")
    os.close(write_end)
    assert list(read_texts(f"/dev/fd/{read_end}")) == ["one", "two"]
    os.close(read_end)


@pytest.mark.parametrize(
    ("name", "content", "rows", "lines"),
    [
        ("a.csv", 'text,n\n"x"y,z\n\n"b\nc",d\ne,f,g\nh\n', [(4, "b\nc"), (7, "h")], [2, 6]),
        ("a.tsv", "text\tn\na\tb\tc\nd\te\n", [(3, "d")], [2]),
        ("a.jsonl", '"a"\n{\n[]\n{"text": 3}\n{"n": 1}\n"b"\n', [(1, "a"), (6, "b")], [2, 3, 4, 5]),
        ("a.json", '["a",\n1,\n"b",\n}, "c"]', [(1, "a"), (3, "b")], [2, 4]),
        ("a.txt", b"a\n\xff\n\nb", [(1, "a"), (3, ""), (4, "b")], [2]),
        ("a.txt", f"a\n{LONG * 11}\nb", [(1, "a"), (3, "b")], [2]),
        ("a.csv", 'text,n\n"x\n' + '","x\n' * 300_000 + '"\n', [], None),
    ],
)  # fmt: skip
def test_lines_that_are_no_rows_are_reported_and_left_out(table, name, content, rows, lines):
    reported = []
    with open_table(table(name, content), report=lambda line, reason: reported.append(line)) as opened:
        found = [(line, text) for line, text, _ in opened.numbered_texts(None, "")]
    assert found == rows
    if lines is None:
        assert reported
    else:
        assert reported == lines


def test_halves_of_characters_in_json_can_be_written(table, tmp_path):
    content = r'{"text": "a \ud83d", "n": [{"\ud83d": "\ud83d"}], "k\ud83d": 1}'
    rows = [row for _, row in rows_of(table("a.jsonl", content))]
    write_rows(rows, tmp_path / "b.jsonl")
    assert [row for _, row in rows_of(tmp_path / "b.jsonl")] == rows == [json.loads(content)]
    write_rows(rows, tmp_path / "b.csv")
    assert next(read_texts(tmp_path / "b.csv")) == r"a \ud83d"
    write_rows(rows, tmp_path / "b.parquet")
    assert [row for _, row in rows_of(tmp_path / "b.parquet")] == [
        json.loads(content.replace("\\u", "\\\\u"))
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_lists_in_lists_that_can_be_read_and_not_written_are_one_message(tmp_path, kind):
    deep: list = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too many lists in lists"):
        write_rows([{"text": "a", "x": deep}], tmp_path / f"a.{kind}")


@pytest.mark.parametrize("name", ["x", "x.xlsx", "x.csv.gz", "x.npy"])
def test_files_that_cannot_be_written_are_refused_with_those_that_can(name):
    with pytest.raises(ValueError, match=r"its ending must be one of \.csv, \.tsv, \.jsonl, \.parquet"):
        check_writable(name, has_numbers=False)
    if name == "x.npy":
        check_writable(name, has_numbers=True)


def test_parquet_without_pyarrow_names_the_extra(monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[parquet\]"'):
        check_writable("x.parquet", has_numbers=False)


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        (["id", "text"], "text"),
        (["Tweet", "id"], "Tweet"),
        (["id", " Text "], " Text "),
        (["comment", "text"], "text"),
        (["a", "b"], "a"),
        ([], None),
    ],
)
def test_the_likely_column(columns, column):
    assert likely_column(columns) == column


def _packed_line(path):
    with gzip.open(path, "wb", 1) as file:
        for _ in range(400):
            file.write(b"x" * (1 << 20))


def _packed_blanks(path):
    with gzip.open(path, "wb", 1) as file:
        for _ in range(400):
            file.write((b" " * 1023 + b"\n") * 1024)


def _endless_row(path):
    path.write_bytes(b'text,n\n"x\n' + b'","x\n' * 20_000_000)


def _long_dictionary(path):
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1000), ["x" * (1 << 20)])
    importlib.import_module("pyarrow.parquet").write_table(
        pyarrow.table({"text": texts}), path, compression="zstd", store_schema=False
    )


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt.gz", _packed_line),
        ("a.json.gz", _packed_blanks),
        ("a.csv", _endless_row),
        ("a.parquet", _long_dictionary),
    ],
)
def test_a_small_file_does_not_fill_the_memory(tmp_path, name, write):
    write(tmp_path / name)
    program = (
        "import sys, resource, contextlib\n"
        "from torchmoji.files.tables import read_texts\n"
        "if sys.argv[1].endswith('parquet'): import pyarrow.parquet, pyarrow.dataset\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with contextlib.suppress(ValueError):\n"
        "    for _ in read_texts(sys.argv[1]): pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert int(done.stdout) < (500 if name.endswith("parquet") else 60)  # MiB


@pytest.mark.parametrize("kind", ["csv.gz", "csv.bz2", "tsv", "jsonl", "json", "parquet", "feather"])
def test_mutated_tables_are_read_or_refused(tmp_path, kind):
    rows = [{"text": f"ünï {number}", "label": ["joy"]} for number in range(9)]
    path = tmp_path / f"a.{kind}"
    if kind == "feather":
        importlib.import_module("pyarrow.feather").write_feather(pyarrow.Table.from_pylist(rows), path)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        written = tmp_path / f"b.{kind[:3] if kind.startswith('csv') else kind}"
        write_rows(rows, written)
        pack = {"csv.gz": gzip.compress, "csv.bz2": bz2.compress}.get(kind, bytes)
        path.write_bytes(pack(written.read_bytes()))
    check_mutations(path, rows_of, (ValueError,))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "x" * 100_000 + ",b\n1,2\n"),
        ("a.csv", ",".join(map(str, range(100_000))) + "\n"),
        ("a.csv", "y" * 9_000 + "," + "y" * 9_000 + "\n"),
        ("a.jsonl", json.dumps({"x" * 100_000: 1})),
        ("a.jsonl", json.dumps(["x" * 100_000, {"text": ["x" * 100_000]}])),
    ],
)
def test_messages_do_not_print_a_file(table, name, content):
    with pytest.raises(ValueError, match=r"a\.(csv|jsonl)") as caught:
        list(read_texts(table(name, content)))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_rows_with_other_columns_are_filled_up_or_refused(tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    assert write_rows([{"a": "1", "b": "2"}, {"b": "4"}], path) == 2
    with open_table(path) as table:
        assert [[row["a"] or "", row["b"]] for _, row in table] == [["1", "2"], ["", "4"]]
    with pytest.raises(ValueError, match=r"row 2 has 'c', which is no column of the rows before it: write"):
        write_rows([{"a": 1}, {"a": 2, "c": 3}], tmp_path / f"new.{kind}")


def test_each_stream_of_a_bz2_file_is_sound_or_refused(tmp_path):
    path = tmp_path / "a.txt.bz2"
    streams = [bz2.compress(b"one\n"), bz2.compress(b"two\n" * 100_000), bz2.compress(b"")]
    path.write_bytes(b"".join(streams))
    assert list(read_texts(path)) == ["one"] + ["two"] * 100_000
    changed = bytearray(streams[1])
    changed[1] ^= 1
    for content in (streams[0] + changed, streams[0] + b"garbage", streams[0] + streams[1][:-1], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.txt\.bz2"):
            list(read_texts(path))


@pytest.mark.parametrize(
    ("first", "last"),
    [(1, 1.5), ({"x": 1}, {"x": 1, "y": 2}), (None, "anger"), (None, 3), ([], [1]), ("a", "b")],
)
def test_a_column_of_parquet_keeps_values_of_another_kind_after_many_rows(tmp_path, first, last):
    path = tmp_path / "a.parquet"
    assert write_rows(({"n": n, "a": last if n == 5000 else first} for n in range(5001)), path) == 5001
    with tables.open_table(path) as table:
        rows = [row["a"] for _, row in table]
    assert [rows[0], rows[5000]] == [first if last != {"x": 1, "y": 2} else {"x": 1, "y": None}, last]
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize(("first", "last"), [(2**60 + 1, 1.5), (1, "one"), (2**64, 1), ({}, {})])
def test_what_a_column_of_parquet_cannot_hold_is_said_and_nothing_is_written(tmp_path, first, last):
    rows = [{"a": first}] * 4096 + [{"a": last}]
    with pytest.raises(ValueError, match=r"a column has values of several types.* write .jsonl"):
        write_rows(rows, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["utf8", "UTF_8", "u8", None])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext\na\n")
    with tables.open_table(tmp_path / "a.csv", encoding=encoding) as table:
        assert [row for _, row in table] == [{"text": "a"}]
