"""The rows of a job's files, numbered through; which of them each part has, and how a part is made."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from pyarrow.parquet import ParquetWriter

from torchmoji.batch.encoder import BatchEncoder, to_arrow
from torchmoji.files.places import Place
from torchmoji.files.tables import (
    DEFAULT_COLUMN,
    DELIMITED,
    READABLE,
    Row,
    as_json,
    ending,
    in_whole_characters,
    open_table,
    unused_name,
)
from torchmoji.weights.folder import find

_ROWS_AT_ONCE = 8192
_NEXT = "name the texts' as column="
_MIXED = "mixed"  # in the place of a type: the values have several, and are written as texts


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


def _tables(place: Place) -> list[Place]:
    """The files of an input, in order; of folders and globs those with endings of tables."""
    found = place.files(".", "_")
    found = sorted((file for file in found if file is place or ending(file.path) in READABLE), key=str)
    if not found:
        raise FileNotFoundError(f"there is no file of texts at {place}: known are {', '.join(READABLE)}")
    return found


def records(path: str, column: str, encoding: str | None) -> Generator[Record, None, None]:
    """The rows of a file; what cannot be read is an error in its place.

    Raises ValueError where there is no such column, or the file is not what its ending says.
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
                row = {in_whole_characters(key): value for key, value in row.items()}
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
        is_text, is_json = table.kind in DELIMITED, table.kind in (".json", ".jsonl")
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
        kind = pyarrow.array(in_whole_characters(values)).type
        return _MIXED if "struct<>" in str(kind) else kind  # which Parquet does not know
    except (pyarrow.ArrowException, OverflowError, RecursionError, TypeError, ValueError):
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
    """A column of the input of a type that `scan` found; ValueError where Arrow cannot hold it."""
    if kind == _MIXED:
        values = [value if value is None or isinstance(value, str) else as_json(value) for value in values]
    if kind in (_MIXED, pyarrow.null()):
        kind = pyarrow.string()
    try:
        return pyarrow.array(in_whole_characters(values), type=kind)
    except (pyarrow.ArrowException, OverflowError, TypeError) as error:
        raise ValueError(
            f"the column {name!r} cannot be written as {kind} ({error}): leave it out"
        ) from error


class Rows:
    """The rows of several files by number; going on from the last ones is quick, going back is not."""

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


Entry = dict[str, Any]
"""What the manifest says of a part: `name`, `rows`, `errors`, the sum of its `keys`, `bytes`, `sha256`."""
Tick = Callable[[int], object]
"""Gets a number of rows that were done."""

KEY = "row"
"""The column of a row's number in all of the input, from 0 on."""
ROWS_OF_A_PART = 50_000
_NO_RESULT = ("threads", "batch_size", "device", "strict")
"""Settings that do not change what a part holds, and may be others when a job goes on."""


