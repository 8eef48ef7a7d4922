"""Texts out of files and results into them, row by row: what the command line reads and writes.

Reads text (a text a line), CSV, TSV, JSON lines and Parquet, gzipped or not; writes CSV, TSV, JSON lines,
Parquet and, for rows of numbers, `.npy`. A file that is written appears under its name when it is whole.
Parquet needs pyarrow, the extra `parquet`: it is what everybody reads such files with.
"""

import codecs
import csv
import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from torchmoji.files.atomic import atomic_path

READABLE = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")
WRITABLE = (".csv", ".tsv", ".jsonl", ".parquet", ".npy")
DEFAULT_COLUMN = "text"

_ROWS_AT_ONCE = 4096
_CHUNK_BYTES = 1 << 18

Row = Mapping[str, Any]


def ending(path: str | os.PathLike[str]) -> str:
    """The ending that says what a file holds, in lower case and without `.gz`."""
    path = Path(path)
    return Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_texts(path: str | os.PathLike[str], column: str | None = None) -> Iterator[str]:
    """Give the texts of a file, in order.

    Args:
        path: A file with one of the endings `READABLE`, each but Parquet also with `.gz`; anything else is
            read as text, a text a line.
        column: Of a table; "text" by default.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such column, or a line is not JSON; the message names the line.
        ModuleNotFoundError: pyarrow is missing.
    """
    kind, name = ending(path), column or DEFAULT_COLUMN
    if Path(path).is_dir():
        raise IsADirectoryError(f"{os.fspath(path)} is a folder: name a file in it")
    if not Path(path).exists():  # a pipe is no file, but can be read
        raise FileNotFoundError(f"there is no file {os.fspath(path)}: check the path")
    if kind == ".parquet":
        yield from _parquet_column(path, name)
        return
    with open_text(path) as file:
        try:
            if kind in (".csv", ".tsv"):
                yield from _csv_column(file, name, path, "\t" if kind == ".tsv" else None)
            elif kind == ".jsonl":
                yield from _json_texts(file, name, path)
            else:
                for line in file:
                    yield line.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{os.fspath(path)} is not UTF-8 ({error.reason} at byte {error.start}): convert it first"
            ) from error


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """Open a file as UTF-8 text, with the line ends that it has; `.gz` is unpacked.

    Raises:
        ValueError: It is damaged as a gzip file.
    """
    with open_packed(path, "rt", encoding="utf-8-sig", newline="") as file:
        try:
            yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{os.fspath(path)} is not a whole gzip file ({error}): get or pack it again"
            ) from error


def open_packed(path: str | os.PathLike[str], mode: str, **options: Any) -> Any:
    """`open`, or `gzip.open` for a path that ends in `.gz`."""
    opener: Any = gzip.open if Path(path).suffix.lower() == ".gz" else open
    return opener(path, mode, **options)


def delimiter_of(header: str) -> str:
    """A semicolon where Excel writes one, as it does in countries with a decimal comma."""
    return ";" if ";" in header and "," not in header else ","


def _csv_column(file: IO[str], name: str, path: Any, delimiter: str | None) -> Iterator[str]:
    header = file.readline()
    reader = csv.DictReader(chain([header], file), delimiter=delimiter or delimiter_of(header))
    columns = list(reader.fieldnames or [])
    _check_column(name, columns, path)
    if columns.count(name) > 1:
        raise ValueError(f"{os.fspath(path)} has {columns.count(name)} columns {name!r}: rename all but one")
    for row in reader:
        yield row[name] or ""


def _json_texts(file: IO[str], name: str, path: Any) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}, line {number}, is not JSON: {error}") from error
        if isinstance(value, dict):
            _check_column(name, list(value), f"{os.fspath(path)}, line {number},")
            value = value[name]
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{os.fspath(path)}, line {number}: expected a text, got {value!r}")
        yield value or ""


def _parquet_column(path: Any, name: str) -> Iterator[str]:
    with _pyarrow().parquet.ParquetFile(path) as file:
        _check_column(name, file.schema_arrow.names, path)
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[name]):
            for value in batch.column(0).to_pylist():
                yield "" if value is None else str(value)


def _check_column(name: str, columns: Sequence[str], path: Any) -> None:
    if name not in columns:
        raise ValueError(
            f"{os.fspath(path)} has no column {name!r}, only {', '.join(map(repr, columns)) or 'none'}: "
            "name one with --column"
        )


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Parquet needs pyarrow, which is not installed: pip install "torchmoji[parquet]"', name="pyarrow"
        ) from error
    return pyarrow


