"""Files of results that are written row by row, and can be resumed after an interruption.

The unfinished `out.npy` is `out.npy.partial`, and `out.npy.partial.json` says how many rows of it are sound
and what they come from. At the end the file takes its name. Only the bytes in that count are trusted, so that
a process may be killed at any moment.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from torchmoji.files.atomic import atomic_write_text, sha256
from torchmoji.files.lock import locked
from torchmoji.files.tables import Row, ending, npy_header, to_lines

RESUMABLE = (".csv", ".tsv", ".jsonl", ".npy")
ROWS_AT_ONCE = 2048
"""Rows between two notes of how far the work is; those of a window, so that batches stay the same."""
_ANEW = "delete it to begin anew"


def fingerprint(path: str | os.PathLike[str], content: bool = False) -> list[Any]:
    """What tells a file from another one.

    Args:
        path: The file.
        content: By its bytes; otherwise by size and time of the last change, which any size of file allows.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if content:
        return [sha256(path)]
    about = os.stat(path)
    return [about.st_size, about.st_mtime_ns]


class PartialFile:
    """A file that is being written. A context manager; the file has its name when the block ends well.

    Args:
        path: The file, with one of the endings `RESUMABLE`.
        columns: Numbers in a row of an `.npy` file.
        about: What the rows are made from, as JSON can hold it.
        resume: Continue the unfinished file, where there is one.
        dtype: Of the numbers of an `.npy` file.

    Attributes:
        done: Rows that are in the file already.

    Raises:
        ValueError: The ending is another, or the unfinished file was made from something else.
        BlockingIOError: Another process writes this file.
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
        self._data = self._target.with_name(f"{self._target.name}.partial")
        self._note = self._target.with_name(f"{self._target.name}.partial.json")
        self._lock = self._target.with_name(f"{self._target.name}.partial.lock")
        self.done = 0

    def __enter__(self) -> "PartialFile":
        self._target.parent.mkdir(parents=True, exist_ok=True)
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
            self._file.write(npy_header(self.done, self._columns, self._dtype))

    def _sound_bytes(self) -> int:
        """Bytes of the unfinished file that are kept; sets `done`."""
        if not (self._resume and self._data.is_file() and self._note.is_file()):
            return 0
        note = json.loads(self._note.read_text(encoding="utf-8"))
        differing = [name for name in self._about if note["about"].get(name) != self._about[name]]
        if differing:
            raise ValueError(f"{self._data} was made from another {' and '.join(differing)}: {_ANEW}")
        if self._data.stat().st_size < note["bytes"]:
            raise ValueError(f"{self._data} is shorter than it was: {_ANEW}")
        self.done = int(note["rows"])
        return int(note["bytes"])

    def skip(self, texts: Iterable[str]) -> Iterator[str]:
        """Leave out the texts whose rows are in the file."""
        return islice(texts, self.done, None)

    def write_arrays(self, rows: Iterable[np.ndarray[Any, Any]]) -> None:
        """Write rows (columns,) to an `.npy` file."""
        self._write(np.ascontiguousarray(row, dtype=self._dtype).tobytes() for row in rows)

    def write_rows(self, rows: Iterable[Row]) -> None:
        """Write rows of a table."""
        lines = to_lines(rows, self._kind, has_header=self.done == 0)
        self._write(line.encode("utf-8") for line in lines)

    def _write(self, rows: Iterable[bytes]) -> None:
        for row in rows:
            self._file.write(row)
            self.done += 1
            if self.done % ROWS_AT_ONCE == 0:
                self._keep()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _keep(self) -> None:
        self._flush()
        note = {"rows": self.done, "bytes": self._file.tell(), "about": self._about}
        atomic_write_text(self._note, json.dumps(note) + "\n")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            with self._stack:
                if kind is None:
                    self._file.seek(0)
                    self._write_npy_header()
                    self._flush()
                    self._file.close()
                    self._data.replace(self._target)
                    self._note.unlink(missing_ok=True)
                elif not self._note.exists():  # nothing that could be continued
                    self._file.close()
                    self._data.unlink(missing_ok=True)
        finally:
            self._lock.unlink(missing_ok=True)
