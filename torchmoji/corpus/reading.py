"""Reads the records of files: texts, their labels, and what is no record, which is an error or is counted."""

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from torchmoji.corpus.sources import Source, import_pyarrow, open_stream, remote_file
from torchmoji.files.tables import array_rows

LONGEST_LINE = 1 << 22
"""Bytes of a line of text or JSON; a longer one is bad."""

_BATCH_ROWS = 4096
_BOM = b"\xef\xbb\xbf"
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


class Record(NamedTuple):
    """A text."""

    line: int  # from 1 on; of tables the number of the row
    text: str
    labels: Any = None  # as they stand in the file


@dataclass(frozen=True)
class Columns:
    """Where texts and labels stand in a table.

    Attributes:
        text: Name of the texts' column; where CSV and TSV files have no header, its number from 1 on.
        labels: The same of the labels' column; None where emojis in the texts are the labels.
        header: The first line of CSV and TSV files names the columns.

    Raises:
        ValueError: A column is not a number where there is no header.
    """

    text: str = "text"
    labels: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        for name in self.names:
            if not self.header and not (name.isdecimal() and int(name) >= 1):
                raise ValueError(
                    f"without a header columns have numbers, from 1 on, got {name!r}: give the number"
                )

    @property
    def names(self) -> list[str]:
        """The text's column and, where there is one, that of the labels."""
        return [self.text] if self.labels is None else [self.text, self.labels]

    def places(self, header: Sequence[str], path: str) -> list[int]:
        """The places of the columns in a header, from 0 on.

        Raises:
            ValueError: There is no such column; the message names the file.
        """
        for name in self.names:
            if name not in header:
                raise ValueError(
                    f"{path} has no column {name!r}, only {', '.join(map(repr, header)) or 'none'}: name one "
                    "with --text-column or --labels-column, or say --no-header where the first line is a "
                    "record"
                )
        return [header.index(name) for name in self.names]


class BadLines:
    """What happens with lines that are no records.

    Args:
        skipped: They are counted, else they are errors.

    Attributes:
        count: How many there were.
    """

    def __init__(self, skipped: bool) -> None:
        self.skipped, self.count = skipped, 0

    def report(self, path: str, line: int, reason: str) -> None:
        """Count a line, or raise `ValueError` with its number."""
        if not self.skipped:
            raise ValueError(
                f"{path}, line {line}, {reason}: mend it, or leave such lines out with --skip-bad-lines"
            )
        self.count += 1


