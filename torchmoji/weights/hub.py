"""The original DeepMoji weights and their vocabulary: what the files are, where they are, and fetching.

The weights are those that Felbo et al. released with DeepMoji in 2017 (Keras HDF5) and Hugging Face converted
for PyTorch. They are not part of this package; the 2017 scripts called `curl` or `wget`. Once fetched,
`torchmoji.global_variables.PRETRAINED_PATH` and `VOCAB_PATH` name them.

A file gets its name only when its size and SHA-256 are right. Until then its bytes are in `NAME.part` beside
it, which a later call, or the next source, goes on with. All sources are asked with `urllib`: some are not on
the Hugging Face hub, whose client has no time limit for a whole file.
"""

import http.client
import logging
import os
import threading
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from tqdm import tqdm

from torchmoji.files.atomic import locked, sha256
from torchmoji.global_variables import ORIGINAL_WEIGHTS_NAME, VOCABULARY_NAME, original_model_directory

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 600.0
"""Seconds that one source may take in all."""
SILENCE = 20.0
"""Seconds without a byte after which a source is given up."""
_CHUNK = 1 << 16
"""Bytes read at a time, at most."""


@dataclass(frozen=True)
class RemoteFile:
    """A file with its size in bytes and its URLs, tried in order: https, or http on this machine."""

    name: str
    size: int
    sha256: str
    sources: tuple[str, ...]


class DownloadError(OSError):
    """A file could not be fetched, or is not what it should be; the message gives the next step."""


_HUB = "https://huggingface.co"

PYTORCH_WEIGHTS = RemoteFile(
    name=ORIGINAL_WEIGHTS_NAME,
    size=89_616_062,
    sha256="8cbf6f7067d56aa1c2d571bb169f05fba16cea4c263c06fb3f217f42c591a978",
    sources=(
        f"{_HUB}/Uberduck/torchmoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/Pendrokar/TorchMoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/colinryan/hf-deepmoji/resolve/main/pytorch_model.bin",
        "https://github.com/johnpaulbin/torchMoji/releases/download/files/pytorch_model.bin",
        "https://www.dropbox.com/s/q8lax9ary32c7t9/pytorch_model.bin?dl=1",
    ),
)
"""A state dict in torch's old file format."""

KERAS_WEIGHTS = RemoteFile(
    name="deepmoji_weights.hdf5",
    size=89_610_904,
    sha256="ca663315cf4a22ced569cf928f9277ebd013c55d93a19e1d0dde001f59a72476",
    sources=("https://www.dropbox.com/s/xqarafsl6a8f9ny/deepmoji_weights.hdf5?dl=1",),
)
"""The same weights as Keras saved them; reading them takes h5py."""

VOCABULARY = RemoteFile(
    name=VOCABULARY_NAME,
    size=1_064_975,
    sha256="951e74fe4661b23e490e79d3a9496bd61d027b14b55dd99dd1ae2c1fc3e25f3e",
    sources=(
        "https://raw.githubusercontent.com/huggingface/torchMoji/master/model/vocabulary.json",
        f"{_HUB}/Uberduck/torchmoji/resolve/main/vocabulary.json",
    ),
)
"""The 50 000 words and their ids, a JSON object."""


def download_original(
    *,
    keras: bool = False,
    folder: str | os.PathLike[str] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: bool = True,
) -> tuple[Path, Path]:
    """Fetch the original weights and vocabulary; what is there already and right is not fetched again.

    The sources are tried one after the other. `HF_ENDPOINT` replaces `https://huggingface.co` in them, as it
    does for `huggingface_hub`.

    Args:
        keras: Fetch the Keras HDF5 file in place of the torch file.
        folder: Where to put the files; by default `global_variables.original_model_directory()`, the only
            place where `PRETRAINED_PATH` and `VOCAB_PATH` look.
        timeout: Seconds for each source of each file.
        progress: Whether to show progress bars.

    Returns:
        The paths of the weights and of the vocabulary.

    Raises:
        DownloadError: A file could not be had; the message names each source with its fault, and the place to
            put the file by hand. Both files are tried before it is raised.
        ValueError: `timeout` is not a positive number of seconds.
        OSError: The folder cannot be written.
    """
    target = original_model_directory() if folder is None else Path(folder)
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    paths = []
    errors = []
    for file in (KERAS_WEIGHTS if keras else PYTORCH_WEIGHTS, VOCABULARY):
        sources = tuple(url.replace(f"{_HUB}/", f"{endpoint}/") for url in file.sources)
        try:
            paths.append(
                download_file(replace(file, sources=sources), target, timeout=timeout, progress=progress)
            )
        except DownloadError as error:
            errors.append(str(error))
    if errors:
        raise DownloadError("\n\n".join(errors))
    return paths[0], paths[1]


# --- One file, from the first of its sources that delivers it


def verify_file(path: str | os.PathLike[str], file: RemoteFile) -> None:
    """Check the size and SHA-256 of the file at `path`.

    Raises:
        DownloadError: It is not `file`; the message says what was found and expected.
        FileNotFoundError: There is no file at `path`.
    """
    mismatch = _mismatch(Path(path), file)
    if mismatch:
        raise DownloadError(f"{path} is not the original {file.name}: {mismatch}; replace or delete it")


