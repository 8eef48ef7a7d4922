"""Fetching one file of known size and SHA-256 from the first of several sources that delivers it.

New in this package; the 2017 scripts called `curl` or `wget`. The file gets its name only when its size and
SHA-256 are right. Until then its bytes are in `NAME.part` beside it, which a later call, or the next source,
goes on with. An operating system lock on `.NAME.lock` lets one process work at a time; the system releases it
when that process dies. `torchmoji.weights.hub` says which files there are and where.
"""

import http.client
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from torchmoji.files.atomic import sha256
from torchmoji.weights.http_source import SILENCE, Response, SourceFailed, open_at

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 600.0
"""Seconds that one source may take in all."""
_CHUNK = 1 << 16
"""Bytes read at a time, at most."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched.

    Attributes:
        name: Its name in the folder it is put into.
        size: Its length in bytes.
        sha256: Its SHA-256 in lower-case hexadecimal digits.
        sources: URLs, tried in this order; https, or http on this machine.
    """

    name: str
    size: int
    sha256: str
    sources: tuple[str, ...]


class DownloadError(OSError):
    """A file could not be fetched, or is not what it should be; the message gives the next step."""


def verify_file(path: str | os.PathLike[str], file: RemoteFile) -> None:
    """Check the size and SHA-256 of the file at `path`.

    Raises:
        DownloadError: It is not `file`; the message says what was found and expected.
        FileNotFoundError: There is no file at `path`.
    """
    mismatch = _mismatch(Path(path), file)
    if mismatch:
        raise DownloadError(f"{path} is not the original {file.name}: {mismatch}; replace or delete it")


def download_file(
    file: RemoteFile,
    folder: str | os.PathLike[str],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    progress: bool = True,
) -> Path:
    """Fetch `file` into `folder` unless it is there already, and give its path.

    A file of that name which is not `file` is kept as `NAME.old` once the right one has been fetched. When
    another process is fetching the file, this call waits for it and takes what it finds then.

    Args:
        file: What to fetch.
        folder: Where to put it; made where it is missing.
        timeout: Seconds for each source in all. A source that sends nothing for 20 seconds is given up
            earlier. The last read may go over `timeout` by those 20 seconds, or by `timeout` if that is less.
        progress: Whether to show a progress bar.

    Raises:
        DownloadError: No source delivered it, or another process keeps its lock.
        ValueError: `timeout` is not a positive number of seconds.
        OSError: The folder cannot be written.
    """
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout}; leave it out for 600")
    path = Path(folder) / file.name
    if path.is_file() and _mismatch(path, file) is None:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path, len(file.sources) * (timeout + SILENCE)):
        if path.is_file():  # it was there and is wrong, or another process has fetched it by now
            mismatch = _mismatch(path, file)
            if mismatch is None:
                return path
            logger.warning("%s is not the original file: %s; fetching it again", path, mismatch)
        partial = _fetch_from_any(file, path, timeout, progress)
        if path.is_file():
            path.replace(path.with_name(f"{file.name}.old"))
        # Not `atomic_path`: its temporary files have random names, and a later call must find this one.
        partial.replace(path)
    return path


