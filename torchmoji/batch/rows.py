"""The rows of files, numbered through, and the Arrow types of their columns."""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from torchmoji.batch.places import Place
from torchmoji.files.tables import DEFAULT_COLUMN, Row, as_json, ending, open_table

_ROWS_AT_ONCE = 8192
_NEXT = "name the texts' as column="
_MIXED = "mixed"
"""In the place of a type: the values have several, and are written as texts."""


class Record(NamedTuple):
    """A row, its text or what stands in its place (an error where there is none), and where it is."""

    row: Row
    value: Any
    place: str


class Source(NamedTuple):
    """A file of the input, the number of its first row in all of it, its rows, and what identifies it."""

    path: str
    start: int
    rows: int
    about: list[Any]


def records(path: str, column: str, encoding: str | None) -> Generator[Record, None, None]:
    """The rows of a file; what cannot be read is an error in its place.

    Raises:
        ValueError: There is no such column, or the file is not what its ending says.
    """
    file, unread = Place(path), list[Record]()

    def report(line: int, reason: str) -> None:
        unread.append(Record({}, ValueError(reason), f"{path}, line {line},"))

    with open_table(file.path, name=path, encoding=encoding, filesystem=file.system, report=report) as table:
        name = table.column(column, _NEXT) if table.has_header else column
        if not table.has_header and table.kind not in (".json", ".jsonl"):
            name = DEFAULT_COLUMN
        for line, row in table:
            yield from unread
            unread.clear()
            if not all(map(str.isascii, row)):
                row = {_clean(key): value for key, value in row.items()}
            yield Record(
                row, row.get(name, ValueError(f"has no column {name!r:.80}")), f"{path}, line {line},"
            )
        yield from unread


def scan(path: str, column: str, encoding: str | None) -> tuple[int, dict[str, Any]]:
    """How many rows a file has, and the types of its columns."""
    file, rows, types = Place(path), 0, dict[str, Any]()
    with open_table(file.path, name=path, encoding=encoding, filesystem=file.system) as table:
        if table.has_header:
            table.column(column, _NEXT)
        is_text, is_json = table.kind in (".csv", ".tsv"), table.kind in (".json", ".jsonl")
        if is_text:
            types = dict.fromkeys(table.columns, pyarrow.string())
    if ending(path) == ".parquet":
        with pyarrow.parquet.ParquetFile(file.path, filesystem=file.system) as parquet:
            return parquet.metadata.num_rows, {field.name: field.type for field in parquet.schema_arrow}
    with closing(records(path, column, encoding)) as remaining:
        while chunk := list(islice(remaining, _ROWS_AT_ONCE)):
            rows += len(chunk)
            if not is_text:
                for name in dict.fromkeys(name for record in chunk for name in record.row):
                    kind = _type_of([record.row.get(name) for record in chunk])
                    types[name] = common_type(types.get(name, kind), kind)
    if is_json and rows and column not in types:
        names = ", ".join(map(repr, types)) or "none"
        raise ValueError(f"{path} has no column {column!r:.80}, only {names:.200}: {_NEXT}")
    return rows, types


def _type_of(values: list[Any]) -> Any:
    try:
        kind = pyarrow.array(_clean(values)).type
        return _MIXED if "struct<>" in str(kind) else kind  # which Parquet does not know
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
        return _MIXED


def common_type(one: Any, other: Any) -> Any:
    """A type for the values of both."""
    if _MIXED in (one, other):
        return _MIXED
    schemas = [pyarrow.schema([("", kind)]) for kind in (one, other)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pyarrow.ArrowException:
        return _MIXED


def arrow_column(values: list[Any], name: str, kind: Any) -> Any:
    """A column of the input of a type that `scan` found.

    Raises:
        ValueError: Arrow cannot hold it.
    """
    if kind == _MIXED:
        values = [value if value is None or isinstance(value, str) else as_json(value) for value in values]
    if kind in (_MIXED, pyarrow.null()):
        kind = pyarrow.string()
    try:
        return pyarrow.array(_clean(values), type=kind)
    except (pyarrow.ArrowException, OverflowError, TypeError) as error:
        raise ValueError(
            f"the column {name!r} cannot be written as {kind} ({error}): leave it out"
        ) from error


def _clean(value: Any) -> Any:
    """A value without halves of characters, which JSON can hold and Arrow cannot."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_clean(member) for member in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(member) for name, member in value.items()}
    return value


class Rows:
    """The rows of several files by their numbers; going on from the last ones is quick, going back is not.

    Args:
        sources: The files.
        column: Of the texts.
        encoding: Of text files.
    """

    def __init__(self, sources: list[Source], column: str, encoding: str | None) -> None:
        self._sources, self._column, self._encoding = sources, column, encoding
        self._path, self._at = "", 0
        self._rest: Iterator[Record] = iter(())

    def between(self, start: int, stop: int) -> Iterator[Record]:
        """Those with numbers from `start` to `stop`, which is left out."""
        for path, before, rows, _ in self._sources:
            first, last = max(start - before, 0), min(stop - before, rows)
            if first < last:
                if path != self._path or self._at > first:
                    self._path, self._at = path, 0
                    self._rest = records(path, self._column, self._encoding)
                skipped, self._at = first - self._at, last
                yield from islice(self._rest, skipped, skipped + last - first)

    def __reduce__(self) -> Any:
        return Rows, (self._sources, self._column, self._encoding)
