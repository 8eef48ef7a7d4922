"""Tables in files: the one reader of texts, records and labelled data, and the writers of results.

Reads text (a text a line), CSV (also with semicolons, as Excel writes it where commas are decimal), TSV, JSON
lines, a JSON array and Parquet, all but Parquet also gzipped; writes CSV, TSV, JSON lines, Parquet and, for
rows of numbers, `.npy`. Everything goes row by row, in flat memory. A file that is written appears under its
name when it is whole. Parquet needs pyarrow, the extra `parquet`.
"""

import csv
import gzip
import io
import json
import os
import re
import reprlib
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from torchmoji.files.atomic import atomic_path
from torchmoji.files.extras import require

TEXT_FORMATS = (".txt", ".csv", ".tsv", ".jsonl", ".json")
"""Endings that may have `.gz` behind them."""
READABLE = (*TEXT_FORMATS, ".parquet")
WRITABLE = (".csv", ".tsv", ".jsonl", ".parquet", ".npy")
DEFAULT_COLUMN = "text"
LONGEST_LINE = 1 << 20
"""Characters of a line, or of a JSON array's element: a file without line breaks must not fill the memory."""

_USUAL_COLUMNS = (DEFAULT_COLUMN, "tweet", "message", "comment", "sentence", "review", "content")
_OTHER_ENCODING = "save the file as UTF-8, in Excel as 'CSV UTF-8', or name its encoding with --encoding"
_ROWS_AT_ONCE = 4096
_BLOCK = 1 << 16
_BLANKS = re.compile(r"\s*")

Row = Mapping[str, Any]
NumberedRow = tuple[int, dict[str, Any]]
"""The number of a row's first line, from 1 on (of Parquet: of the row), and the row."""


def ending(path: str | os.PathLike[str]) -> str:
    """The ending that says what a file holds, in lower case and without `.gz`."""
    path = Path(path)
    return Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()


# --- reading ------------------------------------------------------------------------------------------------