@contextmanager
def _lock(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock that belongs to `path`; wait up to `patience` seconds for another process to release it.

    `filelock`, which torch brings along, has the locks of each operating system behind one call.
    """
    from filelock import FileLock, Timeout  # imported here: it takes longer to load than all the rest

    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(str(name))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process is fetching %s; waiting for it", path)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise DownloadError(
                f"another process has held {name} for over {patience:g} s; end that process and try again"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _mismatch(path: Path, file: RemoteFile) -> str | None:
    """How the file at `path` differs from `file`, or None."""
    size = path.stat().st_size
    if size != file.size:
        return f"it has {size} bytes, not {file.size}"
    found = sha256(path)
    if found != file.sha256:
        return f"its SHA-256 is {found}, not {file.sha256}"
    return None


def _fetch_from_any(file: RemoteFile, path: Path, timeout: float, progress: bool) -> Path:
    """Fetch `file` into the partial file of `path` from the first source that works, and give its path."""
    partial = path.with_name(f"{file.name}.part")
    failures = []
    for url in file.sources:
        logger.info("fetching %s from %s", file.name, url)
        try:
            _fetch(url, file, partial, time.monotonic() + timeout, progress)
        except SourceFailed as error:
            logger.warning("%s did not deliver %s: %s", url, file.name, error)
            failures.append(f"  {url}\n    {error}")
        else:
            return partial
    kept = _bytes_in(partial)
    raise DownloadError(
        "\n".join(
            [
                f"could not fetch {file.name}; sources tried, with up to {timeout:g} s each:",
                *failures,
                f"The {kept} of {file.size} bytes that arrived are kept: a later try goes on from there."
                if kept
                else "No bytes of it are kept.",
                "Next step: try again, or get the file in another way and put it at",
                f"  {path}",
                f"It must have {file.size} bytes and the SHA-256",
                f"  {file.sha256}",
            ]
        )
    )


def _fetch(url: str, file: RemoteFile, partial: Path, deadline: float, progress: bool) -> None:
    """Complete `partial` from one source, or raise `SourceFailed`."""
    start = file.size
    if _bytes_in(partial) < file.size:
        start = _receive(url, file, partial, deadline, progress)
    mismatch = _mismatch(partial, file)
    if mismatch and start > 0:
        logger.warning("%s together with the bytes kept from before is wrong; starting again", url)
        partial.unlink()
        _receive(url, file, partial, deadline, progress)
        mismatch = _mismatch(partial, file)
    if mismatch:
        partial.unlink()
        raise SourceFailed(f"sent another file: {mismatch}")


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, file: RemoteFile, partial: Path, deadline: float, progress: bool) -> int:
    """Write what the source sends into `partial`, after the bytes that are there where the source can do so.

    Returns:
        The position of the first byte that the source sent.
    """
    kept = _bytes_in(partial)
    response, start = open_at(url, kept, deadline)
    with response:
        _check_headers(response, file, start)
        chunks = _chunks(response, file, start, deadline)
        first = next(chunks)  # before the file is opened: a source may fail here
        # A source without ranges writes over the bytes from before: if it breaks off, no progress is lost.
        with (
            open(partial, "r+b" if kept else "wb") as stream,
            tqdm(
                total=file.size,
                initial=start,
                desc=file.name,
                unit="B",
                unit_scale=True,
                disable=not progress,
            ) as bar,
        ):
            stream.seek(start)
            for chunk in chain([first], chunks):
                stream.write(chunk)
                bar.update(len(chunk))
            stream.flush()
            os.fsync(stream.fileno())
    return start


def _chunks(response: Response, file: RemoteFile, start: int, deadline: float) -> Iterator[bytes]:
    """The bytes of `file` from `start` to its end as they arrive, never more; raises `SourceFailed`."""
    position = start
    while position < file.size:
        if position > start and time.monotonic() > deadline:
            raise SourceFailed(f"too slow: {position} of {file.size} bytes within the time limit")
        try:
            chunk = response.read1(min(_CHUNK, file.size - position))
        except TimeoutError:
            raise SourceFailed(f"stalled after {position} of {file.size} bytes") from None
        except http.client.IncompleteRead:
            chunk = b""
        except (OSError, http.client.HTTPException) as error:
            raise SourceFailed(f"connection lost after {position} of {file.size} bytes: {error}") from error
        if not chunk:
            raise SourceFailed(f"broke off after {position} of {file.size} bytes")
        if position == 0 and chunk.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
            raise SourceFailed("sent an HTML page in place of the file")
        position += len(chunk)
        yield chunk


def _check_headers(response: Response, file: RemoteFile, start: int) -> None:
    """Refuse an answer that says of itself that it is not the bytes of `file` from `start` on."""
    if response.headers.get_content_type() == "text/html":
        raise SourceFailed("sent an HTML page in place of the file")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise SourceFailed(f"sent the file in the encoding {encoding}, which was not asked for")
    length = response.headers.get("Content-Length")
    if length is not None and length.strip() != str(file.size - start):
        raise SourceFailed(f"announced {length} bytes in place of {file.size - start}")
