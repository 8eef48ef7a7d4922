"""Finds the files that a corpus is made from, by name, folder, glob or URL, and reads their records.

Names with a scheme, such as s3://, are opened through fsspec. What is no record is an error or is counted.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from torchmoji.files.places import Place
from torchmoji.files.tables import COMPRESSIONS, READABLE, open_table

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_SURROGATES = re.compile("[\ud800-\udfff]")
_NEXT_STEP = (
    "name one with --text-column or --labels-column, or say --no-header where the first line is a record"
)


# --- files --------------------------------------------------------------------------------------------------


class Source(NamedTuple):
    """A file to read."""

    path: str
    size: int  # bytes

    @property
    def is_remote(self) -> bool:
        """Whether fsspec opens it."""
        return "://" in self.path

    @property
    def key(self) -> str:
        """The same for each spelling of its path."""
        place = Place(self.path)
        return os.path.realpath(place.path) if place.is_local else self.path

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name if self.is_remote else Path(self.path).name


def find_sources(inputs: Inputs) -> list[Source]:
    """The files that names stand for, in the order of the names, those of one name sorted by path.

    Names are files, folders, globs and URLs. Folders are searched for files that can be read; hidden ones are
    left out. A file is read once, however often and in whatever spelling it is named. Raises
    FileNotFoundError where a name stands for nothing, ValueError where there are no names.
    """
    names = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not names:
        raise ValueError("there are no inputs: name at least one file, folder or glob")
    sources: dict[str, Source] = {}
    for name in [os.fspath(name) for name in names]:
        of_name = Place(name).files(".")
        if not of_name:
            raise FileNotFoundError(
                f"{name} stands for no file: check the path; of a folder the files that end in "
                f"{', '.join(READABLE)} are read, also with {', '.join(COMPRESSIONS)} behind"
            )
        for file in sorted(of_name, key=lambda file: file.path if "://" in name else Path(file.path)):
            path = file.path
            if "://" in name:
                path = file.system.unstrip_protocol(path)
            elif not Path(name).expanduser().is_absolute():
                path = os.path.relpath(path)
            source = Source(path, int(file.system.size(file.path) or 0))
            sources.setdefault(source.key, source)
    return list(sources.values())


# --- records ------------------------------------------------------------------------------------------------


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
        ValueError: A column is not a number, as string or `int`, where there is no header.
    """

    text: str = "text"
    labels: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        for entry in ("text", "labels"):
            if isinstance(number := getattr(self, entry), int):
                object.__setattr__(self, entry, str(number))
        for name in self.names:
            if not self.header and not (name.isdecimal() and int(name) >= 1):
                raise ValueError(
                    f"without a header columns have numbers, from 1 on, got {name!r}: give the number"
                )

    @property
    def names(self) -> list[str]:
        """The text's column and, where there is one, that of the labels."""
        return [self.text] if self.labels is None else [self.text, self.labels]


class BadLines:
    """What happens with lines that are no records: if `skipped`, `count` goes up, else they are errors."""

    def __init__(self, skipped: bool) -> None:
        self.skipped, self.count = skipped, 0

    def report(self, path: str, line: int, reason: str) -> None:
        """Count a line, or raise `ValueError` with its number."""
        if not self.skipped:
            raise ValueError(f"{path}, line {line}, {reason}; or leave such lines out with --skip-bad-lines")
        self.count += 1


def read_records(
    source: Source, columns: Columns, bad: BadLines, encoding: str | None = None
) -> Iterator[Record]:
    """The records of a file; in TSV, as collections of texts have it, double quotes mean nothing.

    Raises ValueError where a line is no record and `bad` does not skip it, a column is missing, or the file
    is damaged; OSError where it cannot be read.
    """
    report = partial(bad.report, source.path)
    file = Place(source.path)
    with open_table(
        file.path,
        encoding=encoding,
        name=source.path,
        only=columns.names,
        header=columns.header,
        quotes=False,
        report=report,
        filesystem=file.system if source.is_remote else None,
    ) as table:
        labels = columns.labels
        if table.has_header and not table.columns:
            return  # an empty file
        if labels is not None and table.has_header:
            labels = table.column(labels, _NEXT_STEP)
        for line, text, row in table.numbered_texts(columns.text, _NEXT_STEP):
            if labels is None or labels in row:
                if not text.isascii():
                    text = _SURROGATES.sub("\ufffd", text)  # JSON can hold halves of characters as \ud83d
                yield Record(line, text, None if labels is None else row[labels])
            else:
                found = ", ".join(map(repr, row))
                report(line, f"has no {labels!r}, only {found:.200}: {_NEXT_STEP}")


def read_corpus_texts(path: str | os.PathLike[str], nb_classes: int) -> tuple[list[str], list[list[int]]]:
    """Read lines of comma-separated classes, tab, text from a `.tsv` file, which may be compressed.

    ValueError names a line that has no tab, or something else than classes before it.
    """
    (source,) = find_sources(path)
    texts, labels = [], []
    for line, text, classes in read_records(source, Columns("2", "1", header=False), BadLines(skipped=False)):
        try:
            labels.append([range(nb_classes).index(int(index)) for index in (classes or "").split(",")])
        except ValueError as error:
            raise ValueError(
                f"{source.path}, line {line}: expected classes from 0 to {nb_classes - 1}, separated by "
                f"commas, before a tab and a text, got {str(classes)[:60]!r}"
            ) from error
        texts.append(text)
    return texts, labels
