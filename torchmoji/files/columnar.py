"""Tables in columns: Parquet, Arrow and Feather, read by pyarrow in flat memory.

pyarrow unpacks what a file declares. So all sizes are held against limits before it does: hostile kilobytes
may become gigabytes, by compression, or by one text that stands in the file once and in a million rows.
"""

import io
import os
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from torchmoji.runtime.machine import require

KINDS = (".parquet", ".arrow", ".feather")
_ROWS_AT_ONCE = 4096
_MOST_AT_ONCE = 1 << 26
_LARGEST_COLUMN = 1 << 30  # bytes of a column in a row group, as a Parquet file declares them
_LARGEST_BATCH = 1 << 29  # bytes of a compressed batch of Arrow and of the dictionaries, unpacked
_LARGEST_ROW = 1 << 28  # bytes of a row as Python's values
_OBJECT = 56  # bytes of a small value of Python, and its place in a list
_UNREAD = ("list_view", "run_end_encoded", "union")


def read_columns(
    path: str | os.PathLike[str], name: str, kind: str, only: Collection[str], filesystem: Any
) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
    """The columns of a file, and its rows with those of them that are in `only`, by number from 1 on."""
    require("pyarrow", "parquet", "Parquet")
    from pyarrow import fs, ipc, parquet

    filesystem = fs.LocalFileSystem() if filesystem is None else filesystem

    def told(step: Callable[[], Any]) -> Any:
        """What a step gives; of a damaged file pyarrow raises nearly anything."""
        try:
            return step()
        except Exception as error:
            if getattr(error, "errno", None) or isinstance(error, _TooLarge):
                raise
            if isinstance(error, MemoryError):
                raise _TooLarge(f"{name} does not fit into memory: write it in smaller batches") from error
            reason = f"is damaged or no {kind[1:]} file ({(str(error).splitlines() or [''])[0]:.200})"
            raise ValueError(f"{name} {reason}: get it again") from error

    def opened() -> tuple[Any, Any]:
        if kind == ".parquet":
            return None, parquet.ParquetFile(path, filesystem=filesystem).schema_arrow
        raw = _opened(path, filesystem)
        return raw, ipc.open_stream(_at_start(raw)).schema

    raw, schema = told(opened)
    names = [column for column in schema.names if not only or column.strip() in only]
    for field in schema:
        if field.name in names and any(unusual in str(field.type) for unusual in _UNREAD):
            raise ValueError(
                f"{name}: the column {field.name!r:.60} is of the type {field.type!s:.60}, which is not "
                "read: write texts, numbers or lists"
            )

    def batches() -> Iterator[Any]:
        if kind == ".parquet":  # row groups of a data set would be unpacked as a whole
            rows, coded = _rows_at_once(path, name, names, filesystem)
            file = parquet.ParquetFile(path, filesystem=filesystem, read_dictionary=coded)
            return iter(file.iter_batches(rows, columns=names))
        _check_batches(_at_start(raw), name)
        wanted = [number for number, column in enumerate(schema.names) if column in names]
        return iter(ipc.open_stream(_at_start(raw), options=ipc.IpcReadOptions(included_fields=wanted)))

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        remaining = told(batches)
        line = 0
        while (batch := told(lambda: next(remaining, None))) is not None:
            if kind != ".parquet":  # what is in memory as it was in the file can point anywhere
                told(partial(batch.validate, full=True))
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                for part in _parts(batch.slice(start, _ROWS_AT_ONCE), name, line):
                    for row in told(part.to_pylist):
                        line += 1
                        yield line, row

    return list(schema.names), rows()


def _opened(path: str | os.PathLike[str], filesystem: Any) -> Any:
    """A file that is open for reading, on a file system of pyarrow or of fsspec."""
    from pyarrow import fs

    is_arrow = isinstance(filesystem, fs.FileSystem)
    return (filesystem.open_input_file if is_arrow else filesystem.open)(os.fspath(path))


