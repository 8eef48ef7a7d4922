import gzip

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from torchmoji.corpus import reading
from torchmoji.corpus.reading import BadLines, Columns, read_corpus_texts, read_records
from torchmoji.corpus.sources import find_sources


def read(path, columns=None, skipped=False):
    (source,) = find_sources(path)
    bad = BadLines(skipped)
    return [tuple(record) for record in read_records(source, columns or Columns(), bad)], bad.count


@pytest.fixture
def read_lines(tmp_path):
    """Reads lines as of a file with this ending."""

    def of_file(data, ending="txt", columns=None, skipped=False):
        path = tmp_path / f"some.{ending}"
        path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
        return read(path, columns, skipped)

    return of_file


def test_lines_of_text_are_texts(read_lines):
    found, _ = read_lines("\ufeffgood day\r\n\nbad\u2028day".encode())
    assert found == [(1, "good day", None), (2, "", None), (3, "bad\u2028day", None)]


def test_lines_of_json_are_objects_or_texts(read_lines):
    found, _ = read_lines(b'{"text": "good", "n": 1}\n\n"day"\n{"text": null}\n', "jsonl")
    assert found == [(1, "good", None), (3, "day", None), (4, "", None)]
    found, _ = read_lines(b'{"t": "good", "l": [1, 2]}\n', "jsonl", Columns("t", "l"))
    assert found == [(1, "good", [1, 2])]
    halves = b'{"text": "a \\ud83d b \\ud83d\\ude02"}'
    assert read_lines(halves, "jsonl")[0] == [(1, "a \ufffd b 😂", None)]


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        (b"good \xff day", "txt", r"line 2, is not UTF-8 \(invalid start byte\)"),
        (b"{", "jsonl", "line 2, is not JSON: Expecting property name"),
        (b"[" + b"1" * 999 + b"]", "jsonl", r"line 2, is neither an object nor a text: \[1{59}"),
        (b'{"body": "x"}', "jsonl", "line 2, has no 'text', only 'body'"),
        (b'{"text": 3}', "jsonl", "line 2, has no text as 'text', but 3"),
    ],
)
def test_a_bad_line_is_named_or_counted(read_lines, line, kind, reason):
    data = b'"fine"\n' + line + b'\n"fine"\n'
    with pytest.raises(ValueError, match=rf"some\.{kind}, {reason}.*: mend it, or .* --skip-bad-lines"):
        read_lines(data, kind)
    found, count = read_lines(data, kind, skipped=True)
    assert ([number for number, *_ in found], count) == ([1, 3], 1)


def test_csv_may_have_line_breaks_in_quotes(read_lines):
    data = b'\xef\xbb\xbfn,text\n1,"good\nday"\n\n2,"a ""quote"""\n'
    assert read_lines(data, "csv")[0] == [(2, "good\nday", None), (5, 'a "quote"', None)]


def test_csv_lines_of_another_width_are_bad(read_lines):
    data = b"n,text\n1,good\n2\n3,day\n"
    with pytest.raises(ValueError, match=r"some\.csv, line 3, has 1 fields, but the first line 2: mend it"):
        read_lines(data, "csv")
    assert read_lines(data, "csv", skipped=True) == ([(2, "good", None), (4, "day", None)], 1)


def test_tsv_has_no_quotes_and_without_a_header_its_last_column_keeps_its_tabs(read_lines):
    found, _ = read_lines(b'label\ttext\n1\t"good\n2\tday"\n', "tsv", Columns(labels="label"))
    assert found == [(2, '"good', "1"), (3, 'day"', "2")]
    found, _ = read_lines(b"3,51\tgood\tday\n0\tday\n", "tsv", Columns("2", "1", header=False))
    assert found == [(1, "good\tday", "3,51"), (2, "day", "0")]


def test_columns_that_are_not_there_are_told(read_lines):
    with pytest.raises(ValueError, match=r"some\.csv has no column 'text', only 'n', 'body': name one with"):
        read_lines(b"n,body\n1,good\n", "csv")
    with pytest.raises(ValueError, match="without a header columns have numbers, from 1 on, got 'text'"):
        Columns(header=False)
    with pytest.raises(ValueError, match="got '0'"):
        Columns("1", "0", header=False)


def test_csv_that_is_not_utf8_is_told(read_lines):
    with pytest.raises(ValueError, match=r"some\.csv is not UTF-8 after line .*: convert it first"):
        read_lines(b"text\ngood\n\xff\n", "csv")


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather", "orc"])
def test_tables_are_read_by_pyarrow(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    table = pa.table({"n": [1, 2, 3], "text": ["good", None, "day"], "labels": [[0], [1, 2], []]})
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=2)
    elif ending == "orc":
        pyarrow.orc.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)
    assert read(path)[0] == [(1, "good", None), (2, "", None), (3, "day", None)]
    assert [labels for *_, labels in read(path, Columns(labels="labels"))[0]] == [[0], [1, 2], []]
    with pytest.raises(ValueError, match="has no column 'body', only 'n', 'text', 'labels'"):
        read(path, Columns("body"))
    with pytest.raises(ValueError, match="line 1, has no text as 'n', but 1"):
        read(path, Columns("n"))


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ValueError, match=r"a\.parquet is damaged or no parquet file"):
        read(path)


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_a_line_that_is_too_long_is_bad(read_lines, monkeypatch, ending):
    monkeypatch.setattr(reading, "LONGEST_LINE", 2000)
    data = b"one\n" + b"x" * 5000 + b"\ntwo\n" + b"z" * 1999 + b"\n" + b"y" * 3000
    with pytest.raises(ValueError, match="line 2, has more than 2000 bytes: mend it"):
        read_lines(data, ending)
    found, bad = read_lines(data, ending, skipped=True)
    assert [(line, text[:5]) for line, text, _ in found] == [(1, "one"), (3, "two"), (4, "zzzzz")]
    assert bad == 2


def test_lines_are_read_as_classes_and_text(tmp_path):
    path = tmp_path / "texts.tsv.gz"
    path.write_bytes(gzip.compress("3,51\tgood\tday\n0\tbad\u2028day\n".encode()))
    assert read_corpus_texts(path, 64) == (["good\tday", "bad\u2028day"], [[3, 51], [0]])


@pytest.mark.parametrize("line", ["good day", "64\tgood day", "-1\tgood day", "\tgood day", "1,\tday"])
def test_a_line_without_classes_is_named(tmp_path, line):
    path = tmp_path / "texts.tsv"
    path.write_text(f"0\tfine\n{line}\n")
    with pytest.raises(ValueError, match=r"texts\.tsv, line 2: expected classes from 0 to 63"):
        read_corpus_texts(path, 64)
