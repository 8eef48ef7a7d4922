"""The files that a corpus is made from: found by name, folder, glob or URL, and opened as streams.

Names with a scheme, such as s3://, are opened through fsspec. pyarrow, which is the extra `corpus`, reads
zstd and tables.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

KINDS = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".orc": "orc",
}
"""Ending -> kind of file. A file of another ending is read as text when it is named itself."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_GLOB = "*?["


def import_pyarrow() -> Any:
    """The package pyarrow.

    Raises:
        ModuleNotFoundError: It is missing.
    """
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'corpora need pyarrow, which is not installed: pip install "torchmoji[corpus]"', name="pyarrow"
        ) from error
    return pyarrow


class Source(NamedTuple):
    """A file to read."""

    path: str
    kind: str  # of `KINDS`
    compression: str | None  # of `COMPRESSIONS`
    size: int  # bytes

    @property
    def is_remote(self) -> bool:
        """Whether fsspec opens it."""
        return "://" in self.path

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name if self.is_remote else Path(self.path).name


def find_sources(inputs: Inputs) -> list[Source]:
    """The files that names stand for, in the order of the names, those of one name sorted by path.

    Args:
        inputs: Files, folders, globs and URLs. Folders are searched for files of `KINDS`; hidden ones are
            left out. A file is read once, however often it is named.

    Raises:
        FileNotFoundError: A name stands for nothing.
        ValueError: There are no names.
    """
    names = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not names:
        raise ValueError("there are no inputs: name at least one file, folder or glob")
    found: dict[str, Source] = {}
    for given in names:
        name = os.fspath(given)
        sources = _remote(name) if "://" in name else _local(Path(name).expanduser())
        if not sources:
            raise FileNotFoundError(
                f"{name} stands for no file: check the path; of a folder the files that end in "
                f"{', '.join(KINDS)} are read, also with {', '.join(COMPRESSIONS)} behind"
            )
        found |= {source.path: source for source in sources}
    return list(found.values())