def _mismatch(path: Path, file: RemoteFile) -> str | None:
    """How the file at `path` differs from `file`, or None."""
    size = path.stat().st_size
    if size != file.size:
        return f"it has {size} bytes, not {file.size}"
    found = sha256(path)
    return None if found == file.sha256 else f"its SHA-256 is {found}, not {file.sha256}"


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
        timeout: Seconds for each source, plus those of its last read. A source that sends nothing for 20
            seconds is given up earlier.
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
    lock = path.with_name(f".{path.name}.lock")
    patience = len(file.sources) * (timeout + SILENCE)
    message = f"another process has held {lock} for over {patience:g} s; end that process and try again"
    try:
        with locked(lock, message, patience):
            _fetch_from_any(file, path, timeout, progress)
    except BlockingIOError as error:
        raise DownloadError(str(error)) from error
    return path


def _fetch_from_any(file: RemoteFile, path: Path, timeout: float, progress: bool) -> None:
    """Fetch `file` from the first source that works."""
    if path.is_file():
        mismatch = _mismatch(path, file)
        if mismatch is None:
            return  # another process has fetched it by now
        logger.warning("%s is not the original file: %s; fetching it again", path, mismatch)
    # Not `atomic_path`: its temporary files have random names, and a later call must find this one.
    partial = path.with_name(f"{file.name}.part")
    faults = []
    for url in file.sources:
        logger.info("fetching %s from %s", file.name, url)
        try:
            _fetch(url, file, partial, timeout, progress)
        except _SourceError as error:
            logger.warning("%s did not deliver %s: %s", url, file.name, error)
            faults.append(f"  {url}\n    {error}")
            continue
        if path.is_file():
            path.replace(path.with_name(f"{file.name}.old"))
        partial.replace(path)
        return
    kept = _bytes_in(partial)
    arrived = f"The {kept} of {file.size} bytes that arrived are kept: a later try goes on from there."
    raise DownloadError(
        f"could not fetch {file.name}; sources tried, with up to {timeout:g} s each:\n"
        + "\n".join([*faults, arrived if kept else "No bytes of it are kept."])
        + f"\nNext step: try again, or get the file in another way and put it at\n  {path}\n"
        f"It must have {file.size} bytes and the SHA-256\n  {file.sha256}"
    )


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# --- One source


class _SourceError(Exception):
    """One source did not deliver the file; the message says why."""


def _fetch(url: str, file: RemoteFile, partial: Path, timeout: float, progress: bool) -> None:
    """Complete `partial` from one source, or raise `_SourceError`."""
    deadline = time.monotonic() + timeout
    kept = _bytes_in(partial)
    if kept < file.size:
        _receive(url, file, partial, deadline, progress)
    mismatch = _mismatch(partial, file)
    if mismatch and kept:
        logger.warning("%s together with the bytes kept from before is wrong; starting again", url)
        partial.unlink()
        _receive(url, file, partial, deadline, progress)
        mismatch = _mismatch(partial, file)
    if mismatch:
        partial.unlink()
        raise _SourceError(f"sent another file: {mismatch}")


def _receive(url: str, file: RemoteFile, partial: Path, deadline: float, progress: bool) -> None:
    """Write what a source sends into `partial`, after the bytes that are there where the source can do so.

    A source that sends the whole file writes over them: if it breaks off, no progress is lost.
    """
    kept = _bytes_in(partial)
    with _open(url, kept, deadline) as response:
        position = kept if response.status == 206 else 0
        if response.headers.get_content_type() == "text/html":
            raise _SourceError("sent an HTML page in place of the file")
        missing = str(file.size - position)
        length = response.headers.get("Content-Length", missing)
        if length != missing:
            raise _SourceError(f"announced {length} bytes in place of {missing}")
        bar = tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, disable=not progress)
        with bar, open(partial, "r+b" if kept else "wb") as stream:
            bar.update(position)
            stream.seek(position)
            while position < file.size:
                if position and time.monotonic() > deadline:
                    raise _SourceError(f"too slow: {position} of {file.size} bytes within the time limit")
                try:
                    chunk = response.read1(min(_CHUNK, file.size - position))
                except TimeoutError as error:
                    raise _SourceError(f"stalled after {position} of {file.size} bytes") from error
                except (OSError, http.client.HTTPException) as error:
                    arrived = f"{position} of {file.size} bytes"
                    raise _SourceError(f"connection lost after {arrived}: {error}") from error
                if not chunk:
                    raise _SourceError(f"broke off after {position} of {file.size} bytes")
                stream.write(chunk)
                bar.update(len(chunk))
                position += len(chunk)
            stream.flush()
            os.fsync(stream.fileno())


def _open(url: str, start: int, deadline: float) -> http.client.HTTPResponse:
    """Ask for a file from byte `start` on."""
    headers = {"User-Agent": "torchmoji"} | ({"Range": f"bytes={start}-"} if start else {})
    timeout = max(0.1, min(deadline - time.monotonic(), SILENCE))
    try:
        _check_url(url)
        request = urllib.request.Request(url, headers=headers)
        answer: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(
            request, timeout=timeout
        )
        return answer
    except HTTPError as error:
        with error:
            raise _SourceError(f"HTTP status {error.code}: {' '.join(str(error.reason).split())}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            raise _SourceError("gave no answer in time") from error
        raise _SourceError(f"no proper answer ({type(cause).__name__}: {cause})") from error


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    on_this_machine = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not on_this_machine:
        raise _SourceError(f"{url} is refused: only https is allowed (and http on this machine)")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to allowed URLs only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        try:
            _check_url(newurl)
        except _SourceError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)