class _TooLarge(ValueError):
    """A file that is whole, but would fill the memory."""


# --- Parquet


def _rows_at_once(
    path: str | os.PathLike[str], name: str, names: Sequence[str], filesystem: Any
) -> tuple[int, list[str]]:
    """So many rows of a Parquet file that they fit into `_MOST_AT_ONCE` bytes, and columns to leave coded.

    A text that stands in the file once, in a column's dictionary, can be that of each row, and in lists of
    many members of a row.
    """
    from pyarrow import parquet

    longest, most, coded = 1, 0, set[str]()
    starts = tuple(f"{name}." for name in names)
    _check_metadata(path, starts, filesystem)
    with parquet.ParquetFile(path, filesystem=filesystem) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    columns, nested = [], 1.0
    for group in groups:
        wanted = [group.column(number) for number in range(group.num_columns)]
        wanted = [column for column in wanted if f"{column.path_in_schema}.".startswith(starts)]
        if (size := sum(column.total_uncompressed_size for column in wanted)) > _LARGEST_COLUMN:
            raise _TooLarge(f"{name} has a row group of {size} bytes: write it with smaller ones")
        columns += wanted
        nested = max([nested, *(column.num_values / max(group.num_rows, 1) for column in wanted)])
    for column in columns:
        size = column.total_uncompressed_size
        longest = max(longest, size // max(column.num_values, 1))
        most = max(most, column.num_values)
    texts = {c.path_in_schema for c in columns if c.physical_type == "BYTE_ARRAY" and c.has_dictionary_page}
    with parquet.ParquetFile(path, filesystem=filesystem, read_dictionary=[*texts]) as file:
        for number, group in enumerate(groups if texts else ()):
            for column in next(file.iter_batches(1, [number], [*texts])).columns if group.num_rows else ():
                longest = max(longest, _longest(column))
    if longest * most > _LARGEST_COLUMN:
        coded = {path for path in texts if "." in path}
    return max(1, min(_ROWS_AT_ONCE, int(_MOST_AT_ONCE / longest / nested))), [*coded]


class _FooterRead(Exception):
    """What is to be read comes after the metadata."""


class _Footer(io.RawIOBase):
    """A file that can be read until `is_read`; of fsspec's some lack what `io.BufferedReader` needs."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.is_read = False

    def read(self, size: int = -1) -> bytes:
        if self.is_read:
            raise _FooterRead
        data: bytes = self._file.read(size)
        return data

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        self._file.seek(place, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _check_metadata(path: str | os.PathLike[str], starts: tuple[str, ...], filesystem: Any) -> None:
    """Let pyarrow look at what a Parquet file says of columns, as it does before it reads one of these.

    There a damaged file is an error. Where Python asks for it (`RowGroupMetaData.column` of pyarrow 26), its
    exception in C++ ends the process.
    """
    from pyarrow import PythonFile, parquet

    with _opened(path, filesystem) as raw:
        footer = _Footer(raw)
        file = parquet.ParquetFile(PythonFile(footer, "r"))
        footer.is_read = True
        paths = [file.schema.column(number).path for number in range(file.metadata.num_columns)]
        wanted = [path for path in paths if f"{path}.".startswith(starts)]
        for group in range(file.metadata.num_row_groups):
            for column in wanted:
                with suppress(_FooterRead):
                    next(file.iter_batches(1, [group], [column], use_threads=False), None)


# --- Arrow


def _at_start(raw: Any) -> Any:
    """A file at its first message: an Arrow file is a stream between two names of the format."""
    raw.seek(0)
    if raw.read(8) != b"ARROW1\0\0":
        raw.seek(0)
    return raw


def _check_batches(raw: Any, name: str) -> None:
    """Refuse a file with a batch that would fill the memory unpacked, since pyarrow does not."""
    from pyarrow import ipc

    dictionaries = 0
    for message in ipc.MessageReader.open_stream(raw):
        size = 0 if message.type == "schema" else unpacked_size(message) or 0
        if dictionaries + size > _LARGEST_BATCH:
            raise _TooLarge(f"{name} has a batch of {dictionaries + size} bytes: write it in smaller ones")
        dictionaries += size if message.type == "dictionary" else 0


def unpacked_size(message: Any) -> int | None:
    """The bytes of an Arrow batch or dictionary unpacked, as it declares them; None: it is not compressed.

    The metadata of a message is a FlatBuffer (Message.fbs of Arrow), which pyarrow has found sound. Of the
    table `Message` the field 2 is the header, of `DictionaryBatch` the field 1 is a `RecordBatch`, and of
    that the field 2 has the place and length of each buffer in the body, and 3 the compression. A buffer that
    is compressed begins with its size, or with -1 if it is stored as it is.
    """
    data = memoryview(message.metadata)

    def place_of(field: int, table: int) -> int:
        """Where a table's field points to; 0: it has none."""
        fields = table - struct.unpack_from("<i", data, table)[0]
        size = struct.unpack_from("<H", data, fields)[0]
        offset = struct.unpack_from("<H", data, fields + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
        return table + offset + struct.unpack_from("<I", data, table + offset)[0] if offset else 0

    batch = place_of(2, struct.unpack_from("<I", data, 0)[0])
    if message.type == "dictionary":
        batch = place_of(1, batch)
    if not place_of(3, batch):
        if b"ARROW:experimental_compression" in bytes(data):
            raise ValueError("it was compressed by Arrow 0.17: write it with a newer one")
        return None
    buffers = place_of(2, batch)
    count = struct.unpack_from("<I", data, buffers)[0]
    total = 0
    for place, length in struct.iter_unpack("<qq", data[buffers + 4 : buffers + 4 + 16 * count]):
        total += max(length, struct.unpack_from("<q", message.body, place)[0]) if length else 0
    return total


# --- sizes


def _longest(array: Any) -> int:
    """The bytes of the longest text in an array's dictionary."""
    from pyarrow import compute, types

    kind = array.type
    if types.is_nested(kind):
        children = [array.keys, array.items] if types.is_map(kind) else array.flatten()
        return max(map(_longest, children if isinstance(children, list) else [children]), default=0)
    if not types.is_dictionary(kind):
        return 0
    try:
        return compute.max(compute.binary_length(array.dictionary)).as_py() or 0
    except NotImplementedError:  # no texts
        return array.dictionary.nbytes


def _parts(batch: Any, name: str, line: int) -> Iterator[Any]:
    """A batch, or pieces of it whose values take `_MOST_AT_ONCE` bytes at most, each on its own."""
    size = sum(map(_size, batch.columns))
    if len(batch) == 1 and size > _LARGEST_ROW:
        raise _TooLarge(f"{name}, line {line + 1}, has more than {_LARGEST_ROW} bytes: leave it out")
    if len(batch) == 1 or size <= _MOST_AT_ONCE:
        yield batch
    else:
        half = len(batch) // 2
        yield from _parts(batch.slice(0, half), name, line)
        yield from _parts(batch.slice(half), name, line + half)


def _size(array: Any) -> int:
    """The bytes that the values of an array take as Python's, at most."""
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        return len(array) * (_longest(array) + _OBJECT)
    if types.is_map(kind) or types.is_nested(kind):
        children = [array.keys, array.items] if types.is_map(kind) else array.flatten()
        children = children if isinstance(children, list) else [children]
        return len(array) * _OBJECT + sum(map(_size, children))
    if str(kind) in ("string_view", "binary_view"):  # several can be of the same bytes
        views = np.frombuffer(array.buffers()[1], "<i4")[::4][array.offset : array.offset + len(array)]
        return int(views.sum(dtype=np.int64)) + len(array) * _OBJECT
    return int(array.nbytes) + len(array) * _OBJECT
