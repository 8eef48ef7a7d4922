"""The input in chunks for workers, the same chunks each time, from any of them on.

Where a chunk ends depends on where it begins alone, so a reading that was interrupted goes on with the chunks
that it would have given.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torchmoji.corpus_records import BLOCK_KINDS, BadLines, Columns, Record, block_records, records
from torchmoji.corpus_sources import Source, open_stream

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
