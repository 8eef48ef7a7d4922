"""Files of results that are written row by row, and can be resumed after an interruption.

The unfinished `out.npy` is `out.npy.partial`, and `out.npy.partial.json` says how many rows of it are sound
and what they come from. At the end the file takes its name. Only the bytes in that count are trusted, so that
a process may be killed at any moment; and only where they have the SHA-256 that the note says.
"""

import csv
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from torchmoji.files.atomic import atomic_write_text, locked, naming_full_disk, read_json, sha256
from torchmoji.files.tables import DELIMITED, Row, delimiter_of, ending, header_line, npy_header, to_lines

T = TypeVar("T")

RESUMABLE = (".csv", ".tsv", ".jsonl", ".npy")
ROWS_AT_ONCE = 2048
"""Rows between two notes of how far the work is; those of a window, so that batches stay the same."""
_ANEW = "delete it to begin anew"


def fingerprint(path: str | os.PathLike[str], content: bool = False) -> list[Any]:
    """What tells a file from another one: its `content`, or size and time of the last change.

    The latter takes no longer for a large file.
    """
    if content:
        return [sha256(path)]
    about = os.stat(path)
    return [about.st_size, about.st_mtime_ns]


def _beside(path: str | os.PathLike[str], suffix: str) -> Path:
    return Path(path).with_name(f"{Path(path).name}.partial{suffix}")


def can_be_resumed(path: str | os.PathLike[str]) -> bool:
    """Whether there is an unfinished file that `PartialFile` can continue to `path`."""
    return _beside(path, "").is_file() and _beside(path, ".json").is_file()


