"""Files of results that are written row by row, and can be gone on with after an interruption.

Half of `out.npy` is `out.npy.partial`, and `out.npy.partial.json` says how many rows of it are sound and
what they come from. At the end the file takes its name. Nothing but the bytes that are in that count is
trusted, so that a process may be killed at any moment.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from torchmoji.files.atomic import atomic_write_text, sha256
from torchmoji.files.tables import Row, ending, line_writer, npy_header

RESUMABLE = (".csv", ".tsv", ".jsonl", ".npy")
ROWS_AT_ONCE = 2048
"""Rows between two notes of how far the work is; those of a window, so that batches stay the same."""
_TELL_EVERY = 25
"""In windows of so many rows."""
_WINDOWS_TOGETHER = 8
"""Beside the CPU, where large batches of texts of like length are faster."""
_ANEW = "delete it to begin anew"

logger = logging.getLogger(__name__)


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
        resume: Go on with half a file, where there is one.
        dtype: Of the numbers of an `.npy` file.

    Attributes:
        done: Rows that are in the file already.

    Raises:
        ValueError: The ending is another, or half a file was made from something else.
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
        self._target = Path(path)
        if ending(path) not in RESUMABLE:
            raise ValueError(
                f"cannot go on with half of {os.fspath(path)}: --resume takes files with one of the endings "
                f"{', '.join(RESUMABLE)}"
            )
        self._kind = ending(path)
        self._columns = columns
        self._dtype = dtype
        self._about = json.loads(json.dumps(dict(about)))
        self._resume = resume
        self._data = self._target.with_name(f"{self._target.name}.partial")
        self._note = self._target.with_name(f"{self._target.name}.partial.json")
        self._lock = FileLock(f"{self._data}.lock", timeout=0)
        self.done = 0

    def __enter__(self) -> "PartialFile":
        self._target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise BlockingIOError(f"another process writes {self._target}: wait for it") from error
        try:
            size = self._sound_bytes()
            self._file: IO[bytes] = open(self._data, "r+b" if size else "wb")
            if not size:
                self._note.unlink(missing_ok=True)
            self._file.truncate(size)
            self._file.seek(size)
            if self._kind == ".npy" and not size:
                self._file.write(npy_header(0, self._columns, self._dtype))
        except BaseException:
            self._lock.release()
            raise
        return self

    def _sound_bytes(self) -> int:
        """Bytes of half a file that can be gone on with; sets `done`."""
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
        remaining = iter(texts)
        for _ in islice(remaining, self.done):
            pass
        return remaining

    def write_arrays(self, rows: Iterable[np.ndarray[Any, Any]]) -> None:
        """Write rows (columns,) to an `.npy` file."""
        self._write(rows, lambda row: np.ascontiguousarray(row, dtype=self._dtype).tobytes())

    def write_rows(self, rows: Iterable[Row]) -> None:
        """Write rows of a table."""
        written = line_writer(self._kind, has_header=self.done == 0)
        self._write(rows, lambda row: written(row).encode("utf-8"))

    def _write(self, rows: Iterable[Any], to_bytes: Callable[[Any], bytes]) -> None:
        for row in rows:
            self._file.write(to_bytes(row))
            self.done += 1
            if self.done % ROWS_AT_ONCE == 0:
                self._keep()

    def _keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        note = {"rows": self.done, "bytes": self._file.tell(), "about": self._about}
        atomic_write_text(self._note, json.dumps(note) + "\n")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._finish()
            self._file.close()
            if kind is not None and not self._note.exists():  # nothing that could be gone on with
                self._data.unlink(missing_ok=True)
        finally:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._kind == ".npy":
            header = npy_header(self.done, self._columns, self._dtype)
            if len(header) != len(npy_header(0, self._columns, self._dtype)):
                raise ValueError(f"{self.done} rows are more than an .npy file of unknown length can hold")
            self._file.seek(0)
            self._file.write(header)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._data.replace(self._target)
        self._note.unlink(missing_ok=True)


def write_wanted_rows(
    path: str | os.PathLike[str],
    compute: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]],
    is_wanted: npt.NDArray[np.bool_],
    columns: int,
    about: Mapping[str, Any],
    resume: bool,
    device_type: str = "cpu",
) -> None:
    """Compute the wanted rows of an array a window at a time and write them as float16; the others are zeros.

    Args:
        path: An `.npy` file.
        compute: Numbers of rows (k,), of a window, to the rows (k, columns).
        is_wanted: Which rows (n,).
        columns: Numbers in a row.
        about: What the rows are made from, as JSON can hold it. Which rows are wanted is added.
        resume: Go on with half a file, where there is one.
        device_type: Of what computes: beside the CPU a window has more rows.

    Raises:
        ValueError: Half a file was made from something else.
        BlockingIOError: Another process writes this file.
    """
    size = ROWS_AT_ONCE if device_type == "cpu" else _WINDOWS_TOGETHER * ROWS_AT_ONCE
    about = {**about, "choice of rows": hashlib.sha256(is_wanted.tobytes()).hexdigest()}
    with PartialFile(path, columns, about, resume, dtype="<f2") as file:
        file.write_arrays(_wanted_rows(compute, is_wanted, columns, file.done, size))
    logger.info("%s: %d of %d rows", os.fspath(path), is_wanted.sum(), len(is_wanted))


def _wanted_rows(
    compute: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]],
    is_wanted: npt.NDArray[np.bool_],
    columns: int,
    done: int,
    size: int,
) -> Iterator[npt.NDArray[np.floating]]:
    for first in range(done // size * size, len(is_wanted), size):
        window = np.arange(first, min(first + size, len(is_wanted)))
        wanted = window[is_wanted[window]]
        given = np.zeros((len(window), columns), dtype=np.float32)
        if len(wanted):
            given[wanted - first] = compute(wanted)
        yield from given[max(0, done - first) :]
        if first // size % _TELL_EVERY == _TELL_EVERY - 1:
            logger.info("%d of %d", first + len(window), len(is_wanted))
