"""torchmoji.files.columnar: Parquet, Arrow and Feather, of sizes that are known before they are unpacked."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from fsspec.implementations.local import LocalFileSystem
from pyarrow import feather, fs, parquet
from support.hostile import run_with_memory

from torchmoji.files import columnar
from torchmoji.files.tables import open_table, read_texts, write_rows


def test_texts_that_stand_once_in_a_columnar_file_do_not_fill_the_memory(tmp_path):
    rows, long = pyarrow.array([0] * 1500), "x" * (1 << 20)
    for name, kind in (("text", "string"), ("large", "large_string"), ("bytes", "binary")):
        coded = pyarrow.DictionaryArray.from_arrays(rows, pyarrow.array([long], kind))
        table = pyarrow.table({"text": coded})
        parquet.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
        feather.write_feather(table, tmp_path / f"{name}.feather", compression="zstd")
    listed = pyarrow.ListArray.from_arrays(pyarrow.array([0, 1500]), coded)
    parquet.write_table(pyarrow.table({"text": listed}), tmp_path / "list.parquet", compression="zstd")
    many = pyarrow.array(np.zeros(10_000_000, np.int8))
    numbers = pyarrow.table({"text": pyarrow.ListArray.from_arrays([0, len(many)], many)})
    parquet.write_table(numbers, tmp_path / "numbers.parquet", compression="zstd")
    program = (
        "import pathlib, pyarrow.parquet, pyarrow.dataset\n"
        "from torchmoji.files.tables import open_table\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        with open_table(path) as table: print(sum(1 for _ in table))\n"
        "    except ValueError as error: print(path.name in str(error))\n"
    )
    expected = ["1500"] * 4 + ["True"] * 2 + ["1500"] * 2
    assert run_with_memory(program, tmp_path).split() == expected


def test_columns_of_types_that_nobody_reads_are_refused(tmp_path):
    ends, ones = pyarrow.array([3], "int32"), pyarrow.array(["good"])
    views = pyarrow.ListViewArray.from_arrays([0], [1], ones)
    for column in (pyarrow.RunEndEncodedArray.from_arrays(ends, ones), views):
        path = tmp_path / "a.feather"
        batch = pyarrow.record_batch([column], ["text"])
        with pyarrow.ipc.new_file(path, batch.schema) as file:
            file.write_batch(batch)
        with pytest.raises(ValueError, match=r"a\.feather: the column 'text' is of the type .* not read"):
            list(read_texts(path))


def test_row_groups_of_parquet_may_be_empty_or_small(tmp_path):
    path = tmp_path / "a.parquet"
    with parquet.ParquetWriter(
        path, pyarrow.schema([("n", pyarrow.int64()), ("te.xt", pyarrow.string())])
    ) as writer:
        for count in (0, 20_000, 1):
            texts = pyarrow.array(["a"] * count, pyarrow.string())
            numbers = pyarrow.array(range(count), pyarrow.int64())
            writer.write_table(pyarrow.table({"n": numbers, "te.xt": texts}))
    assert (
        columnar._rows_at_once(path, "a", ["n", "te.xt"], fs.LocalFileSystem())[0] == columnar._ROWS_AT_ONCE
    )
    with open_table(path) as table:
        assert sum(1 for _ in table) == 20_001


def test_metadata_that_end_the_process_where_python_asks_for_them_are_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    write_rows([{"text": f"ünï {number}", "label": ["joy"]} for number in range(9)], path)
    data = path.read_bytes()
    assert data.count(b"5\x02\x18\x05label") == 1  # how often it may be missing: another number of levels
    path.write_bytes(data.replace(b"5\x02\x18\x05label", b'5"\x18\x05label'))
    program = (
        "import sys\n"
        "from torchmoji.files.tables import open_table\n"
        "try:\n"
        "    with open_table(sys.argv[1]) as table: list(table)\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "a.parquet is damaged or no parquet file" in done.stdout


def test_a_batch_of_arrow_that_would_fill_the_memory_is_refused_before(tmp_path):
    """Its size stands before each compressed buffer, in batches and in dictionaries, which are all kept."""
    long = pyarrow.array(["x" * (600 << 20)])
    coded = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0]), pyarrow.array(["x" * (200 << 20)]))
    for kind in ("lz4", "zstd"):
        options = pyarrow.ipc.IpcWriteOptions(compression=kind)
        for name, columns in (("a batch", [long]), ("three dictionaries", [coded] * 3)):
            batch = pyarrow.record_batch(columns, ["text", *map(str, range(1, len(columns)))])
            with pyarrow.ipc.new_file(
                tmp_path / f"{name} {kind}.feather", batch.schema, options=options
            ) as file:
                file.write_batch(batch)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(
            ValueError, match=rf"{path.name} has a batch of (6|7|8)\d{{8}} bytes: write it in sm"
        ):
            list(read_texts(path))


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("opened", [pyarrow.ipc.new_file, pyarrow.ipc.new_stream])
def test_the_size_of_a_batch_is_that_of_its_buffers(tmp_path, compression, opened):
    path = tmp_path / "a.arrow"
    texts = pyarrow.array([f"ünï {number % 7}" for number in range(9000)])
    batch = pyarrow.record_batch([texts, texts.dictionary_encode(), np.arange(9000)], ["text", "coded", "n"])
    with opened(path, batch.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_batch(batch)
        file.write_batch(batch.slice(0, 10))
    with open_table(path) as table:
        assert [row for _, row in table] == batch.to_pylist() + batch.slice(0, 10).to_pylist()
    with open(path, "rb") as raw:
        messages = list(pyarrow.ipc.MessageReader.open_stream(columnar._at_start(raw)))
    sizes = [columnar.unpacked_size(message) for message in messages if message.type != "schema"]
    if compression is None:
        assert set(sizes) == {None}
    else:
        of_texts, codes, numbers = 4 * 9001 + 7 * 9000, 4 * 9000, 8 * 9000
        assert 0 <= sizes[1] - of_texts - codes - numbers < 100  # what does not get smaller is not compressed


def test_orc_is_not_read(tmp_path):
    (tmp_path / "a.orc").touch()
    with pytest.raises(ValueError, match=r"a\.orc, which does not say how large it is unpacked: write it"):
        list(read_texts(tmp_path / "a.orc"))


def test_files_of_other_machines_need_little_more_than_read_and_seek(tmp_path):
    class Remote:  # as over SFTP: `seek` says nothing, and there is no `readinto`
        def __init__(self, path):
            self._file = io.BytesIO(Path(path).read_bytes())
            self.read, self.tell, self.close = self._file.read, self._file.tell, self._file.close

        def seek(self, *place):
            self._file.seek(*place)

        closed = property(lambda self: self._file.closed)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.close()

    class Far(LocalFileSystem):
        def open(self, path, mode="rb", **options):
            return Remote(path)

    write_rows([{"text": "a"}, {"text": "b"}], tmp_path / "a.parquet")
    with open_table(str(tmp_path / "a.parquet"), filesystem=Far()) as table:
        assert [row for _, row in table] == [{"text": "a"}, {"text": "b"}]
