import gzip

import pyarrow as pa
import pyarrow.parquet
import pytest

from torchmoji.corpus.reading import BadLines, Columns, Position, Reader, find_sources, records_of

LINES = [f"text number {number} {'x' * (number % 50)}" for number in range(300)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same texts in files of several kinds."""
    folder = tmp_path_factory.mktemp("files")
    text = "".join(f"{line}\n" for line in LINES)
    (folder / "a.txt").write_text(text)
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "c.csv").write_text("n,text\n" + "".join(f"{n},{line}\n" for n, line in enumerate(LINES)))
    pyarrow.parquet.write_table(pa.table({"text": LINES}), folder / "d.parquet", row_group_size=64)
    (folder / "e.txt").write_text("no newline at the end")
    return folder


def texts_of(chunk):
    return [
        record.text
        for part in chunk.parts
        for record in records_of(part, Columns(), BadLines(part.source.path, False))
    ]


def reader(path, **options):
    return Reader(find_sources(path), Columns(), **{"chunk_bytes": 2000, **options})


def test_all_records_come_in_order(files):
    chunks = list(reader(files).chunks())
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) > 20
    assert [text for chunk in chunks for text in texts_of(chunk)] == [*LINES * 4, "no newline at the end"]


def test_reading_goes_on_from_any_chunk_with_the_same_chunks(files):
    chunks = list(reader(files).chunks())
    for done in range(len(chunks)):
        rest = list(reader(files).chunks(done + 1, chunks[done].end))
        assert rest == chunks[done + 1 :]


def test_chunks_are_of_the_size_that_is_wanted(files):
    sizes = [sum(map(len, texts_of(chunk))) for chunk in reader(files, chunk_bytes=5000).chunks()]
    assert max(sizes) <= 5000
    assert sorted(sizes)[len(sizes) // 2] > 3000


def test_line_numbers_are_those_of_the_file(files):
    chunks = list(reader(files / "a.txt").chunks())
    lines = [
        record.line
        for chunk in chunks
        for part in chunk.parts
        for record in records_of(part, Columns(), BadLines("", False))
    ]
    assert lines == list(range(1, 301))


def test_the_first_files_are_held_out(files):
    sources = find_sources([files / "e.txt", files / "a.txt"])
    (chunk,) = Reader(sources, Columns(), held_out=1, chunk_bytes=1 << 20).chunks()
    assert [part.is_held_out for part in chunk.parts] == [True, False]


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_a_line_longer_than_a_chunk_is_bad(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    data = b"one\n" + b"x" * 5000 + b"\ntwo\n" + b"y" * 3000
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    with pytest.raises(ValueError, match="line 2, has more than 2000 bytes: mend it"):
        list(reader(path).chunks())
    chunks = list(reader(path, skip_bad_lines=True).chunks())
    assert [text for chunk in chunks for text in texts_of(chunk)] == ["one", "two"]
    assert sum(chunk.bad_lines for chunk in chunks) == 2
    for done, chunk in enumerate(chunks):
        again = reader(path, skip_bad_lines=True).chunks(done + 1, chunk.end)
        assert list(again) == chunks[done + 1 :]


def test_bad_lines_of_csv_are_counted_once_when_reading_goes_on(tmp_path):
    path = tmp_path / "a.csv"
    rows = ["n,text", *(f"{n},{line}" if n % 7 else str(n) for n, line in enumerate(LINES))]
    path.write_text("".join(f"{row}\n" for row in rows))
    chunks = list(reader(path, skip_bad_lines=True).chunks())
    assert sum(chunk.bad_lines for chunk in chunks) == 43
    middle = len(chunks) // 2
    rest = list(reader(path, skip_bad_lines=True).chunks(middle, chunks[middle - 1].end))
    assert rest == chunks[middle:]


def test_nothing_comes_after_the_end(files):
    assert list(reader(files).chunks(9, Position(5))) == []


def test_an_empty_file_gives_no_chunk(tmp_path):
    (tmp_path / "a.txt").touch()
    assert list(reader(tmp_path).chunks()) == []
