"""The original DeepMoji weights and their vocabulary: what the files are, where they are, and fetching.

The weights are those that Felbo et al. released with DeepMoji in 2017 (Keras HDF5) and Hugging Face converted
for PyTorch. They are not part of this package; the 2017 scripts called `curl` or `wget`. Once fetched,
`torchmoji.global_variables.PRETRAINED_PATH` and `VOCAB_PATH` name them.

`huggingface_hub` fetches them, in steps of 10 MB and without a token, on the hub and elsewhere. What it lacks
is here: a list of sources, a limit for the whole time, no more bytes than the file has, and a name only when
size and SHA-256 are right. Until then the bytes are in `NAME.part`, which a later call, or the next source,
goes on with. Redirects are the client's: to refuse those to http would change it for the whole program, and
the SHA-256 tells a wrong file whatever way it came.
"""

import io
import logging
import os
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import responses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from torchmoji.files.atomic import locked, sha256
from torchmoji.global_variables import ORIGINAL_WEIGHTS_NAME, VOCABULARY_NAME, original_model_directory

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 600.0
"""Seconds that one source may take in all."""


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
_ON_THIS_MACHINE = [("http", host) for host in ("127.0.0.1", "::1", "localhost")]

PYTORCH_WEIGHTS = RemoteFile(
    ORIGINAL_WEIGHTS_NAME,
    89_616_062,
    "8cbf6f7067d56aa1c2d571bb169f05fba16cea4c263c06fb3f217f42c591a978",
    (
        f"{_HUB}/Uberduck/torchmoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/Pendrokar/TorchMoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/colinryan/hf-deepmoji/resolve/main/pytorch_model.bin",
        "https://github.com/johnpaulbin/torchMoji/releases/download/files/pytorch_model.bin",
        "https://www.dropbox.com/s/q8lax9ary32c7t9/pytorch_model.bin?dl=1",
    ),
)
"""A state dict in torch's old file format."""

KERAS_WEIGHTS = RemoteFile(
    "deepmoji_weights.hdf5",
    89_610_904,
    "ca663315cf4a22ced569cf928f9277ebd013c55d93a19e1d0dde001f59a72476",
    ("https://www.dropbox.com/s/xqarafsl6a8f9ny/deepmoji_weights.hdf5?dl=1",),
)
"""The same weights as Keras saved them; reading them takes h5py."""

