"""Finds the files that a corpus is made from, by name, folder, glob or URL, and opens them as streams.

Names with a scheme, such as s3://, are opened through fsspec. pyarrow uncompresses.
"""

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from torchmoji.files.extras import require

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

_GLOB = frozenset("*?[")
_BUFFER_BYTES = 1 << 20


def import_pyarrow(module: str = "pyarrow") -> Any:
    """The package pyarrow, or a module of it; raises as `require`."""
    return require(module, "corpus", "a corpus")


def remote_file(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it; raises as `require`."""
    filesystem, path = require("fsspec.core", "corpus", "an input with a URL").url_to_fs(url)
    return filesystem, path


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
    def is_json(self) -> bool:
        """Whether its ending is that of JSON, which may be one array in place of lines."""
        return ".json" in [suffix.lower() for suffix in PurePosixPath(self.path).suffixes[-2:]]

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
    sources: dict[str, Source] = {}
    for name in [os.fspath(name) for name in names]:
        of_name = _remote(name) if "://" in name else _local(Path(name).expanduser())
        if not of_name:
            raise FileNotFoundError(
                f"{name} stands for no file: check the path; of a folder the files that end in "
                f"{', '.join(KINDS)} are read, also with {', '.join(COMPRESSIONS)} behind"
            )
        sources |= {source.path: source for source in of_name}
    return list(sources.values())


def _kind(name: str) -> tuple[str | None, str | None]:
    """Kind and compression by the endings of a name; None where there is none that is known."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    ending = suffixes[-2:-1] if compression else suffixes[-1:]
    return KINDS.get("".join(ending)), compression


def _source(path: str, size: int) -> Source:
    kind, compression = _kind(path)
    return Source(path, kind or "text", compression, size)


def _local(path: Path) -> list[Source]:
    if path.is_file():
        return [_source(str(path), path.stat().st_size)]
    if path.is_dir():
        parent, files = path, [file for file in path.rglob("*") if _kind(file.name)[0]]
    else:
        parts = path.parts
        first = next((number for number, part in enumerate(parts) if _GLOB & set(part)), None)
        if first is None:
            return []
        parent = Path(*parts[:first])
        files = list(parent.glob(os.path.join(*parts[first:])))
    return [
        _source(str(file), file.stat().st_size)
        for file in sorted(files)
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(parent).parts)
    ]


def _remote(url: str) -> list[Source]:
    filesystem, path = remote_file(url)
    if _GLOB & set(path):
        paths: Iterable[str] = filesystem.glob(path)
    elif filesystem.isdir(path):
        paths = [name for name in filesystem.find(path) if _kind(name)[0]]
    else:
        paths = [path] if filesystem.exists(path) else []
    return [
        _source(filesystem.unstrip_protocol(name), int(filesystem.size(name) or 0)) for name in sorted(paths)
    ]


def open_stream(source: Source) -> Any:
    """Open a file as a stream of its bytes, uncompressed.

    Raises:
        OSError: It cannot be opened, or, when it is read, is damaged.
    """
    if source.is_remote:
        filesystem, path = remote_file(source.path)
        raw = filesystem.open(path, "rb")
    else:
        raw = open(source.path, "rb")  # noqa: SIM115  the caller closes what it becomes
    if source.compression is None:
        return raw
    pyarrow = import_pyarrow()
    stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), source.compression)
    return io.BufferedReader(_Uncompressed(stream, source.path), _BUFFER_BYTES)


class _Uncompressed(io.RawIOBase):
    """A stream that pyarrow uncompresses; errors name the file, and the file is closed with it."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise OSError(f"{self._path} is damaged or cut off: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
