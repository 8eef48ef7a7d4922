"""Tables in files: the one reader of texts, records and labelled data, and the writers of results.

Reads text (a text a line), CSV (also with semicolons, as Excel writes it where commas are decimal), TSV, JSON
lines, a JSON array, Parquet, Arrow and Feather, the text formats also compressed; writes CSV, TSV, JSON
lines, Parquet and, for rows of numbers, `.npy`. Everything goes row by row, in flat memory. A file that is
written appears under its name when it is whole. Parquet and its like need pyarrow, the extra `parquet`.
"""

import bz2
import codecs
import csv
import gzip
import io
import json
import math
import os
import re
import reprlib
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from torchmoji.files import columnar
from torchmoji.files.atomic import atomic_path
from torchmoji.runtime.machine import require

DELIMITED = (".csv", ".tsv")
TEXT_FORMATS = (".txt", *DELIMITED, ".jsonl", ".ndjson", ".json")
"""Endings that may have one of `COMPRESSIONS` behind them."""
COMPRESSIONS = (".gz", ".bz2", ".zst")
READABLE = (*TEXT_FORMATS, *columnar.KINDS)
WRITABLE = (".csv", ".tsv", ".jsonl", ".parquet", ".npy")
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_PACKED = (".xz", ".zip", ".7z", ".rar", ".lz4", ".tar", ".tgz")
NOT_READ = {
    ".orc": "which does not say how large it is unpacked: write it as Parquet",
    **dict.fromkeys(_SPREADSHEETS, "a spreadsheet: save it as CSV (in Excel: Save As, 'CSV UTF-8')"),
    **dict.fromkeys(_PACKED, "which is packed: unpack it, or pack it as .gz, .bz2 or .zst"),
}
"""Endings of tables that are not read, and why."""
DEFAULT_COLUMN = "text"
LONGEST_LINE = 1 << 20
"""Characters of a line, or of a JSON array's element: a file without line breaks must not fill the memory."""

_USUAL_COLUMNS = (DEFAULT_COLUMN, "tweet", "message", "comment", "sentence", "review", "content")
SAVE_AS_UTF_8 = "save the file as UTF-8, in Excel as 'CSV UTF-8'"
_OTHER_ENCODING = f"{SAVE_AS_UTF_8}, or name its encoding with --encoding"
_NAME_A_COLUMN = "name one of these"
_ROWS_AT_ONCE = 4096
_BLOCK = 1 << 16
_BLANKS = re.compile(r"\s*")
_UNDECODED = re.compile("[\udc80-\udcff]")
_BAD_LINE = "\udcff"  # in the place of a line that could not be decoded

Row = Mapping[str, Any]
NumberedRow = tuple[int, dict[str, Any]]
"""The number of a row's first line, from 1 on (of Parquet: of the row), and the row."""
Report = Callable[[int, str], object]
"""Gets the line of what is no row, and what is wrong: it raises, or returns, and the row is left out."""


def ending(path: str | os.PathLike[str]) -> str:
    """The ending that says what a file holds, in lower case and without that of a compression."""
    path = Path(path)
    return Path(path.stem if compression(path) else path).suffix.lower()


def is_readable(name: str) -> bool:
    """Whether a file with this name is a table that can be read."""
    return ending(name) in (TEXT_FORMATS if compression(name) else READABLE)


def is_utf_8(encoding: str | None) -> bool:
    """Whether an encoding is UTF-8, however it is spelled; what is not known is none."""
    try:
        return codecs.lookup(encoding or "utf-8").name == "utf-8"
    except LookupError:
        return False


