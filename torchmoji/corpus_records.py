"""Records of a file: line number, text and labels. What is no record is an error, or is counted.

Lines of text and JSON are parsed by whoever gets them, a block of them at a time; CSV, TSV and tables, whose
records need what stands before them, give one record after the other.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torchmoji.corpus_sources import Source, import_pyarrow, open_stream

BLOCK_KINDS = ("text", "jsonl")
"""Kinds in which a line is a record, whatever the others are."""

_BATCH_ROWS = 4096
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

    def places(self, first: Sequence[str], path: str) -> list[int]:
        """The places of the columns, from 0 on.

        Args:
            first: The first line's fields.
            path: For the message.

        Raises:
            ValueError: There is no such column.
        """
        header = list(first) if self.header else [str(number + 1) for number in range(len(first))]
        return [_check_column(name, header, path) for name in self.names]


def _check_column(name: str, header: Sequence[str], path: str) -> int:
    if name not in header:
        raise ValueError(
            f"{path} has no column {name!r}, only {', '.join(map(repr, header)) or 'none'}: name one with "
            "--text-column or --labels-column, or say --no-header where the first line is a record"
        )
    return list(header).index(name)


class BadLines:
    """What happens with lines that are no records.

    Args:
        path: Of the file.
        skipped: They are counted, else they are errors.

    Attributes:
        count: How many there were.
    """

    def __init__(self, path: str, skipped: bool) -> None:
        self.path, self.skipped, self.count = path, skipped, 0

    def report(self, line: int, reason: str) -> None:
        """Count a line, or raise `ValueError` with its number."""
        if not self.skipped:
            raise ValueError(
                f"{self.path}, line {line}, {reason}: mend it, or leave such lines out with --skip-bad-lines"
            )
        self.count += 1


def block_records(block: bytes, line: int, kind: str, columns: Columns, bad: BadLines) -> Iterator[Record]:
    """The records of whole lines of text or JSON.

    Args:
        block: The lines.
        line: Number of the first.
        kind: One of `BLOCK_KINDS`.
        columns: Names of the JSON objects' members.
        bad: Gets what is no record.
    """
    parse = _text_line if kind == "text" else _json_line
    if line == 1:
        block = block.removeprefix(b"\xef\xbb\xbf")
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, raw in enumerate(lines, start=line):
        try:
            record = parse(number, raw, columns)
        except ValueError as error:
            reason = f"is not UTF-8 ({error.reason})" if isinstance(error, UnicodeDecodeError) else str(error)
            bad.report(number, reason)
            continue
        if record is not None:
            yield record


def _text_line(number: int, raw: bytes, columns: Columns) -> Record:
    return Record(number, raw.rstrip(b"\r").decode("utf-8"))


def _json_line(number: int, raw: bytes, columns: Columns) -> Record | None:
    text = raw.decode("utf-8")
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if isinstance(value, str) and columns.labels is None:
        return Record(number, without_surrogates(value))
    if not isinstance(value, dict):
        raise ValueError(f"is neither an object nor a text: {text:.60}")
    for name in columns.names:
        if name not in value:
            raise ValueError(f"has no {name!r}, only {', '.join(map(repr, value)) or 'nothing'}")
    found = value[columns.text]
    if found is not None and not isinstance(found, str):
        raise ValueError(f"has no text as {columns.text!r}, but {found!r:.60}")
    labels = None if columns.labels is None else value[columns.labels]
    return Record(number, without_surrogates(found or ""), labels)


def without_surrogates(text: str) -> str:
    r"""Replace halves of characters, which JSON can hold as `\ud83d` and UTF-8 cannot."""
    return text if text.isascii() else _LONE_SURROGATES.sub(_REPLACEMENT, text)


def records(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    """The records of a CSV or TSV file or of a table.

    Raises:
        ValueError: A column is missing, or the file is damaged or not UTF-8.
        OSError: The file cannot be read.
    """
    if source.kind in ("csv", "tsv"):
        return _delimited(source, columns, bad)
    return _table(source, columns, bad)


def _delimited(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    with open_stream(source) as stream, io.TextIOWrapper(stream, "utf-8-sig", "strict", newline="") as text:
        fields_of = _csv(text, bad) if source.kind == "csv" else _tsv(text, columns)
        places: list[int] = []
        width = line = 0
        try:
            for line, fields in fields_of:
                if not places:
                    places, width = columns.places(fields, source.path), len(fields)
                    if columns.header:
                        continue
                if len(fields) != width:
                    bad.report(line, f"has {len(fields)} fields, but the first line {width}")
                    continue
                labels = fields[places[1]] if len(places) > 1 else None
                yield Record(line, fields[places[0]], labels)
        except UnicodeDecodeError as error:  # many lines are decoded at once
            raise ValueError(
                f"{source.path} is not UTF-8 after line {line} ({error.reason}): convert it first"
            ) from error


def _csv(text: Any, bad: BadLines) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad.report(line, f"is not CSV ({error})")
            continue
        if fields:
            yield line, fields


def _tsv(text: Any, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Fields between tabs; quotes mean nothing. Without a header further tabs belong to the last column."""
    splits = -1 if columns.header else max(map(int, columns.names)) - 1
    for line, row in enumerate(text, start=1):
        yield line, row.rstrip("\r\n").split("\t", splits)


def _table(source: Source, columns: Columns, bad: BadLines) -> Iterator[Record]:
    pyarrow = import_pyarrow()
    from pyarrow import dataset

    path, filesystem = source.path, None
    if source.is_remote:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(source.path)
    try:
        data = dataset.dataset(path, format=source.kind, filesystem=filesystem)
        for name in columns.names:
            _check_column(name, data.schema.names, source.path)
        scanner = data.scanner(
            columns=columns.names, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
        )
        line = 0
        for batch in scanner.to_batches():
            texts = batch.column(0).to_pylist()
            labels = batch.column(1).to_pylist() if columns.labels is not None else [None] * len(texts)
            for text, label in zip(texts, labels, strict=True):
                line += 1
                if text is not None and not isinstance(text, str):
                    bad.report(line, f"has no text as {columns.text!r}, but {text!r:.60}")
                    continue
                yield Record(line, text or "", label)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{source.path} is damaged or no {source.kind} file: {error}") from error