class PartWriter:
    """Makes the parts of a job: `writer(number)`. Small to pickle; each process reads the input for itself.

    `types` are those of the input's columns, `parts` is how many there are to be, `encoding` that of text
    files; `known` are parts of an earlier run, by name.
    """

    def __init__(
        self,
        encoder: BatchEncoder,
        sources: list[Source],
        types: dict[str, Any],
        parts: int,
        folder: str,
        encoding: str | None,
    ) -> None:
        self.encoder, self.types, self.parts, self.folder = encoder, types, parts, folder
        self.rows = sum(source.rows for source in sources)
        self.known: dict[str, Entry] = {}
        self.encoding = encoding
        self._sources, self._input = sources, Rows(sources, encoder.column, encoding)

    @classmethod
    def plan(
        cls,
        given: Sequence[Place],
        folder: Place,
        encoder: BatchEncoder,
        encoding: str | None,
        shards: int | None,
        rows_per_part: int | None,
    ) -> "PartWriter":
        """Read the input once, for its rows and columns, and divide it."""
        sources, types, rows = list[Source](), dict[str, Any](), 0
        for file in (file for place in given for file in _tables(place)):
            if str(file) in (source.path for source in sources):
                raise ValueError(f"{file} is named twice, so that its rows would be there twice")
            about = file.about()
            found, kinds = scan(str(file), encoder.column, encoding)
            types |= {name: common_type(types.get(name, kind), kind) for name, kind in kinds.items()}
            sources.append(Source(str(file), rows, found, about))
            rows += found
        parts = shards or max(1, -(-rows // (rows_per_part or ROWS_OF_A_PART)))
        return cls(encoder, sources, types, parts, str(folder), encoding)

    def about(self) -> dict[str, Any]:
        """What the parts are made from."""
        settings = {name: value for name, value in asdict(self.encoder).items() if name not in _NO_RESULT}
        model = Place(find(self.encoder.model, self.encoder.vocabulary).weights).sha256()
        words = self.encoder.vocabulary and Place(self.encoder.vocabulary).sha256()
        files = [[source.path, source.rows, *source.about] for source in self._sources]
        settings |= {"model": model, "vocabulary": words, "encoding": self.encoding}
        return settings | {"input": files, "shards": self.parts}

    def name(self, part: int) -> str:
        """The file of a part."""
        return f"part-{part:05}-of-{self.parts:05}.parquet"

    def __call__(self, part: int, tick: Tick = lambda rows: None) -> Entry:
        """Make a part, or find that it is whole; return its entry, which says whether it was `skipped`."""
        start, stop = (self.rows * number // self.parts for number in (part, part + 1))
        file = Place(self.folder) / self.name(part)
        entry = self.known.get(self.name(part), {})
        is_good = not (self.encoder.strict and entry.get("errors"))
        if entry and is_good and entry["sha256"] == file.sha256():
            tick(stop - start)
            return entry | {"skipped": True}
        entry = {"name": self.name(part), "rows": 0, "errors": 0, "keys": 0}
        entry["bytes"], entry["sha256"] = file.write(partial(self._make, start, stop, entry, tick))
        return entry | {"skipped": False}

    def _make(self, start: int, stop: int, entry: Entry, tick: Tick, temporary: Path) -> None:
        with ExitStack() as stack:
            writer = None
            for at in range(start, max(stop, start + 1), _ROWS_AT_ONCE):
                table = self._table(at, min(at + _ROWS_AT_ONCE, stop))
                if writer is None:
                    texts = [field.name for field in table.schema if str(field.type) == "string"]
                    options = {"compression": "zstd", "use_dictionary": texts}  # encodings have no repeats
                    writer = stack.enter_context(ParquetWriter(temporary, table.schema, **options))
                writer.write_table(table)
                entry["rows"] += len(table)
                entry["errors"] += len(table) - table.column(table.num_columns - 1).null_count
                entry["keys"] += int(table.column(0).to_numpy().sum(dtype=np.int64))
                tick(len(table))

    def _table(self, start: int, stop: int) -> Any:
        """Rows with their results: the key, the columns of the input, and those of the encoder."""
        records = list(self._input.between(start, stop))
        if len(records) != stop - start:
            raise ValueError(f"the input has changed: {stop - start - len(records)} rows fewer; begin anew")
        columns = {unused_name(KEY, self.types): pyarrow.array(range(start, stop), pyarrow.int64())}
        for name, kind in self.types.items():
            columns[name] = arrow_column([record.row.get(name) for record in records], name, kind)
        results = replace(self.encoder, strict=False).results([record.value for record in records], columns)
        errors = list(results.values())[-1]
        if self.encoder.strict and errors.any():
            number = int(np.argmax(errors != None))  # noqa: E711  of each
            raise ValueError(
                f"{records[number].place} {errors[number]}; if not strict, the row gets an error"
            )
        return pyarrow.table(columns | {name: _stored(to_arrow(column)) for name, column in results.items()})


def _stored(array: Any) -> Any:
    """A column as it is written: of lists of a fixed size pyarrow before 26 reads none where one is null."""
    if not pyarrow.types.is_fixed_size_list(array.type):
        return array
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    offsets = np.cumsum(np.append(0, np.where(is_null, 0, array.type.list_size)), dtype=np.int32)
    return pyarrow.ListArray.from_arrays(
        pyarrow.array(offsets, mask=np.append(is_null, False)), array.flatten()
    )