def compression(path: str | os.PathLike[str]) -> str | None:
    """The one of `COMPRESSIONS` that a path ends in, or None."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in COMPRESSIONS else None


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
        self,
        name: str,
        kind: str,
        columns: Sequence[str],
        rows: Iterator[NumberedRow],
        delimiter: str = ",",
        report: Report | None = None,
    ) -> None:
        twice, number = next(iter(Counter(columns).most_common(1)), ("", 0))
        if number > 1:
            raise ValueError(f"{name} has {number} columns {twice!r:.80}: rename all but one")
        self.name, self.kind, self.columns, self.delimiter = name, kind, list(columns), delimiter
        self._rows, self._report = rows, report or partial(bad_row, name)

    def __iter__(self) -> Iterator[NumberedRow]:
        return self._rows

    @property
    def has_header(self) -> bool:
        """Whether every row has the same columns, named before the first."""
        return self.kind in (*DELIMITED, *columnar.KINDS)

    def texts(
        self, column: str | None = None, next_step: str = _NAME_A_COLUMN
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row's text, "" where there is none, and the row; see `numbered_texts`."""
        return ((text, row) for _, text, row in self.numbered_texts(column, next_step))

    def numbered_texts(self, column: str | None, next_step: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Each row's line, its text, and the row.

        Args:
            column: The texts' column; by default the likely one.
            next_step: What to do where there is no such column.

        Raises:
            ValueError: There is no such column, or a value in it is no text.
        """
        name = (likely_column(self.columns) or DEFAULT_COLUMN) if column is None else column
        if self.has_header:
            name = self.column(name, next_step)
        elif self.kind not in (".json", ".jsonl"):
            name = DEFAULT_COLUMN
        for line, row in self:
            text = row.get(name, self)
            if text is self:
                self._report(line, f"{_no_column(name, row)}: {next_step}")
            elif text is None or isinstance(text, str):
                yield line, text or "", row
            else:
                self._report(line, f"has {reprlib.repr(text)} as {name!r}: it must be a text")

    def column(self, name: str, next_step: str) -> str:
        """The column with this name, blanks around it aside.

        Raises:
            ValueError: There is none.
        """
        if not self.columns:
            raise ValueError(f"{self.name} has no texts: give a file with some")
        found = next((known for known in self.columns if known.strip() == name or known == name), None)
        if found is None:
            raise ValueError(f"{self.name} {_no_column(name, self.columns)}: {next_step}")
        return found


def _no_column(name: str | None, columns: Iterable[str]) -> str:
    return f"has no column {name!r:.80}, only {', '.join(map(repr, islice(columns, 20))) or 'none':.200}"


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
        path: A file with one of the endings `READABLE`, of `TEXT_FORMATS` also with one of `COMPRESSIONS`;
            anything else is read as text, a text a line.
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
        for _, text, _ in table.numbered_texts(name, _NAME_A_COLUMN):
            yield text


@contextmanager
def open_table(
    path: str | os.PathLike[str],
    *,
    encoding: str | None = None,
    name: str | None = None,
    only: Collection[str] = (),
    largest: float = float("inf"),
    header: bool = True,
    quotes: bool = True,
    report: Report | None = None,
    filesystem: Any = None,
    other_encoding: str = _OTHER_ENCODING,
) -> Iterator[Table]:
    """Open a file to read its rows.

    Blank lines are no rows, but in a file of texts. A string in JSON is an object with the member `text`.

    Args:
        path: See `read_texts`.
        encoding: See `read_texts`.
        name: Of the file in messages; by default its path.
        only: Columns to read of Parquet and its like; by default all.
        largest: Characters of the file after unpacking, at most.
        header: The first line of CSV and TSV names the columns; else their names are "1", "2" and so on.
        quotes: Double quotes in TSV mean what they mean in CSV; else nothing, a line is a row, and without a
            header the last column of `only` is the rest of the line.
        report: What to do with a line that is no row; by default it is a `ValueError`.
        filesystem: Of fsspec, where the file is not on this machine.
        other_encoding: What to do with a file in another encoding.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not what its ending says, here or later when rows are read.
        ModuleNotFoundError: pyarrow is missing.
    """
    name = name or os.fspath(path)
    kind = {".ndjson": ".jsonl"}.get(ending(path), ending(path))
    if kind in NOT_READ:
        raise ValueError(f"cannot read {name}, {NOT_READ[kind]}")
    if filesystem is None and Path(path).is_dir():
        raise IsADirectoryError(f"{name} is a folder: name a file in it")
    if filesystem is None and not Path(path).exists():  # a pipe is no file, but can be read
        raise FileNotFoundError(f"there is no file {name}: check the path")
    if kind in columnar.KINDS:
        columns, rows = columnar.read_columns(path, name, kind, only, filesystem)
        yield Table(name, kind, columns, rows, report=report)
        return
    with closing(_read(path, name, encoding, largest, filesystem, report, other_encoding)) as pieces:
        report = report or partial(bad_row, name)
        if kind in DELIMITED:
            quotes = quotes or kind == ".csv"
            width = 0 if header or quotes else max(map(int, only), default=0)
            yield _delimited_table(name, kind, pieces, header, quotes, width, report)
            return
        rows = _json_rows(pieces, report) if kind in (".jsonl", ".json") else _text_rows(pieces, report)
        first = list(islice(rows, 1))
        yield Table(name, kind, list(first[0][1]) if first else [], chain(first, rows), report=report)


@contextmanager
def open_bytes(path: str | os.PathLike[str], filesystem: Any = None) -> Iterator[Any]:
    """The bytes of a file, unpacked; arguments as of `open_table`."""
    with (
        open(path, "rb") if filesystem is None else filesystem.open(os.fspath(path), "rb") as raw,
        closing(_unpacked(raw, compression(path))) as file,
    ):
        yield file


class _Bz2(io.RawIOBase):
    """The bytes of a bz2 file, of which each stream must be sound: Python's passes over what is not."""

    def __init__(self, file: Any) -> None:
        self._file, self._decoder = file, bz2.BZ2Decompressor()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 bytes are the end. EOFError: no end of a stream; OSError: no stream follows."""
        data = b""
        while not data:
            block = b""
            if self._decoder.eof:
                block = self._decoder.unused_data or self._file.read(_BLOCK)
                if not block:
                    return 0
                self._decoder = bz2.BZ2Decompressor()
            elif self._decoder.needs_input:
                block = self._file.read(_BLOCK)
                if not block:
                    raise EOFError("the file ends too early")
            data = self._decoder.decompress(block, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unpacked(file: Any, packed_as: str | None) -> Any:
    """The bytes of an open file, uncompressed."""
    if packed_as == ".zst":
        return require("pyarrow", "parquet", "zstd").CompressedInputStream(file, "zstd")
    if packed_as == ".bz2":
        return io.BufferedReader(_Bz2(file))
    return gzip.open(file) if packed_as == ".gz" else file


def _read(
    path: str | os.PathLike[str],
    name: str,
    encoding: str | None,
    largest: float,
    filesystem: Any,
    report: Report | None,
    other_encoding: str,
) -> Generator[str, None, None]:
    """Lines with their ends; one that is too long comes in pieces longer than `LONGEST_LINE`.

    A line that is not UTF-8 is an error, or where there is `report` it is told and comes as `_BAD_LINE`.
    """
    total = line = 0
    utf_8 = is_utf_8(encoding)
    packed_as = compression(path)
    try:
        with (
            open_bytes(path, filesystem) as unpacked,
            io.TextIOWrapper(
                unpacked,
                "utf-8-sig" if utf_8 else encoding,
                "surrogateescape" if report and utf_8 else "strict",
                newline="",
            ) as file,
        ):
            while piece := file.readline(LONGEST_LINE + 1):
                line += 1
                total += len(piece)
                if total > largest:
                    raise ValueError(f"{name} has more than {largest} characters: split it")
                if report and not piece.isascii() and (undecoded := _UNDECODED.search(piece)):
                    byte = ord(undecoded[0]) - 0xDC00
                    report(line, f"is not UTF-8 (byte {byte:#04x}): {other_encoding}")
                    piece = _BAD_LINE
                yield piece
    except UnicodeError as error:
        reason = str(error)
        if isinstance(error, UnicodeDecodeError):  # its bytes begin after the last line that was read
            line += error.object.count(b"\n", 0, error.start)
            reason = f"byte {error.object[error.start]:#04x}"
        bad_row(name, line + 1, f"is not {encoding or 'UTF-8'} ({reason}): {other_encoding}")
    except LookupError as error:
        raise ValueError(f"{error}: give one such as utf-8, utf-16, cp1252 or latin-1") from error
    except (EOFError, zlib.error, OSError) as error:
        if packed_as is None or getattr(error, "errno", None):
            raise
        reason = f"is not a whole {packed_as} file ({error})"
        raise ValueError(f"{name} {reason}: get or pack it again") from error


def _whole_lines(pieces: Iterator[str], report: Report, start: int = 1) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, but for those that are too long or could not be decoded."""
    for number, piece in enumerate(pieces, start):
        if len(piece) > LONGEST_LINE:
            report(number, f"is longer than {LONGEST_LINE} characters: is this a file of texts?")
            while piece and not piece.endswith(("\n", "\r")):
                piece = next(pieces, "")
        elif piece is not _BAD_LINE:
            yield number, piece


def _text_rows(pieces: Iterator[str], report: Report) -> Iterator[NumberedRow]:
    for number, line in _whole_lines(pieces, report):
        yield number, {DEFAULT_COLUMN: line.rstrip("\r\n")}


def _skip_blank(pieces: Iterator[str]) -> tuple[int, str, Iterator[str]]:
    """The number of the first line that is not blank, its first piece, and the pieces from there on."""
    number, first = 1, next(pieces, "")
    while first and not first.strip():
        number += first.endswith(("\n", "\r"))
        first = next(pieces, "")
    return number, first, chain([first] if first else [], pieces)


# --- CSV and TSV


def _delimited_table(
    name: str, kind: str, pieces: Iterator[str], header: bool, quotes: bool, width: int, report: Report
) -> Table:
    start, first, pieces = _skip_blank(pieces)
    is_semicolon = ";" in first and "," not in first
    delimiter = ";" if is_semicolon and kind != ".tsv" else delimiter_of(kind)
    records = _records(_whole_lines(pieces, report, start), delimiter, quotes, report)
    line, columns = next(records, (1, []))
    if not header:
        records = chain([(line, columns)] if columns else [], records)
        columns = [str(number + 1) for number in range(width or len(columns))]

    def rows() -> Iterator[NumberedRow]:
        for line, cells in records:
            if width and len(cells) > width:
                cells[width - 1 :] = [delimiter.join(cells[width - 1 :])]
            if len(cells) > len(columns):
                numbers = (
                    f"{len(cells)} cells, but the {'header' if header else 'first line'} has {len(columns)}"
                )
                quoted = f"put cells that contain {delimiter!r} in double quotes"
                report(line, f"has {numbers}: {quoted if quotes else 'no line may have more'}")
            else:
                yield line, dict(zip_longest(columns, cells))

    return Table(name, kind, columns, rows(), delimiter, report)


def _records(
    lines: Iterator[tuple[int, str]], delimiter: str, quotes: bool, report: Report
) -> Iterator[tuple[int, list[str]]]:
    """The number of each record's first line, and its cells; blank lines are left out."""
    first = size = 0

    def lines_of_records() -> Iterator[str]:
        nonlocal first, size
        for number, line in lines:
            first = first or number
            size += len(line)
            yield line
            if size > LONGEST_LINE:
                return  # a record that has no end in sight must not fill the memory

    reader = None
    while True:
        first = size = 0
        reader = reader or csv.reader(
            lines_of_records(),
            delimiter=delimiter,
            strict=True,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        )
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                report(first, f"has a cell of more than {csv.field_size_limit()} characters: split the text")
            report(first, f"is not CSV ({error}): close each double quote, and write one in a text as two")
            if size > LONGEST_LINE:
                reader = None
            continue
        if cells:
            yield first, cells


# --- JSON


def _json_rows(pieces: Iterator[str], report: Report) -> Iterator[NumberedRow]:
    start, first, pieces = _skip_blank(pieces)
    if first.lstrip().startswith("["):
        yield from _array_rows(pieces, start, report)
        return
    for number, line in _whole_lines(pieces, report, start):
        if not line.isspace():
            try:
                row = _json_row(json.loads(line))
            except (ValueError, RecursionError) as error:
                report(number, _no_json(error))
            else:
                yield number, row


def _no_json(error: Exception) -> str:
    if isinstance(error, _NoRow):
        return str(error)
    return f"is not JSON ({getattr(error, 'msg', error)}): write an object a line, or one array of objects"


class _NoRow(ValueError):
    """A value in JSON that is no row."""


def _json_row(value: Any) -> dict[str, Any]:
    if value is None or isinstance(value, str):
        return {DEFAULT_COLUMN: value}
    if not isinstance(value, dict):
        raise _NoRow(f"has {reprlib.repr(value)}: it must be a JSON object or a text")
    return value


def _array_rows(pieces: Iterator[str], line: int, report: Report) -> Iterator[NumberedRow]:
    """The elements of a JSON array, one after the other, wherever lines end; none after one that is wrong."""
    decoder = json.JSONDecoder()
    text, at = "", 0
    row: dict[str, Any] | None

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
                row = _json_row(value)
                break
            except _NoRow as error:
                report(line, str(error))
                row = None
                break
            except (ValueError, RecursionError) as error:  # or the element goes on
                if len(text) - at > LONGEST_LINE or not read_on():
                    report(line, _no_json(error))
                    return
        if row is not None:
            yield line, row
        move_to(end)
        if next_character() == ",":
            move_to(at + 1)
        elif next_character() != "]":
            report(line, f"is not JSON ({text[at : at + 20]!r} where ',' or ']' must be): mend it")
            return
    move_to(at + 1)
    if next_character():
        report(line, "goes on after the JSON array: write one array, or an object a line")


# --- writing ------------------------------------------------------------------------------------------------


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
    if ending(path) not in endings or compression(path):
        excel = "; Excel opens .csv" if ending(path) in _SPREADSHEETS else ""
        raise ValueError(
            f"cannot write {os.fspath(path)}: its ending must be one of {', '.join(endings)}{excel}"
        )
    if ending(path) == ".parquet":
        require("pyarrow.parquet", "parquet", "Parquet")


def unused_name(name: str, taken: Collection[str]) -> str:
    """A name for a new column: one that is taken gets underscores."""
    while name in taken:
        name += "_"
    return name


def write_rows(rows: Iterable[Row], path: str | os.PathLike[str], columns: Sequence[str] = ()) -> int:
    """Write rows with the same columns; the first says which. JSON lines may have any.

    Args:
        rows: Column -> value. Lists are written as JSON in CSV.
        path: With one of the endings `WRITABLE` but `.npy`.
        columns: Of a table without rows.

    Returns:
        How many rows there were.

    Raises:
        ValueError: A row has a column that the first has not, or, in Parquet, a value of another type.
    """
    with atomic_path(path) as temporary:
        if ending(path) == ".parquet":
            return _write_parquet(rows, temporary, columns)
        # half a character, which JSON can hold as \ud83d and UTF-8 cannot, goes back escaped
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            number = write_lines(rows, file, ending(path))
            file.write("" if number else header_line(columns, ending(path)))
            return number


def write_lines(rows: Iterable[Row], file: IO[str], kind: str, flush: bool = False) -> int:
    """Write rows as CSV, TSV or JSON lines to an open file, and give their number."""
    number = 0
    for number, line in enumerate(to_lines(rows, kind), start=1):  # noqa: B007  the last one is the result
        file.write(line)
        if flush:
            file.flush()
    return number


def to_lines(rows: Iterable[Row], kind: str, columns: Sequence[str] | None = None) -> Iterator[str]:
    """Each row, column -> value, as a line of CSV, TSV or JSON: `kind` is the ending.

    `columns` are those of a header that is there already; without them the first row gives the header, which
    stands before that row's line.
    """
    for number, row in enumerate(rows, start=1):
        if kind == ".jsonl":
            yield as_json(row) + "\n"
            continue
        names = ""
        if columns is None:
            columns = list(row)
            names = header_line(columns, kind)
        _check_columns(row, columns, number)
        yield names + csv_line((row.get(name) for name in columns), delimiter_of(kind))


def header_line(columns: Sequence[str], kind: str) -> str:
    """The line with the names of the columns; "" of JSON lines, and where there are none."""
    return csv_line(columns, delimiter_of(kind)) if kind in DELIMITED and columns else ""


def delimiter_of(kind: str) -> str:
    """What stands between the cells of CSV or TSV as they are written."""
    return "\t" if kind == ".tsv" else ","


def _check_columns(row: Row, columns: Sequence[str], number: int) -> None:
    further = [name for name in row if name not in columns]
    if further:
        raise ValueError(
            f"row {number} has {further[0]!r}, which is no column of the rows before it: write .jsonl, where "
            "rows may differ"
        )


def as_json(value: Any) -> str:
    """A row or a cell as JSON, a number that is none as null; ValueError for lists nested too deep."""
    try:
        try:
            return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
        except ValueError:
            return json.dumps(_finite(value), ensure_ascii=False, default=str)
    except RecursionError as error:
        raise ValueError("a row has too many lists in lists: leave that column out") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_line(values: Iterable[Any], delimiter: str = ",") -> str:
    """A line of CSV. Lists and objects become JSON, None an empty cell."""
    buffer = io.StringIO(newline="")
    # by its line ends csv decides what to quote: a carriage return too must stay within its cell
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow(
        as_json(value) if isinstance(value, list | dict) else value for value in values
    )
    return buffer.getvalue()[:-2] + "\n"


def _write_parquet(rows: Iterable[Row], path: Path, columns: Sequence[str]) -> int:
    pyarrow = require("pyarrow", "parquet", "Parquet")
    parquet = require("pyarrow.parquet", "parquet", "Parquet")
    remaining, writer, number = iter(rows), None, 0
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        columns = columns if number else list(batch[0])
        for place, row in enumerate(batch, start=number + 1):
            _check_columns(row, columns, place)
        try:
            values = [_arrow_array([row.get(name) for row in batch]) for name in columns]
            table = pyarrow.table(values, names=in_whole_characters(columns))
            types = [table.schema] if writer is None else [writer.schema, table.schema]
            schema = pyarrow.unify_schemas(types, promote_options="permissive")
            if writer is None:
                writer = parquet.ParquetWriter(path, schema)
            elif schema != writer.schema:  # nulls so far, or whole numbers
                writer.close()
                before = path.replace(path.with_name("before.parquet"))
                writer = parquet.ParquetWriter(path, schema)
                with parquet.ParquetFile(before) as file:
                    for part in file.iter_batches():
                        writer.write_table(pyarrow.Table.from_batches([part]).cast(schema))
            writer.write_table(table.cast(schema))
        except (pyarrow.ArrowException, OverflowError, RecursionError) as error:
            raise ValueError(
                f"a column has values of several types, or none of Parquet's, by row {number + len(batch)} "
                f"({error}): write .jsonl, where they may differ"
            ) from error
        number += len(batch)
    if writer is None:
        empty = [pyarrow.nulls(0)] * len(columns)
        parquet.write_table(pyarrow.table(empty, names=in_whole_characters([*columns])), path)
    else:
        writer.close()
    return number


def _arrow_array(values: list[Any]) -> Any:
    """An Arrow array; halves of characters, which are seldom there, are escaped."""
    import pyarrow

    try:
        return pyarrow.array(values)
    except UnicodeEncodeError:
        return pyarrow.array(in_whole_characters(values))


def in_whole_characters(value: Any) -> Any:
    """A value with halves of characters, which JSON can hold and Arrow cannot, escaped as in text files."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [in_whole_characters(member) for member in value]
    if isinstance(value, dict):
        return {in_whole_characters(name): in_whole_characters(member) for name, member in value.items()}
    return value


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
