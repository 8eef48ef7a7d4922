"""Rows of CSV, TSV, JSON lines and text files, with all that they have: for the page.

Each kind of file reads its rows, and writes them with new columns. Whatever is wrong with a file is a
ValueError that says what to do.
"""

import codecs
import csv
import gzip
import json
import os
import reprlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol

from torchmoji.files.tables import DEFAULT_COLUMN, delimiter_of, ending, open_packed

READABLE = (".csv", ".tsv", ".txt", ".jsonl")
"""Endings, each also with `.gz`."""
LONGEST_LINE = 1 << 20
"""Characters of a line, at most: a file without line breaks must not fill the memory."""
LARGEST = 1 << 29
"""Characters of a file after unpacking, at most."""

_USUAL_COLUMNS = (DEFAULT_COLUMN, "tweet", "message", "comment", "sentence", "review", "content")


class Rows(Protocol):
    """A file that is open for reading, and how its rows are written."""

    columns: list[str]

    def __iter__(self) -> "Iterator[tuple[str, Any]]":
        """Each row's text, and the row."""

    def write_head(self, out: IO[str], added: Sequence[str]) -> None:
        """Write what comes before the rows."""

    def write(self, out: IO[str], row: Any, added: dict[str, Any]) -> None:
        """Write a row with its new columns."""


class _Delimited:
    """CSV and TSV. Rows are lists of cells, as long as the header."""

    def __init__(self, lines: Iterator[str], kind: str, column: str | None) -> None:
        first = next(lines)
        self._delimiter = "\t" if kind == ".tsv" else delimiter_of(first)
        self._reader = csv.reader(chain([first], lines), delimiter=self._delimiter)
        self.columns = self._next() or []
        if not self.columns:
            raise ValueError("the first line is empty, but must name the columns")
        self._place = _place(column, self.columns)

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise ValueError(f"line {self._reader.line_num} cannot be read: {error}") from error

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        while (cells := self._next()) is not None:
            if not cells:
                continue  # a blank line, as in csv.DictReader
            if len(cells) > len(self.columns):
                raise ValueError(
                    f"line {self._reader.line_num} has {len(cells)} cells, but the header has "
                    f"{len(self.columns)}: put cells that contain {self._delimiter!r} in double quotes"
                )
            cells += [""] * (len(self.columns) - len(cells))
            yield cells[self._place], cells

    def write_head(self, out: IO[str], added: Sequence[str]) -> None:
        self._writer = csv.writer(out, delimiter=self._delimiter, lineterminator="\n")
        self._writer.writerow([*self.columns, *added])

    def write(self, out: IO[str], row: list[str], added: dict[str, Any]) -> None:
        self._writer.writerow([*row, *added.values()])


class _JsonLines:
    """An object a line, or a string, which becomes an object. Columns are those of the first line."""

    def __init__(self, lines: Iterator[str], column: str | None) -> None:
        first = next(lines)
        self._lines = chain([first], lines)
        self.columns = list(_row_of_json(first, 1))
        self._name = self.columns[_place(column, self.columns)]

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        name = self._name
        for number, line in enumerate(self._lines, start=1):
            if not line.strip():
                continue
            row = _row_of_json(line, number)
            if name not in row:
                raise ValueError(
                    f"line {number} has no {name!r}, only {', '.join(map(repr, row)) or 'nothing'}"
                )
            text = row[name]
            if text is not None and not isinstance(text, str):
                raise ValueError(f"line {number}: {name!r} must be a text, got {reprlib.repr(text)}")
            yield text or "", row

    def write_head(self, out: IO[str], added: Sequence[str]) -> None:
        pass

    def write(self, out: IO[str], row: dict[str, Any], added: dict[str, Any]) -> None:
        out.write(json.dumps(row | added, ensure_ascii=False) + "\n")


def _row_of_json(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} is not JSON: {error}") from error
    if isinstance(value, str):
        return {DEFAULT_COLUMN: value}
    if not isinstance(value, dict):
        raise ValueError(f"line {number} must be an object or a text, got {reprlib.repr(value)}")
    return value


class _Lines:
    """A text a line; they come back as CSV."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.columns: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for line in self._lines:
            text = line.rstrip("\r\n")
            yield text, text

    def write_head(self, out: IO[str], added: Sequence[str]) -> None:
        self._writer = csv.writer(out, lineterminator="\n")
        self._writer.writerow([DEFAULT_COLUMN, *added])

    def write(self, out: IO[str], row: str, added: dict[str, Any]) -> None:
        self._writer.writerow([row, *added.values()])


def rows_of(lines: Iterator[str], kind: str, column: str | None) -> Rows:
    """The rows of a file.

    Args:
        lines: Its lines, at least one.
        kind: Its ending, one of `READABLE`.
        column: The column of the texts; by default the likely one. A `.txt` file has none.

    Raises:
        ValueError: There is no such column, or the first line is no header and no JSON.
    """
    if kind in (".csv", ".tsv"):
        return _Delimited(lines, kind, column)
    return _JsonLines(lines, column) if kind == ".jsonl" else _Lines(lines)


def _place(column: str | None, columns: Sequence[str]) -> int:
    """Where the column of the texts is."""
    name = likely_column(columns) if column is None else column
    if name not in columns:
        known = ", ".join(map(repr, columns)) or "none"
        raise ValueError(f"there is no column {name!r}: use one of {known}")
    return columns.index(name)


def likely_column(columns: Sequence[str]) -> str | None:
    """The column that most likely has the texts: one with a usual name, or else the first."""
    by_name = {name.strip().lower(): name for name in reversed(columns)}
    found = next((by_name[name] for name in _USUAL_COLUMNS if name in by_name), None)
    return found or next(iter(columns), None)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Iterator[str]]:
    """The lines of a file; whatever is wrong with it becomes a ValueError."""
    if ending(path) not in READABLE:
        raise ValueError(f"cannot read {Path(path).name}: use {', '.join(READABLE)}, also with .gz")
    try:
        with open_packed(path, "rt", encoding="utf-8-sig", newline="") as file:
            lines = _lines(file)
            first = next(lines, "")
            if not first:
                raise ValueError("the file is empty")
            yield chain([first], lines)
    except FileNotFoundError as error:
        raise ValueError("the file is no longer there: upload it again") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the file is not UTF-8 ({error.reason} at byte {error.start}): "
            "save it as UTF-8, in Excel as 'CSV UTF-8', and try again"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"the file is not a whole gzip file: {error}") from error


def _lines(file: IO[str]) -> Iterator[str]:
    """Lines with their ends, within limits."""
    total = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), ""), start=1):
        total += len(line)
        if len(line) > LONGEST_LINE:
            raise ValueError(
                f"line {number} is longer than {LONGEST_LINE} characters: is this a file of texts?"
            )
        if total > LARGEST:
            raise ValueError(f"the file has more than {LARGEST} characters: split it")
        yield line


def encoding_of(path: str | os.PathLike[str]) -> str:
    """UTF-8 with a byte order mark where the file has one: Excel reads emojis only so."""
    with open_packed(path, "rb") as file:
        return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else "utf-8"