class PartialFile:
    """A file that is being written. A context manager; the file has its name when the block ends well.

    `path` has one of the endings `RESUMABLE`. `columns` and `dtype` are those of an `.npy` file's rows;
    `about` is what they are made from, as JSON can hold it. With `resume` the unfinished file is continued,
    where there is one: `done` rows are in it already. Raises ValueError where the ending is another, or the
    unfinished file is damaged or made from something else, and BlockingIOError where another process writes
    this file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: int,
        about: Mapping[str, Any],
        resume: bool,
        dtype: str = "<f4",
    ) -> None:
        self._target, self._kind = Path(path), ending(path)
        if self._kind not in RESUMABLE:
            raise ValueError(
                f"cannot go on with half of {os.fspath(path)}: --resume takes files with one of the endings "
                f"{', '.join(RESUMABLE)}"
            )
        self._columns, self._dtype, self._resume = columns, dtype, resume
        self._about = json.loads(json.dumps(dict(about)))
        self._data, self._note, self._lock = (_beside(path, suffix) for suffix in ("", ".json", ".lock"))
        self._header: list[str] | None = None
        self._digest = hashlib.sha256()  # of what is in the file
        self.done = 0

    def __enter__(self) -> "PartialFile":
        self._target.parent.mkdir(parents=True, exist_ok=True)
        for path in (self._data, self._note):
            if path.is_symlink():
                raise ValueError(f"{path} is a link, and what it leads to would be overwritten: {_ANEW}")
        with ExitStack() as stack:
            stack.enter_context(locked(self._lock, f"another process writes {self._target}: wait for it"))
            size = self._sound_bytes()
            self._file: IO[bytes] = open(self._data, "r+b" if size else "wb")
            stack.callback(self._file.close)
            if size:
                self._file.truncate(size)
                self._file.seek(size)
            else:
                self._note.unlink(missing_ok=True)
                self._write_npy_header()
            self._stack = stack.pop_all()  # closes the file and lets go of the lock
        return self

    def _write_npy_header(self) -> None:
        if self._kind == ".npy":
            self._append(npy_header(self.done, self._columns, self._dtype))

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)

    def _sound_bytes(self) -> int:
        """Bytes of the unfinished file that are kept; sets `done`."""
        if not (self._resume and can_be_resumed(self._target)):
            return 0
        rows, size, checksum, about = self._read_note()
        differing = [name for name in self._about if about.get(name) != self._about[name]]
        if differing:
            raise ValueError(f"{self._data} was made from another {' and '.join(differing)}: {_ANEW}")
        if self._data.stat().st_size < size:
            raise ValueError(f"{self._data} is shorter than it was: {_ANEW}")
        left = size
        with open(self._data, "rb") as file:
            while block := file.read(min(left, 1 << 20)):
                self._digest.update(block)
                left -= len(block)
        if self._checksum(rows, size) != checksum:
            raise ValueError(f"{self._data} is not as it was written, or the number of its rows: {_ANEW}")
        if self._kind in DELIMITED:
            try:
                with open(self._data, encoding="utf-8", newline="") as table:
                    self._header = next(csv.reader(table, delimiter=delimiter_of(self._kind)))
            except (csv.Error, StopIteration, UnicodeDecodeError) as error:
                raise ValueError(f"{self._data} has no row of names: {_ANEW}") from error
        self.done = rows
        return size

    def _checksum(self, rows: int, size: int) -> str:
        """Of the bytes that were written, and of how many they are."""
        digest = self._digest.copy()
        digest.update(f"{rows} {size}".encode())
        return digest.hexdigest()

    def _read_note(self) -> tuple[int, int, str, dict[str, Any]]:
        """Rows, bytes, their checksum and what they are made from."""
        try:
            note = read_json(self._note)
            rows, size, checksum, about = (note[name] for name in ("rows", "bytes", "sha256", "about"))
        except (KeyError, TypeError, ValueError):
            rows = size = checksum = about = None
        numbers_fit = type(rows) is int and type(size) is int and 0 < rows <= sys.maxsize and size > 0
        if not (numbers_fit and isinstance(about, dict)):
            raise ValueError(f"{self._note} is damaged: delete it and {self._data.name} to begin anew")
        return rows, size, checksum, about

    def skip(self, texts: Iterable[T]) -> Iterator[T]:
        """Leave out the texts whose rows are in the file; ValueError where there are fewer."""
        remaining = iter(texts)
        there = sum(1 for _ in islice(remaining, self.done))
        if there < self.done:
            raise ValueError(f"{self._data} has {self.done} rows, the input {there} texts: {_ANEW}")
        return remaining

    def write_arrays(self, rows: Iterable[np.ndarray[Any, Any]]) -> None:
        """Write rows (columns,) to an `.npy` file."""
        self._write(np.ascontiguousarray(row, dtype=self._dtype).tobytes() for row in rows)

    def write_rows(self, rows: Iterable[Row], columns: Sequence[str] = ()) -> None:
        """Write rows of a table; `columns` are those of one without rows."""
        lines = to_lines(rows, self._kind, self._header)
        self._write(line.encode("utf-8", "backslashreplace") for line in lines)
        if not self.done:
            self._append(header_line(columns, self._kind).encode("utf-8", "backslashreplace"))

    def _write(self, rows: Iterable[bytes]) -> None:
        with naming_full_disk(self._data):
            for row in rows:
                self._append(row)
                self.done += 1
                if self.done % ROWS_AT_ONCE == 0:
                    self._keep()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _keep(self) -> None:
        self._flush()
        size = self._file.tell()
        checksum = self._checksum(self.done, size)
        note = {"rows": self.done, "bytes": size, "sha256": checksum, "about": self._about}
        atomic_write_text(self._note, json.dumps(note) + "\n")

    def _finish(self) -> None:
        self._file.seek(0)
        self._write_npy_header()
        self._flush()
        self._file.close()
        if self._target.exists():  # who may read it is not ours to change
            shutil.copymode(self._target, self._data)
        self._data.replace(self._target)
        self._note.unlink(missing_ok=True)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._stack:
            try:
                if kind is None:
                    with naming_full_disk(self._data):
                        self._finish()
            finally:
                if self._data.exists() and not self._note.exists():  # nothing that could be continued
                    with suppress(OSError):  # of a full disk, which another error tells
                        self._file.close()
                    self._data.unlink(missing_ok=True)
                with suppress(OSError):  # Windows removes no open file
                    self._lock.unlink()  # while it is held: nobody else may have locked it
