"""Uploaded files, and the same rows with emojis in new columns: `emoji_1`, `probability_1`, `emoji_2`, ...

Each row keeps all that it has. A file of texts without columns comes back as CSV, a JSON array as JSON
lines. In CSV and TSV, cells that a spreadsheet would run as formulas get an apostrophe before them. A file
is read through before its first row is computed, so that what is wrong with it is said at once, not in the
middle of an answer.
"""

import codecs
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torchmoji.emojis import shown
from torchmoji.files.tables import (
    COMPRESSIONS,
    SAVE_AS_UTF_8,
    TEXT_FORMATS,
    as_json,
    compression,
    csv_line,
    ending,
    open_bytes,
    open_table,
    unused_name,
)
from torchmoji.runtime.machine import require
from torchmoji.server.settings import Settings

ADMITTED = (*TEXT_FORMATS, ".parquet")
Row = dict[str, Any]
Scores = list[dict[str, Any]]
"""Emojis of a text, as of `torchmoji.server.reading`."""

_ROWS_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 1 << 22
_STARTS = "=+-@\t\r＝＋－＠"
_HARMLESS = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?|@[^(|]*", re.DOTALL)
"""Numbers, and mentions: what begins with @ is a formula only if it calls something."""


class Upload:
    """A file of a user, read through and found to be right.

    The ending of `path` says what it holds; `name` is what its user calls it. `column` is that of the texts,
    by default the likely one, `columns` the names of all, in JSON those of the first row, of a file of texts
    "text", `names` those of the new ones for `top_k` emojis a row, which no row has, and `rows` how many
    there are. ValueError where the file cannot be read, or is larger than may be, says why and what to do;
    ModuleNotFoundError without pyarrow.
    """

    def __init__(
        self, path: Path, name: str, settings: Settings, column: str | None = None, top_k: int = 0
    ) -> None:
        self.path, self.name, self._column = path, name, column or None
        if ending(name) not in ADMITTED:
            packed = f"texts also with {', '.join(COMPRESSIONS)}"
            raise ValueError(f"cannot read {name!r:.80}: use {', '.join(ADMITTED)}, {packed}")
        self.rows = 0
        new = dict.fromkeys(f"{name}_{n}" for n in range(1, top_k + 1) for name in ("emoji", "probability"))
        self._open = partial(
            open_table,
            path,
            name=f"the file {name:.80}",
            largest=settings.max_unpacked,
            other_encoding=SAVE_AS_UTF_8,
        )
        with self._open() as table:
            self.columns, self.kind, self._delimiter = list(table.columns), table.kind, table.delimiter
            taken = set(self.columns)
            for line, text, row in table.numbered_texts(self._column, "choose one"):
                self.rows += 1
                if not table.has_header:  # rows of JSON may have further columns
                    taken.update(key for key in row if key.rstrip("_") in new)
                if len(text) > settings.max_characters:
                    raise ValueError(
                        f"{table.name}, line {line}, has a text of {len(text)} characters, more than "
                        f"{settings.max_characters}: shorten it"
                    )
                if self.rows > settings.max_rows:
                    raise ValueError(f"{table.name} has more than {settings.max_rows} rows: split it")
        if not self.columns:
            raise ValueError(f"the file {name} has no texts: give a file with some")
        self.names = [unused_name(name, taken) for name in new]
        self.is_json, self.is_parquet = self.kind in (".jsonl", ".json"), self.kind == ".parquet"

    @property
    def name_of_result(self) -> str:
        """`tweets.csv.gz` gives `tweets-emojis.csv`."""
        path = Path(self.name)
        stem = Path(path.stem if compression(path) else path.name).stem
        return f"{stem}-emojis{self.kind_of_result}"

    @property
    def kind_of_result(self) -> str:
        """Its ending."""
        return {".txt": ".csv", ".json": ".jsonl"}.get(self.kind, self.kind)

    def windows(self) -> Iterator[list[tuple[str, Row]]]:
        """Texts with their rows, some at a time, in flat memory."""
        window: list[tuple[str, Row]] = []
        size = 0
        with self._open() as table:
            for text, row in table.texts(self._column, "choose one"):
                window.append((text, row))
                size += len(as_json(row))
                if len(window) == _ROWS_AT_ONCE or size > _CHARACTERS_AT_ONCE:
                    yield window
                    window, size = [], 0
        yield window

    def writer(self) -> "Writer":
        """What makes the new file."""
        if self.is_parquet:
            return _ParquetWriter(self.path, self.names)
        has_mark = False
        if not self.is_json:
            with open_bytes(self.path) as file:  # Excel reads emojis only with a byte order mark
                has_mark = file.read(3) == codecs.BOM_UTF8
        return Writer(self, has_mark)


class Writer:
    """Makes the new file of rows with emojis, piece by piece.

    `has_mark` says that it begins with a byte order mark.
    """

    def __init__(self, upload: Upload, has_mark: bool) -> None:
        self._is_json, self._delimiter, self._names = upload.is_json, upload._delimiter, upload.names
        self._head = "\ufeff" if has_mark else ""
        if not self._is_json:
            self._head += self._line([*upload.columns, *upload.names])

    def piece(self, rows: Iterable[tuple[Row, Scores]]) -> bytes:
        """The bytes of rows."""
        lines, self._head = [self._head], ""
        for row, scores in rows:
            row = {**row, **_cells(self._names, scores)}
            lines.append(as_json(row) + "\n" if self._is_json else self._line(row.values()))
        # half a character in JSON goes back as it came, escaped
        return "".join(lines).encode("utf-8", "backslashreplace")

    def end(self) -> bytes:
        """What stands behind the rows."""
        return b""

    def _line(self, values: Iterable[Any]) -> str:
        return csv_line(map(defused, values), self._delimiter)


class _ParquetWriter(Writer):
    """The same for Parquet, whose columns keep their types."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._names = names
        pyarrow = require("pyarrow", "parquet", "Parquet")
        parquet = require("pyarrow.parquet", "parquet", "Parquet")
        schema = parquet.read_schema(path).remove_metadata()
        for name in names:
            kind = pyarrow.string() if name.startswith("emoji_") else pyarrow.float64()
            schema = schema.append(pyarrow.field(name, kind))
        self._table: Callable[..., Any] = pyarrow.Table.from_pylist
        self._schema, self._buffer = schema, io.BytesIO()
        self._writer = parquet.ParquetWriter(self._buffer, schema)

    def piece(self, rows: Iterable[tuple[Row, Scores]]) -> bytes:
        """See `Writer`."""
        table = self._table([{**row, **_cells(self._names, scores)} for row, scores in rows], self._schema)
        if len(table):
            self._writer.write_table(table)
        return self._written()

    def end(self) -> bytes:
        """See `Writer`."""
        self._writer.close()
        return self._written()

    def _written(self) -> bytes:
        written = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return written


def _cells(names: list[str], scores: Scores) -> Row:
    """The new cells of a row; of a text without words they are empty."""
    values = [value for score in scores for value in (shown(score["emoji"]), round(score["probability"], 6))]
    return dict(zip(names, [*values, *[None] * (len(names) - len(values))], strict=True))


def defused(value: Any) -> Any:
    """A cell with an apostrophe before what a spreadsheet would run as a formula."""
    is_formula = isinstance(value, str) and value[:1] and value[0] in _STARTS
    return f"'{value}" if is_formula and not _HARMLESS.fullmatch(value) else value


def make_private(folder: str | os.PathLike[str], name: str) -> Path:
    """A place for an upload in a private folder, whatever its user calls it: by its endings alone."""
    kind = ending(name) if ending(name) in ADMITTED else ".unknown"
    return Path(folder) / f"upload{kind}{compression(name) or ''}"