VOCABULARY = RemoteFile(
    VOCABULARY_NAME,
    1_064_975,
    "951e74fe4661b23e490e79d3a9496bd61d027b14b55dd99dd1ae2c1fc3e25f3e",
    (
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

    `HF_ENDPOINT` replaces `https://huggingface.co` in the sources, as it does for `huggingface_hub`.

    Args:
        keras: Fetch the Keras HDF5 file in place of the torch file.
        folder: Where to put the files; by default `global_variables.original_model_directory()`, the only
            place where `PRETRAINED_PATH` and `VOCAB_PATH` look.
        timeout: Seconds for each source of each file. A source that sends nothing for 10 seconds
            (`HF_HUB_DOWNLOAD_TIMEOUT`) is given up earlier.
        progress: Whether to show progress bars.

    Returns:
        The paths of the weights and of the vocabulary.

    Raises:
        DownloadError: A file could not be had; the message names each source with its fault, and the place to
            put the file by hand. Both files are tried before it is raised.
        ValueError: `timeout` is not a positive number of seconds.
        OSError: The folder cannot be written, or another process keeps a file's lock.
    """
    target = original_model_directory() if folder is None else Path(folder)
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    paths, errors = [], []
    for file in (KERAS_WEIGHTS if keras else PYTORCH_WEIGHTS, VOCABULARY):
        file = replace(file, sources=tuple(url.replace(f"{_HUB}/", f"{endpoint}/") for url in file.sources))
        try:
            paths.append(download_file(file, target, timeout=timeout, progress=progress))
        except DownloadError as error:
            errors.append(str(error))
    if errors:
        raise DownloadError("\n\n".join(errors))
    return paths[0], paths[1]


def download_file(
    file: RemoteFile,
    folder: str | os.PathLike[str],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    progress: bool = True,
) -> Path:
    """Fetch `file` into `folder` unless it is there already, and give its path; see `download_original`.

    A file of that name which is not `file` is kept as `NAME.old` once the right one has been fetched. When
    another process is fetching the file, this call waits for it and takes what it finds then.
    """
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout}; leave it out for 600")
    path = Path(folder) / file.name
    if not _mismatch(path, file):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{file.name}.lock")
    patience = (len(file.sources) + 1) * timeout
    message = f"another process has held {lock} for over {patience:g} s; end that process and try again"
    with locked(lock, message, patience):
        if _mismatch(path, file):  # else another process has fetched it by now
            _fetch(file, path, timeout, progress)
        # The file is there: who waits for this lock, or makes a new one, only finds it.
        with suppress(OSError):  # Windows keeps an open file
            lock.unlink()
    return path


def _fetch(file: RemoteFile, path: Path, timeout: float, progress: bool) -> None:
    """Fetch `file` from the first of its sources that delivers it."""
    partial = path.with_name(f"{file.name}.part")  # no random name: a later call must find it
    faults: dict[str, str] = {}
    sources = list(file.sources)
    while sources:
        url = sources.pop(0)
        kept = _bytes_in(partial)
        logger.info("fetching %s from %s, from byte %d on", file.name, url, kept)
        fault = _receive(url, file, partial, timeout, progress) if kept < file.size else None
        mismatch = _mismatch(partial, file)
        if not mismatch:
            if path.is_file():
                logger.warning("%s was not the original file and is kept as %s.old", path, file.name)
                path.replace(path.with_name(f"{file.name}.old"))
            partial.replace(path)
            return
        if not fault or _bytes_in(partial) == file.size:
            fault = f"sent another file: {mismatch}"
            partial.unlink()
            if kept:  # those bytes may be the wrong ones: all of it from the same source
                sources.insert(0, url)
        logger.info("%s did not deliver %s: %s", url, file.name, fault)
        faults[url] = fault
    kept = _bytes_in(partial)
    arrived = f"The {kept} of {file.size} bytes that arrived are kept: a later try goes on from there."
    raise DownloadError(
        f"could not fetch {file.name}; sources tried, with up to {timeout:g} s each:\n"
        + "".join(f"  {url}\n    {fault}\n" for url, fault in faults.items())
        + (arrived if kept else "No bytes of it are kept.")
        + f"\nNext step: try again, or get the file in another way and put it at\n  {path}\n"
        f"It must have {file.size} bytes and the SHA-256\n  {file.sha256}"
    )


def _mismatch(path: Path, file: RemoteFile) -> str | None:
    """How the file at `path` differs from `file`, or None."""
    if not path.is_file():
        return "it is not there"
    size = path.stat().st_size
    if size != file.size:
        return f"it has {size} bytes, not {file.size}"
    found = sha256(path)
    return None if found == file.sha256 else f"its SHA-256 is {found}, not {file.sha256}"


def _bytes_in(partial: Path) -> int:
    """The bytes kept from before. A link or a device in their place, which leads elsewhere, is removed."""
    status = partial.lstat() if os.path.lexists(partial) else None
    if status and not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
        logger.warning("%s is not a file of its own: it is removed, and what it led to left alone", partial)
        partial.unlink()
        return 0
    return status.st_size if status else 0


def _receive(url: str, file: RemoteFile, partial: Path, timeout: float, progress: bool) -> str | None:
    """Add what a source sends to `partial`; gives what went wrong, None if nothing did.

    The client has no limit for the whole time: it works in a thread, which is left behind when the time is
    over, and ends at its next write because the file is closed.
    """
    from huggingface_hub.file_download import http_get  # imported here: it takes long to load

    faults: list[str] = []
    headers = {"User-Agent": "torchmoji", "Accept-Encoding": "identity"}

    def fetch() -> None:
        try:
            parts = urlsplit(url)
            if parts.scheme != "https" and (parts.scheme, parts.hostname) not in _ON_THIS_MACHINE:
                raise ValueError(f"{url} is refused: only https is allowed (and http on this machine)")
            # It tries again only where bytes have come: else the next source is the next try.
            options = {"expected_size": file.size, "_nb_retries": 0, "_tqdm_bar": bar}
            http_get(url, stream, resume_size=kept, headers=headers, displayed_filename=file.name, **options)
        except Exception as error:  # ours, or of the client for HTTP that this version of the hub's uses
            code = getattr(getattr(error, "response", None), "status_code", None)
            status = f"HTTP status {code}: {responses.get(code, 'unknown')}" if code else ""
            faults.append((status or str(error) or type(error).__name__).splitlines()[0][:200])

    kept = _bytes_in(partial)
    bar = tqdm(total=file.size, initial=kept, desc=file.name, unit="B", unit_scale=True, disable=not progress)
    try:
        with bar, _Part(partial, file.size) as stream:
            client = threading.Thread(target=fetch, daemon=True)
            client.start()
            client.join(timeout)
            if client.is_alive():
                faults.append(f"too slow: not done within {timeout:g} s")
            if stream.failure:
                raise stream.failure
    except OSError as error:  # opening or closing may fail too
        raise OSError(error.errno, error.strerror, os.fspath(partial)) from error
    return f"{faults[0]}; {_bytes_in(partial)} of {file.size} bytes are here" if faults else None


class _Part(io.BufferedWriter):
    """The end of a `.part` file, which takes no more bytes than the file has and no HTML page."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(io.FileIO(path, "r+" if path.exists() else "x"))
        self.seek(0, os.SEEK_END)
        self.size = size
        self.failure: OSError | None = None  # of the file system, as against the network

    def write(self, data: Any) -> int:
        """Add bytes; an error if that is more than the file has, once what fits is written."""
        position = self.tell()
        if position == 0 and data[:100].lstrip().startswith(b"<"):
            raise ValueError("sent an HTML page in place of the file")
        try:
            written = super().write(data[: self.size - position])
        except OSError as error:
            self.failure = error
            raise
        if written < len(data):
            raise ValueError(f"sent more than {self.size} bytes")
        return written