def _kind(name: str) -> tuple[str | None, str | None]:
    """Kind and compression by the endings of a name; None where there is none that is known."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    ending = suffixes[-2:-1] if compression else suffixes[-1:]
    return KINDS.get("".join(ending)), compression


def _local(path: Path) -> list[Source]:
    if path.is_file():
        return [_local_file(path)]
    if path.is_dir():
        within, files = path, [file for file in path.rglob("*") if _kind(file.name)[0]]
    else:
        parts = path.parts
        first = next((number for number, part in enumerate(parts) if set(part) & set(_GLOB)), None)
        if first is None:
            return []
        within = Path(*parts[:first])
        files = list(within.glob(os.path.join(*parts[first:])))
    return [
        _local_file(file)
        for file in sorted(files)
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(within).parts)
    ]


def _local_file(path: Path) -> Source:
    kind, compression = _kind(path.name)
    return Source(str(path), kind or "text", compression, path.stat().st_size)


def _remote(url: str) -> list[Source]:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    if set(path) & set(_GLOB):
        paths: Iterable[str] = filesystem.glob(path)
    elif filesystem.isdir(path):
        paths = [name for name in filesystem.find(path) if _kind(name)[0]]
    else:
        paths = [path] if filesystem.exists(path) else []
    sources = []
    for name in sorted(map(str, paths)):
        kind, compression = _kind(name)
        full = filesystem.unstrip_protocol(name)
        sources.append(Source(full, kind or "text", compression, int(filesystem.size(name) or 0)))
    return sources


def open_stream(source: Source) -> Any:
    """Open a file as a stream of its bytes, uncompressed; it has `read`, and `seek` where uncompressed.

    Raises:
        OSError: It cannot be opened, or, when it is read, is damaged.
    """
    if source.is_remote:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(source.path)
        raw = filesystem.open(path, "rb")
    else:
        raw = open(source.path, "rb")  # noqa: SIM115  the caller closes what it becomes
    if source.compression is None:
        return raw
    pyarrow = import_pyarrow()
    stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), source.compression)
    return io.BufferedReader(_Uncompressed(stream, source.path))


class _Uncompressed(io.RawIOBase):
    """A stream that pyarrow uncompresses; errors name the file."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the beginning of it."""
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise OSError(f"{self._path} is damaged or cut off: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._stream.close()
        super().close()


# --- Records of a file: line number, text and labels. What is no record is an error, or is counted ---

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


# --- The input in chunks for workers, the same chunks each time, from any of them on ---

CHUNK_BYTES = 1 << 22
"""Of a chunk, and the most of a line. A few copies of a chunk, in parts, are what a worker holds."""

_RECORD_BYTES = 16
"""Added to each record's characters: empty ones take memory too."""
_SKIPPED_BYTES = 1 << 20


class Position(NamedTuple):
    """A place between two records of the input."""

    source: int = 0
    offset: int = 0  # bytes, uncompressed, where lines come in blocks, else records
    line: int = 1  # of what comes next


BEGINNING = Position()


class Part(NamedTuple):
    """Records of one file that follow each other."""

    source: Source
    is_held_out: bool
    line: int  # of the first
    data: bytes | list[Record]


class Chunk(NamedTuple):
    """What a worker gets at once."""

    number: int
    parts: list[Part]
    end: Position
    bad_lines: int  # left out by the reader


class Reader:
    """Reads files in chunks.

    Args:
        sources: The files.
        columns: Of tables.
        held_out: So many of the files, the first ones, are for validation.
        skip_bad_lines: Count what is no record; else it is an error.
        chunk_bytes: See `CHUNK_BYTES`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        columns: Columns,
        held_out: int = 0,
        skip_bad_lines: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.sources = sources
        self.held_out = held_out
        self.columns = columns
        self.skip_bad_lines = skip_bad_lines
        self.chunk_bytes = chunk_bytes

    def chunks(self, number: int = 0, start: Position = BEGINNING) -> Iterator[Chunk]:
        """Read from a chunk on.

        Args:
            number: Of the chunk.
            start: Where the chunk before it ended.

        Raises:
            ValueError: A file is damaged or lacks a column, or a line is no record; the message names both.
            OSError: A file cannot be read.
        """
        parts: list[Part] = []
        size = bad_lines = 0
        for index in range(start.source, len(self.sources)):
            place = start if index == start.source else Position(index)
            bad = BadLines(self.sources[index].path, self.skip_bad_lines)
            taker = self._open(place, bad)
            bad.count = 0  # those before the place belong to earlier chunks
            try:
                while (taken := taker.take(self.chunk_bytes - size)) is not None:
                    line, data = taken
                    if data:
                        parts.append(Part(self.sources[index], index < self.held_out, line, data))
                    size += taker.taken
                    bad_lines, bad.count = bad_lines + bad.count, 0
                    if size and (not taker.taken or size >= self.chunk_bytes):
                        yield Chunk(number, parts, taker.place, bad_lines)
                        number, parts, size, bad_lines = number + 1, [], 0, 0
                bad_lines += bad.count
            finally:
                taker.close()
        if parts or bad_lines:
            yield Chunk(number, parts, Position(len(self.sources)), bad_lines)

    def _open(self, place: Position, bad: BadLines) -> "_Lines | _Records":
        source = self.sources[place.source]
        if source.kind in BLOCK_KINDS:
            return _Lines(source, place, bad, self.chunk_bytes)
        return _Records(records(source, self.columns, bad), place)


def records_of(part: Part, columns: Columns, bad: BadLines) -> Iterator[Record]:
    """The records of a part."""
    if isinstance(part.data, list):
        return iter(part.data)
    return block_records(part.data, part.line, part.source.kind, columns, bad)


class _Lines:
    """Takes whole lines off a file.

    Attributes:
        taken: Bytes of the last part.
        place: Where the next part begins.
    """

    def __init__(self, source: Source, place: Position, bad: BadLines, longest: int) -> None:
        self.place, self.taken = place, 0
        self._bad, self._longest = bad, longest
        self._rest = b""  # read and not yet taken
        self._stream = open_stream(source)
        if source.compression is None:
            self._stream.seek(place.offset)
        else:
            left = place.offset
            while left:
                left -= len(self._read(min(left, _SKIPPED_BYTES)))

    def _read(self, count: int) -> bytes:
        """So many bytes, fewer at the end alone."""
        pieces: list[bytes] = []
        while count > 0 and (piece := self._stream.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def take(self, limit: int) -> tuple[int, bytes] | None:
        """A line's number, and lines from it on of up to `limit` bytes together; None at the end.

        Where the next line is longer there are none.
        """
        block = self._rest + self._read(limit - len(self._rest))
        if not block:
            return None
        self.taken = len(block) if len(block) < limit else block.rfind(b"\n", 0, limit) + 1
        self._rest, lines = block[self.taken :], block[: self.taken]
        line = self.place.line
        self._advance(self.taken, lines.count(b"\n"))
        if not lines and limit >= self._longest:
            self._bad.report(line, f"has more than {self._longest} bytes")
            self._drop_line()
        return line, lines

    def _advance(self, count: int, lines: int) -> None:
        source, offset, line = self.place
        self.place = Position(source, offset + count, line + lines)

    def _drop_line(self) -> None:
        while self._rest and b"\n" not in self._rest:
            self._advance(len(self._rest), 0)
            self._rest = self._read(_SKIPPED_BYTES)
        end = self._rest.find(b"\n") + 1
        self._rest = self._rest[end:]
        self._advance(end, 1)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class _Records:
    """Takes records off an iterator; the attributes are those of `_Lines`, in characters."""

    def __init__(self, found: Iterator[Record], place: Position) -> None:
        self.place, self.taken = place, 0
        self._found: Any = found
        for _ in range(place.offset):
            next(self._found)

    def take(self, limit: int) -> tuple[int, list[Record]] | None:
        """A line's number, and records from it on of about `limit` characters; None at the end."""
        taken: list[Record] = []
        self.taken = 0
        for record in self._found:
            taken.append(record)
            self.taken += len(record.text) + _RECORD_BYTES
            if self.taken >= limit:
                break
        if not taken:
            return None
        source, offset, _ = self.place
        self.place = Position(source, offset + len(taken), taken[-1].line + 1)
        return taken[0].line, taken

    def close(self) -> None:
        """Close the file."""
        self._found.close()