class Table:
    """The rows of an open file, to be iterated over once: line numbers, and values by column, in order.

    Values are strings in CSV and TSV; a missing cell is None.

    Attributes:
        name: The file, for messages.
        kind: Its ending.
        columns: Names, in order; in JSON those of the first row; none of an empty file.
        delimiter: Of CSV and TSV.
    """

    def __init__(
        self, name: str, kind: str, columns: Sequence[str], rows: Iterator[NumberedRow], delimiter: str = ","
    ) -> None:
        twice = next((column for column in columns if columns.count(column) > 1), None)
        if twice is not None:
            raise ValueError(f"{name} has {columns.count(twice)} columns {twice!r}: rename all but one")
        self.name, self.kind, self.columns, self.delimiter = name, kind, list(columns), delimiter
        self._rows = rows

    def __iter__(self) -> Iterator[NumberedRow]:
        return self._rows

    @property
    def has_header(self) -> bool:
        """Whether every row has the same columns, named before the first."""
        return self.kind in (".csv", ".tsv", ".parquet")

    def texts(
        self, column: str | None = None, next_step: str = "name one with --column"
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row's text, "" where there is none, and the row.

        Args:
            column: The texts' column; by default the likely one.
            next_step: What to do where there is no such column.

        Raises:
            ValueError: There is no such column, or a value in it is no text.
        """
        name = likely_column(self.columns) if column is None else column
        if self.has_header:
            name = next((known for known in self.columns if known.strip() == name), name)
        elif self.kind not in (".json", ".jsonl"):
            name = DEFAULT_COLUMN
        if self.has_header and name not in self.columns:
            raise ValueError(f"{self.name} {_no_column(name, self.columns)}: {next_step}")
        for line, row in self:
            if name not in row:
                bad_row(self.name, line, f"{_no_column(name, row)}: {next_step}")
            text = row[name]
            if self.kind == ".parquet" and text is not None:
                text = str(text)
            if text is not None and not isinstance(text, str):
                bad_row(self.name, line, f"has {reprlib.repr(text)} as {name!r}: it must be a text")
            yield text or "", row


def _no_column(name: str | None, columns: Iterable[str]) -> str:
    return f"has no column {name!r}, only {', '.join(map(repr, columns)) or 'none'}"


def bad_row(name: str, line: int, reason: str) -> NoReturn:
    """Raise `ValueError` for a row of a file."""
    raise ValueError(f"{name}, line {line}, {reason}")


def likely_column(columns: Iterable[str]) -> str | None:
    """The column that most likely has the texts: one with a usual name, or else the first."""
    by_name = {name.strip().lower(): name for name in reversed(list(columns))}
    usual = (by_name[name] for name in _USUAL_COLUMNS if name in by_name)
    return next(usual, next(iter(columns), None))


def read_texts(
    path: str | os.PathLike[str], column: str | None = None, encoding: str | None = None
) -> Iterator[str]:
    """Give the texts of a file, in order.

    Args:
        path: A file with one of the endings `READABLE`, each but Parquet also with `.gz`; anything else is
            read as text, a text a line.
        column: Of a table; "text" by default.
        encoding: By default UTF-8, with or without a byte order mark.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such column, or the file is not what its ending says; the message names the
            line.
        ModuleNotFoundError: pyarrow is missing.
    """
    name = column or DEFAULT_COLUMN
    with open_table(path, encoding=encoding, only=[name]) as table:
        for text, _ in table.texts(name):
            yield text


@contextmanager
def open_table(
    path: str | os.PathLike[str],
    *,
    encoding: str | None = None,
    name: str | None = None,
    only: Collection[str] = (),
    largest: float = float("inf"),
) -> Iterator[Table]:
    """Open a file to read its rows.

    Blank lines are no rows, but in a file of texts. A string in JSON is an object with the member `text`.

    Args:
        path: See `read_texts`.
        encoding: See `read_texts`.
        name: Of the file in messages; by default its path.
        only: Columns to read of Parquet; by default all.
        largest: Characters of the file after unpacking, at most.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not what its ending says, here or later when rows are read.
        ModuleNotFoundError: pyarrow is missing.
    """
    name, kind = name or os.fspath(path), ending(path)
    if kind in SPREADSHEETS:
        raise ValueError(f"cannot read {name}, a spreadsheet: {_AS_CSV}")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{name} is a folder: name a file in it")
    if not Path(path).exists():  # a pipe is no file, but can be read
        raise FileNotFoundError(f"there is no file {name}: check the path")
    if kind == ".parquet":
        with _open_parquet(path, name, only) as table:
            yield table
        return
    with closing(_read(path, name, encoding, largest)) as pieces:
        if kind in (".csv", ".tsv"):
            yield _delimited_table(name, kind, _whole_lines(pieces, name))
            return
        rows = _json_rows(pieces, name) if kind in (".jsonl", ".json") else _text_rows(pieces, name)
        first = list(islice(rows, 1))
        yield Table(name, kind, list(first[0][1]) if first else [], chain(first, rows))


def open_packed(path: str | os.PathLike[str], mode: str, **options: Any) -> Any:
    """`open`, or `gzip.open` for a path that ends in `.gz`."""
    opener: Any = gzip.open if Path(path).suffix.lower() == ".gz" else open
    return opener(path, mode, **options)


def _read(path: Any, name: str, encoding: str | None, largest: float) -> Generator[str, None, None]:
    """Lines with their ends; one that is too long comes in pieces longer than `LONGEST_LINE`."""
    total = line = 0
    is_utf_8 = encoding is None or encoding.lower() in ("utf-8", "utf8")
    try:
        with open_packed(path, "rt", encoding="utf-8-sig" if is_utf_8 else encoding, newline="") as file:
            while piece := file.readline(LONGEST_LINE + 1):
                line += 1
                total += len(piece)
                if total > largest:
                    raise ValueError(f"{name} has more than {largest} characters: split it")
                yield piece
    except UnicodeError as error:
        reason = str(error)
        if isinstance(error, UnicodeDecodeError):  # its bytes begin after the last line that was read
            line += error.object.count(b"\n", 0, error.start)
            reason = f"byte {error.object[error.start]:#04x}"
        reason = f"is not {'UTF-8' if is_utf_8 else encoding} ({reason})"
        bad_row(name, line + 1, f"{reason}: {_OTHER_ENCODING}")
    except LookupError as error:
        raise ValueError(f"{error}: give one such as utf-8, utf-16, cp1252 or latin-1") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name} is not a whole gzip file ({error}): get or pack it again") from error


def _whole_lines(pieces: Iterable[str], name: str) -> Iterator[str]:
    for number, piece in enumerate(pieces, start=1):
        if len(piece) > LONGEST_LINE:
            bad_row(name, number, f"is longer than {LONGEST_LINE} characters: is this a file of texts?")
        yield piece


def _text_rows(pieces: Iterable[str], name: str) -> Iterator[NumberedRow]:
    for number, line in enumerate(_whole_lines(pieces, name), start=1):
        yield number, {DEFAULT_COLUMN: line.rstrip("\r\n")}


def _peek(pieces: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first piece that is not blank, "" where there is none; and all pieces."""
    head = [""]
    while not head[-1].strip() and (piece := next(pieces, "")):
        head.append(piece)
    return head[-1], chain(head[1:], pieces)


def _delimited_table(name: str, kind: str, lines: Iterator[str]) -> Table:
    header, lines = _peek(lines)
    is_semicolon = ";" in header and "," not in header
    delimiter = "\t" if kind == ".tsv" else ";" if is_semicolon else ","
    records = csv_records(lines, delimiter, lambda line, reason: bad_row(name, line, reason))
    _, columns = next(records, (1, []))

    def rows() -> Iterator[NumberedRow]:
        for line, cells in records:
            if len(cells) > len(columns):
                numbers = f"{len(cells)} cells, but the header has {len(columns)}"
                bad_row(name, line, f"has {numbers}: put cells that contain {delimiter!r} in double quotes")
            yield line, dict(zip_longest(columns, cells))

    return Table(name, kind, columns, rows(), delimiter)


def csv_records(
    lines: Iterable[str], delimiter: str, report: Callable[[int, str], object]
) -> Iterator[tuple[int, list[str]]]:
    """The records of CSV lines that have their ends: the number of the first line, and the cells.

    Args:
        lines: The header among them; blank ones are left out.
        delimiter: Between cells.
        report: Gets the line number and what is wrong with a record, which is left out where this returns.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            report(line, f"is not CSV ({error}): close each double quote, and write one in a text as two")
            continue
        if cells:
            yield line, cells


def _json_rows(pieces: Iterator[str], name: str) -> Iterator[NumberedRow]:
    first, pieces = _peek(pieces)
    if first.lstrip().startswith("["):
        yield from array_rows(pieces, name)
        return
    for number, line in enumerate(_whole_lines(pieces, name), start=1):
        if not line.isspace():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                _no_json(name, number, error)
            yield number, _json_row(name, number, value)


def _no_json(name: str, line: int, error: Exception) -> NoReturn:
    reason = getattr(error, "msg", error)
    bad_row(name, line, f"is not JSON ({reason}): write an object a line, or one array of objects")


def _json_row(name: str, line: int, value: Any) -> dict[str, Any]:
    if value is None or isinstance(value, str):
        return {DEFAULT_COLUMN: value}
    if not isinstance(value, dict):
        bad_row(name, line, f"has {reprlib.repr(value)}: it must be a JSON object or a text")
    return value


def array_rows(pieces: Iterator[str], name: str) -> Iterator[NumberedRow]:
    """The elements of a JSON array, in pieces of text, one after the other, wherever lines end."""
    decoder = json.JSONDecoder()
    text, at, line = "", 0, 1

    def move_to(end: int) -> None:
        nonlocal at, line
        line += text.count("\n", at, end)
        at = end

    def read_on() -> bool:
        """Drop what was read and get at least as much again as is left."""
        nonlocal text, at
        added, size = [text[at:]], 0
        while size <= max(len(added[0]), _BLOCK) and (piece := next(pieces, "")):
            added.append(piece)
            size += len(piece)
        text, at = "".join(added), 0
        return size > 0

    def next_character() -> str:
        while True:
            move_to(next(_BLANKS.finditer(text, at)).end())
            if at < len(text) or not read_on():
                return text[at : at + 1]

    next_character()
    move_to(at + 1)  # behind the bracket
    while next_character() != "]":
        while True:
            try:
                value, end = decoder.raw_decode(text, at)
                break
            except (ValueError, RecursionError) as error:  # or the element goes on
                if len(text) - at > LONGEST_LINE or not read_on():
                    _no_json(name, line, error)
        yield line, _json_row(name, line, value)
        move_to(end)
        if next_character() == ",":
            move_to(at + 1)
        elif next_character() != "]":
            bad_row(name, line, f"is not JSON ({text[at : at + 20]!r} where ',' or ']' must be): mend it")
    move_to(at + 1)
    if next_character():
        bad_row(name, line, "goes on after the JSON array: write one array, or an object a line")


def _parquet() -> Any:
    return require("pyarrow.parquet", "parquet", "Parquet")


@contextmanager
def _open_parquet(path: Any, name: str, only: Collection[str]) -> Iterator[Table]:
    try:
        file = _parquet().ParquetFile(path)
    except ValueError as error:
        raise ValueError(f"{name} is damaged or no Parquet file ({error}): get it again") from error
    with file:
        columns = file.schema_arrow.names
        selected = [column for column in columns if not only or column.strip() in only]
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=selected)
        rows = chain.from_iterable(batch.to_pylist() for batch in batches)
        yield Table(name, ".parquet", columns, enumerate(rows, start=1))


# --- writing ------------------------------------------------------------------------------------------------


SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_AS_CSV = "save it as CSV (in Excel: Save As, 'CSV UTF-8')"


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
        excel = "; Excel opens .csv" if ending(path) in SPREADSHEETS else ""
        raise ValueError(
            f"cannot write {os.fspath(path)}: its ending must be one of {', '.join(endings)}{excel}"
        )
    if ending(path) == ".parquet":
        _parquet()


def unused_name(name: str, taken: Collection[str]) -> str:
    """A name for a new column: one that is taken gets underscores."""
    while name in taken:
        name += "_"
    return name


def write_rows(rows: Iterable[Row], path: str | os.PathLike[str]) -> int:
    """Write rows with the same columns; the first says which. JSON lines may have any.

    Args:
        rows: Column -> value. Lists are written as JSON in CSV.
        path: With one of the endings `WRITABLE` but `.npy`.

    Returns:
        How many rows there were.

    Raises:
        ValueError: A row has a column that the first has not, or, in Parquet, a value of another type.
    """
    with atomic_path(path) as temporary:
        if ending(path) == ".parquet":
            return _write_parquet(rows, temporary)
        # half a character, which JSON can hold, goes back escaped
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            return write_lines(rows, file, ending(path))


def write_lines(rows: Iterable[Row], file: IO[str], kind: str, flush: bool = False) -> int:
    """Write rows as CSV, TSV or JSON lines to an open file, and give their number."""
    number = 0
    for number, line in enumerate(to_lines(rows, kind), start=1):  # noqa: B007  the last one is the result
        file.write(line)
        if flush:
            file.flush()
    return number


def to_lines(rows: Iterable[Row], kind: str, columns: Sequence[str] | None = None) -> Iterator[str]:
    """Each row as a line of CSV, TSV or JSON.

    Args:
        rows: Column -> value.
        kind: The ending.
        columns: Those of a header that is there already; without it the first row gives the header, which
            stands before that row's line.
    """
    delimiter = "\t" if kind == ".tsv" else ","
    for number, row in enumerate(rows, start=1):
        if kind == ".jsonl":
            yield json.dumps(row, ensure_ascii=False, default=str) + "\n"
            continue
        header = ""
        if columns is None:
            columns = list(row)
            header = csv_line(columns, delimiter)
        _check_columns(row, columns, number)
        yield header + csv_line((row.get(name) for name in columns), delimiter)


def _check_columns(row: Row, columns: Sequence[str], number: int) -> None:
    further = [name for name in row if name not in columns]
    if further:
        raise ValueError(
            f"row {number} has {further[0]!r}, which is no column of the rows before it: write .jsonl, where "
            "rows may differ"
        )


def csv_line(values: Iterable[Any], delimiter: str = ",") -> str:
    """A line of CSV. Lists and objects become JSON, None an empty cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerow(
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
        for value in values
    )
    return buffer.getvalue()


def _write_parquet(rows: Iterable[Row], path: Path) -> int:
    pyarrow = require("pyarrow", "parquet", "Parquet")
    remaining, writer, number = iter(rows), None, 0
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        for place, row in enumerate(batch, start=number + 1):
            _check_columns(row, writer.schema.names if writer else list(batch[0]), place)
        try:
            table = pyarrow.Table.from_pylist(batch, schema=writer and writer.schema)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise ValueError(
                f"a column has values of several types ({error}): write .jsonl, where they may differ"
            ) from error
        writer = writer or _parquet().ParquetWriter(path, table.schema)
        writer.write_table(table)
        number += len(batch)
    if writer is None:
        _parquet().write_table(pyarrow.table({}), path)
    else:
        writer.close()
    return number


def write_npy(rows: Iterable[np.ndarray[Any, Any]], columns: int, path: str | os.PathLike[str]) -> int:
    """Write rows of float32 as one array (n, columns), without holding them, and give their number."""
    number = 0
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(npy_header(0, columns))
        for number, row in enumerate(rows, start=1):  # noqa: B007  the last one is the result
            file.write(np.ascontiguousarray(row, dtype="<f4").tobytes())
        file.seek(0)
        file.write(npy_header(number, columns))
    return number


def npy_header(rows: int, columns: int, dtype: str = "<f4") -> bytes:
    """The head of an .npy file, of the same length for any number of rows: NumPy leaves room to grow."""
    buffer = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": (rows, columns)}
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()
