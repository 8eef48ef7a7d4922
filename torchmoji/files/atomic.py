"""Writing files so that a reader never sees half of one, locks, and telling files by their bytes."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_READ_BYTES = 1 << 20
LARGEST_JSON = 1 << 25
"""Bytes of a JSON file, at most."""
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}(\.[^.]*)?")
"""A name that `_temporary_folder` gives, or that older versions gave files."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path near `path` that takes the name `path` when the block ends well.

    When the block raises, Ctrl-C included, the temporary file is removed and `path` stays as it was; what a
    killed process left is removed by the next that writes the same file. The permissions are those of the
    file that was there, or what `open` gives a new one. Of a link, the file that it leads to is replaced. A
    missing folder of `path` is created; the temporary path has the same name, in a folder beside it.

    Raises IsADirectoryError where `path` is a folder, FileExistsError where it is a pipe or a device, which
    no file can replace.
    """
    name, path = Path(path).name, Path(path)
    if path.is_symlink():
        path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is a pipe or a device: name a file")
    with _temporary_folder(path) as folder:
        temporary = folder / name
        temporary.touch()
        mode = temporary.stat().st_mode
        with naming_full_disk(path):
            yield temporary
        # set in any case: what wrote it may have put another file in its place
        temporary.chmod(stat.S_IMODE(path.stat().st_mode if path.exists() else mode))
        temporary.replace(path)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a new folder."""
    with _temporary_folder(Path(path)) as folder:
        yield folder
        folder.rename(path)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, locked as long as it is in use and then removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name.encode('utf-8', 'surrogateescape')[:100].decode('utf-8', 'ignore')}."
    _remove(path.parent, re.compile(rf"{re.escape(start)}[0-9a-f]{{32}}"))
    lock = None
    try:
        while True:
            folder = path.with_name(start + uuid.uuid4().hex)
            folder.mkdir()
            lock = _lock(folder)
            if folder.exists():  # else another process saw it before it was locked, and removed it
                break
            _unlock(lock)
        yield folder
    finally:
        _delete(folder)
        _unlock(lock)


def _lock(path: Path, wait: bool = True) -> int | None:
    """Lock a file or folder; None where it cannot be opened or locked, or is locked already."""
    if fcntl is None:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        _unlock(descriptor)
        return None
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove(folder: Path, names: re.Pattern[str]) -> None:
    """Remove temporary files and folders that no process holds."""
    with suppress(OSError):
        for path in folder.iterdir():
            if names.fullmatch(path.name) and (lock := _lock(path, wait=False)) is not None:
                _delete(path)
                _unlock(lock)


def _delete(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove what processes left that were killed in `atomic_path`."""
    _remove(folder, _TEMPORARY)


@contextmanager
def locked(path: str | os.PathLike[str], message: str, timeout: float = 0) -> Iterator[None]:
    """Hold the lock file `path` for the length of a `with` block.

    It is made where it is missing; its folder is there. Where another process holds it, and still does after
    `timeout` seconds, BlockingIOError says `message`.
    """
    from filelock import FileLock, Timeout  # imported here: it takes longer to load than its users

    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=timeout)
        except Timeout as error:
            raise BlockingIOError(message) from error
        again = _lock(Path(path), wait=False)
        _unlock(again)
        if fcntl is None or (again is None and os.path.exists(path)):
            break
        lock.release()  # that of a file which its last holder has removed, so that others lock a new one
    try:
        yield
    finally:
        lock.release()


@contextmanager
def naming_full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let the error of a full disk, which Python raises without a name, tell the file that did not fit."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let what a library raises while it writes a file, as on a full disk, be an `OSError` that names it.

    Of a temporary file the final name is told. Errors for wrong arguments stay as they are.
    """
    try:
        yield
    except (TypeError, ValueError, MemoryError):
        raise
    except Exception as error:
        name = Path()
        for part in Path(path).parts:  # a.bin is .a.bin.UUID/a.bin meanwhile, a folder's .folder.UUID
            temporary = _TEMPORARY.fullmatch(name.name)
            name = name.parent if temporary and temporary[1] == part else name
            name /= part
        name = Path(*(_TEMPORARY.sub(r"\1", part) for part in name.parts))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(
            f"{name} cannot be written ({reason:.300}): make room, or give another place"
        ) from error


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_path(path) as temporary, writing(temporary):
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str], most: int = LARGEST_JSON) -> Any:
    """What a JSON file holds.

    OSError where it cannot be read, ValueError where it is not JSON or has more than `most` bytes: they take
    some twenty times as much memory.
    """
    path = Path(path)
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return sha256_of(file)


def sha256_of(file: IO[bytes]) -> str:
    """The same of an open file, from where it stands to its end."""
    digest = hashlib.sha256()
    while block := file.read(_READ_BYTES):
        digest.update(block)
    return digest.hexdigest()
