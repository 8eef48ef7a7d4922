import bz2
import gzip

import fsspec
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from torchmoji.corpus.reading import BadLines, Columns, find_sources, read_corpus_texts, read_records


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


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a.csv.gz", "sub/c.jsonl.zst", "sub/d.parquet", ".hidden.txt", "sub/notes.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x\n")
    return tmp_path


def names(sources):
    return [source.name for source in sources]


def test_folders_and_globs_give_files_sorted(folder):
    found = find_sources(folder)
    assert names(found) == ["a.csv.gz", "b.txt", "c.jsonl.zst", "d.parquet"]
    assert names(find_sources(f"{folder}/**/*.parquet")) == ["d.parquet"]
    assert names(find_sources(f"{folder}/[ab]*")) == ["a.csv.gz", "b.txt"]


def test_what_stands_for_no_file_is_an_error(folder):
    notes = folder / "sub" / "notes.md"
    found = find_sources([notes, folder, str(notes)])  # any file that is named is read, and only once
    assert names(found) == ["notes.md", "a.csv.gz", "b.txt", "c.jsonl.zst", "d.parquet"]
    for missing in ("no-such.txt", str(folder / "*.orc")):
        with pytest.raises(FileNotFoundError, match="stands for no file: check the path"):
            find_sources([folder / "b.txt", missing])
    with pytest.raises(ValueError, match="there are no inputs"):
        find_sources([])


def test_a_file_is_read_once_in_whatever_spelling_it_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "link.txt").symlink_to("b.txt")
    (found,) = find_sources(["b.txt", folder / "b.txt", "sub/../b.txt", "link.txt", f"file://{folder}/b.txt"])
    assert found.path == "b.txt"


def test_urls_are_opened_through_fsspec():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/corpora/b.txt": b"two\n", "/corpora/a.jsonl": b'"one"\n', "/corpora/c.md": b"three\n"})
    try:
        found = find_sources("memory://corpora")
        expected = [("a.jsonl", 6, True), ("b.txt", 4, True)]
        assert [(source.name, source.size, source.is_remote) for source in found] == expected
        assert names(find_sources("memory://corpora/*.md")) == ["c.md"]
        assert read("memory://corpora/b.txt") == ([(1, "two", None)], 0)
        with pytest.raises(FileNotFoundError, match="memory://nothing stands for no file"):
            find_sources("memory://nothing")
    finally:
        memory.rm("/corpora", recursive=True)


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
        (b"good \xff day", "txt", r"line 2, is not UTF-8 \(byte 0xff\): save .* 'CSV UTF-8', or name"),
        (b"{", "jsonl", r"line 2, is not JSON \(Expecting property name"),
        (b'{"body": "x"}', "jsonl", "line 2, has no column 'text', only 'body'"),
        (b'fine,"fine"', "csv", "line 2, has 2 cells, but the header has 1"),
        (b"fine\t'fine'", "tsv", "line 2, has 2 cells, but the header has 1: no line may have more"),
    ],
)
def test_a_bad_line_is_named_or_counted(read_lines, line, kind, reason):
    good = b'"fine"' if kind == "jsonl" else b"text"
    data = good + b"\n" + line + b"\n" + good
    with pytest.raises(ValueError, match=rf"some\.{kind}, {reason}.*; or leave such .* --skip-bad-lines"):
        read_lines(data, kind)
    found, count = read_lines(data, kind, skipped=True)
    assert (found[-1][0], count) == (3, 1)


def test_tsv_has_no_quotes_and_without_a_header_its_last_column_keeps_its_tabs(read_lines):
    found, _ = read_lines(b'label\ttext\n1\t"good\n2\tday"\n', "tsv", Columns(labels="label"))
    assert found == [(2, '"good', "1"), (3, 'day"', "2")]
    found, _ = read_lines(b"3,51\tgood\tday\n0\tday\n", "tsv", Columns("2", "1", header=False))
    assert found == [(1, "good\tday", "3,51"), (2, "day", "0")]


def test_columns_that_are_not_there_are_told(read_lines):
    line = b'{"text": "a", "' + b"x" * 5000 + b'": 1}'
    with pytest.raises(ValueError, match=r"line 1, has no 'l', only 'text', 'x{150,200}: name one with"):
        read_lines(line, "jsonl", Columns(labels="l"))
    with pytest.raises(ValueError, match=r"some\.csv has no column 'text', only 'n', 'body': name one with"):
        read_lines(b"n,body\n1,good\n", "csv")
    with pytest.raises(ValueError, match="without a header columns have numbers, from 1 on, got 'text'"):
        Columns(header=False)
    with pytest.raises(ValueError, match="got '0'"):
        Columns("1", "0", header=False)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather"])
def test_tables_are_read_by_pyarrow(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    table = pa.table({"n": [1, 2, 3], "text": ["good", None, "day"], "labels": [[0], [1, 2], []]})
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=2)
    else:
        pyarrow.feather.write_feather(table, path)
    assert read(path)[0] == [(1, "good", None), (2, "", None), (3, "day", None)]
    assert [labels for *_, labels in read(path, Columns(labels="labels"))[0]] == [[0], [1, 2], []]
    with pytest.raises(ValueError, match="has no column 'body', only 'n', 'text', 'labels'"):
        read(path, Columns("body"))
    with pytest.raises(ValueError, match="line 1, has 1 as 'n': it must be a text"):
        read(path, Columns("n"))


@pytest.mark.parametrize("packed_as", ["gz", "bz2", "zst"])
def test_compressed_files_are_read_and_those_cut_off_are_named(tmp_path, packed_as):
    data = b"".join(b"some text %d\n" % number for number in range(9000))
    path = tmp_path / f"file.txt.{packed_as}"
    if packed_as == "zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    else:  # in two parts, as large files often come
        pack = {"gz": gzip.compress, "bz2": bz2.compress}[packed_as]
        path.write_bytes(pack(data[:4000]) + pack(data[4000:]))
    found, _ = read(path)
    assert (len(found), found[-1]) == (9000, (9000, "some text 8999", None))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=rf"file\.txt\.{packed_as} is not a whole \.{packed_as} file"):
        read(path)


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
