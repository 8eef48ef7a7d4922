import gzip

import fsspec
import pyarrow as pa
import pytest

from torchmoji.corpus.sources import Source, find_sources, open_stream


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
    kinds = [(source.kind, source.compression) for source in found]
    assert kinds == [("csv", "gzip"), ("text", None), ("jsonl", "zstd"), ("parquet", None)]
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


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "bz2"])
def test_streams_are_uncompressed(tmp_path, compression):
    data = b"some text\n" * 1000
    path = tmp_path / "file"
    if compression == "gzip":  # in two parts, as large files often come
        path.write_bytes(gzip.compress(data[:4000]) + gzip.compress(data[4000:]))
    elif compression is not None:
        with pa.CompressedOutputStream(str(path), compression) as file:
            file.write(data)
    else:
        path.write_bytes(data)
    with open_stream(Source(str(path), "text", compression, 1)) as stream:
        assert stream.read() == data


def test_a_file_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "texts.txt.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 1000)[:-400])
    (source,) = find_sources(path)
    with open_stream(source) as stream, pytest.raises(OSError, match=r"texts\.txt\.gz is damaged or cut off"):
        stream.read()


def test_urls_are_opened_through_fsspec():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/corpora/b.txt": b"two\n", "/corpora/a.jsonl": b'"one"\n', "/corpora/c.md": b"three\n"})
    try:
        found = find_sources("memory://corpora")
        assert [(source.name, source.kind, source.size, source.is_remote) for source in found] == [
            ("a.jsonl", "jsonl", 6, True),
            ("b.txt", "text", 4, True),
        ]
        assert names(find_sources("memory://corpora/*.md")) == ["c.md"]
        with open_stream(found[1]) as stream:
            assert stream.read() == b"two\n"
        with pytest.raises(FileNotFoundError, match="memory://nothing stands for no file"):
            find_sources("memory://nothing")
    finally:
        memory.rm("/corpora", recursive=True)