def check_writable(path: str | os.PathLike[str], has_numbers: bool) -> None:
    """Refuse a file that cannot be written, before the work begins.

    Args:
        path: The file.
        has_numbers: Rows are numbers alone, so that `.npy` can hold them.

    Raises:
        ValueError: Its ending is another.
        ModuleNotFoundError: pyarrow is missing.
    """
    endings = [known for known in WRITABLE if has_numbers or known != ".npy"]
    if ending(path) not in endings or Path(path).suffix.lower() == ".gz":
        raise ValueError(f"cannot write {os.fspath(path)}: its ending must be one of {', '.join(endings)}")
    if ending(path) == ".parquet":
        _pyarrow()


def write_rows(rows: Iterable[Row], path: str | os.PathLike[str]) -> int:
    """Write rows with the same columns; the first says which.

    Args:
        rows: Column -> value. Lists are written as JSON in CSV.
        path: With one of the endings `WRITABLE` but `.npy`.

    Returns:
        How many rows there were.
    """
    with atomic_path(path) as temporary:
        if ending(path) == ".parquet":
            return _write_parquet(rows, temporary)
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            return write_lines(rows, file, ending(path))


def write_lines(rows: Iterable[Row], file: IO[str], kind: str, flush: bool = False) -> int:
    """Write rows as CSV, TSV or JSON lines to an open file, and give their number."""
    number, written = 0, line_writer(kind)
    for number, row in enumerate(rows, start=1):  # noqa: B007  the number of the last row is the result
        file.write(written(row))
        if flush:
            file.flush()
    return number


def line_writer(kind: str, has_header: bool = True) -> Callable[[Row], str]:
    """Give what turns rows into lines of CSV, TSV or JSON, the first with the header where there is one."""
    if kind == ".jsonl":
        return lambda row: json.dumps(row, ensure_ascii=False) + "\n"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="\t" if kind == ".tsv" else ",", lineterminator="\n")
    needs_header = has_header

    def written(row: Row) -> str:
        nonlocal needs_header
        buffer.seek(0)
        buffer.truncate()
        if needs_header:
            writer.writerow(row)
            needs_header = False
        writer.writerow([_cell(value) for value in row.values()])
        return buffer.getvalue()

    return written


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _write_parquet(rows: Iterable[Row], path: Path) -> int:
    pyarrow = _pyarrow()
    writer, number, waiting = None, 0, list[Row]()

    def flush() -> None:
        nonlocal writer
        if waiting:
            table = pyarrow.Table.from_pylist(waiting, schema=writer and writer.schema)
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            waiting.clear()

    for row in rows:
        waiting.append(row)
        number += 1
        if len(waiting) == _ROWS_AT_ONCE:
            flush()
    flush()
    if writer is None:
        pyarrow.parquet.write_table(pyarrow.table({}), path)
    else:
        writer.close()
    return number


def write_npy(rows: Iterable[np.ndarray[Any, Any]], columns: int, path: str | os.PathLike[str]) -> int:
    """Write rows of float32 as one array (n, columns), without holding them, and give their number."""
    number = 0
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        header = npy_header(0, columns)
        file.write(header)
        for row in rows:
            file.write(np.ascontiguousarray(row, dtype="<f4").tobytes())
            number += 1
        final = npy_header(number, columns)
        if len(final) != len(header):
            raise ValueError(f"{number} rows are more than an .npy file of unknown length can hold")
        file.seek(0)
        file.write(final)
    return number


def npy_header(rows: int, columns: int, dtype: str = "<f4") -> bytes:
    """The head of an .npy file, of the same length for any number of rows: NumPy leaves room to grow."""
    buffer = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": (rows, columns)}
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()


def arriving_texts() -> Iterator[list[str]]:
    """The lines of standard input, as UTF-8; each time as many as have come, so that none has to wait."""
    pieces: list[bytes] = []
    is_first = True
    stream: Any = sys.stdin
    while chunk := stream.buffer.read1(_CHUNK_BYTES):
        if is_first:
            chunk, is_first = chunk.removeprefix(codecs.BOM_UTF8), False
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join([*pieces, ended[0]])
            pieces = []
            yield [_line(line) for line in ended]
        pieces.append(rest)
    last = b"".join(pieces)
    if last:
        yield [_line(last)]


def _line(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


def with_progress(texts: Iterable[str], shown: bool) -> Iterator[str]:
    """The texts, with a bar on standard error."""
    from tqdm import tqdm

    yield from tqdm(texts, unit=" texts", disable=not shown)