def read_records(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    """The records of a file.

    Raises:
        ValueError: A line is no record and `bad` does not skip it, a column is missing, or the file is
            damaged.
        OSError: The file cannot be read, or its compressed data is damaged.
    """
    read = {"text": _lines, "jsonl": _lines, "csv": _delimited, "tsv": _delimited}.get(source.kind, _table)
    return read(source, columns, bad)


# --- Text and JSON lines ---


def _lines(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    is_json, line = source.kind == "jsonl", 0
    with open_stream(source) as stream:
        while raw := stream.readline(LONGEST_LINE):
            line += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                bad.report(source.path, line, f"has more than {LONGEST_LINE} bytes")
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(LONGEST_LINE)
                continue
            if line == 1:
                raw = raw.removeprefix(_BOM)
                if source.is_json and raw.lstrip().startswith(b"["):
                    yield from _array(source, chain([raw], stream), columns, bad)
                    return
            try:
                text = raw.removesuffix(b"\n").decode("utf-8")
                record = _json_record(line, text, columns) if is_json else Record(line, text.rstrip("\r"))
            except UnicodeDecodeError as error:
                bad.report(source.path, line, f"is not UTF-8 ({error.reason})")
            except ValueError as error:
                bad.report(source.path, line, str(error))
            else:
                if record is not None:
                    yield record


def _array(source: Source, lines: Iterable[bytes], columns: Columns, bad: BadLines) -> Iterator[Record]:
    """The records of a file that is one JSON array."""

    def decoded() -> Iterator[str]:
        for number, raw in enumerate(lines, start=1):
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{source.path}, line {number}, is not UTF-8 ({error.reason}): convert it first"
                ) from error

    for line, row in array_rows(decoded(), source.path):
        try:
            yield _record_of(line, row, columns)
        except ValueError as error:
            bad.report(source.path, line, str(error))


def _json_record(line: int, text: str, columns: Columns) -> Record | None:
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    return _record_of(line, value, columns)


def _record_of(line: int, value: Any, columns: Columns) -> Record:
    if isinstance(value, str) and columns.labels is None:
        return Record(line, _without_surrogates(value))
    if not isinstance(value, dict):
        raise ValueError(f"is neither an object nor a text: {value!r:.60}")
    for name in columns.names:
        if name not in value:
            raise ValueError(f"has no {name!r}, only {', '.join(map(repr, value)) or 'nothing'}")
    body = value[columns.text]
    if body is not None and not isinstance(body, str):
        raise ValueError(f"has no text as {columns.text!r}, but {body!r:.60}")
    labels = None if columns.labels is None else value[columns.labels]
    return Record(line, _without_surrogates(body or ""), labels)


def _without_surrogates(text: str) -> str:
    r"""Replace halves of characters, which JSON can hold as `\ud83d` and UTF-8 cannot."""
    return text if text.isascii() else _LONE_SURROGATES.sub(_REPLACEMENT, text)


# --- CSV and TSV ---


def _delimited(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    line = 0
    try:
        with (
            open_stream(source) as stream,
            io.TextIOWrapper(stream, "utf-8-sig", "strict", newline="") as text,
        ):
            rows = _csv_rows(source, text, bad) if source.kind == "csv" else _tsv_rows(text, columns)
            first = next(rows, None)
            if first is None:
                return
            line, fields = first
            width = len(fields)
            header = fields if columns.header else [str(number + 1) for number in range(width)]
            places = columns.places(header, source.path)
            for line, fields in rows if columns.header else chain([first], rows):
                if len(fields) == width:
                    yield Record(line, *(fields[place] for place in places))
                else:
                    bad.report(source.path, line, f"has {len(fields)} fields, but the first line {width}")
    except UnicodeDecodeError as error:  # many lines are decoded at once
        raise ValueError(
            f"{source.path} is not UTF-8 after line {line} ({error.reason}): convert it first"
        ) from error


def _csv_rows(source: Source, text: Any, bad: BadLines) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields; a field in quotes may have line breaks."""
    reader = csv.reader(text)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad.report(source.path, line, f"is not CSV ({error})")
            continue
        if fields:
            yield line, fields


def _tsv_rows(text: Any, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Fields between tabs; quotes mean nothing. Without a header further tabs belong to the last column."""
    splits = -1 if columns.header else max(map(int, columns.names)) - 1
    for line, row in enumerate(text, start=1):
        yield line, row.rstrip("\r\n").split("\t", splits)


# --- Parquet, Arrow and ORC ---


def _table(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    pyarrow, dataset = import_pyarrow(), import_pyarrow("pyarrow.dataset")
    filesystem, path = remote_file(source.path) if source.is_remote else (None, source.path)
    try:
        table = dataset.dataset(path, format=source.kind, filesystem=filesystem)
        columns.places(table.schema.names, source.path)
        scanner = table.scanner(
            columns=columns.names, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
        )
        line = 0
        for batch in scanner.to_batches():
            for text, *labels in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                if text is None or isinstance(text, str):
                    yield Record(line, text or "", *labels)
                else:
                    bad.report(source.path, line, f"has no text as {columns.text!r}, but {text!r:.60}")
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{source.path} is damaged or no {source.kind} file: {error}") from error


# --- Texts with numbers of classes, read whole ---


def read_corpus_texts(path: str | os.PathLike[str], nb_classes: int) -> tuple[list[str], list[list[int]]]:
    """Read lines of comma-separated classes, tab, text; gzip by the ending `.gz`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has no tab, or something else than classes before it; the message names the line.
    """
    texts, labels = [], []
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            classes, _, text = line.rstrip("\n").partition("\t")
            try:
                indices = [range(nb_classes).index(int(index)) for index in classes.split(",")]
            except ValueError as error:
                raise ValueError(
                    f"{os.fspath(path)}, line {number}: expected classes from 0 to {nb_classes - 1}, "
                    f"separated by commas, a tab and a text, got {line[:60]!r}"
                ) from error
            labels.append(indices)
            texts.append(text)
    return texts, labels
