"""Files on this machine and elsewhere, as fsspec names them: "texts/", "s3://bucket/texts/"."""

import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from torchmoji.files.atomic import atomic_path, sha256_of
from torchmoji.files.tables import READABLE, ending

_CHANGES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated")
"""What file systems say that changes with a file."""


class Place:
    """A file or folder; one that is elsewhere is named with a protocol. `path` is its name in `system`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.path.expanduser(os.fspath(path))
        if "::" in name and os.path.exists(name):  # which fsspec takes for one protocol in another
            self.system, self.path = LocalFileSystem(), os.path.abspath(name)
        else:
            self.system, self.path = url_to_fs(name)
        self.is_local = isinstance(self.system, LocalFileSystem)

    def __str__(self) -> str:
        return self.path if self.is_local else str(self.system.unstrip_protocol(self.path))

    def __truediv__(self, name: str) -> "Place":
        return Place(f"{str(self).rstrip('/')}/{name}")

    def names(self) -> list[str]:
        """What a folder holds but for hidden files; nothing where it is missing."""
        found = self.system.ls(self.path, detail=False) if self.system.isdir(self.path) else []
        return [name for name in map(os.path.basename, found) if not name.startswith(".")]

    def tables(self) -> list["Place"]:
        """The file, or those of texts in the folder, sorted, without hidden ones; or FileNotFoundError."""
        if self.is_local and os.path.isfile(self.path):
            return [self]
        is_folder = self.system.isdir(self.path)
        found = self.system.find(self.path) if is_folder else self.system.glob(self.path)
        tables = [name for name in sorted(found) if ending(name) in READABLE]
        start = len(self.path) if is_folder else 0

        def is_hidden(name: str) -> bool:
            inside = name[start:] if is_folder else os.path.basename(name)
            return any(part.startswith((".", "_")) for part in inside.split("/"))

        tables = [name for name in tables if not is_hidden(name)]
        if not tables:
            raise FileNotFoundError(f"there is no file of texts at {self}: known are {', '.join(READABLE)}")
        return [Place(name if self.is_local else self.system.unstrip_protocol(name)) for name in tables]

    def about(self) -> list[Any]:
        """What tells the file from another one: its size, and when it changed."""
        info = self.system.info(self.path)
        return [info["size"], str(next((info[name] for name in _CHANGES if name in info), ""))]

    def sha256(self) -> str | None:
        """The SHA-256 of the file; None where there is none."""
        try:
            with self.system.open(self.path, "rb") as file:
                return sha256_of(file)
        except FileNotFoundError:
            return None

    def write(self, make: Callable[[Path], object]) -> tuple[int, str]:
        """Have `make` write the file aside, on this machine, then put it in place.

        Returns its bytes and SHA-256.
        """
        with (
            nullcontext("") if self.is_local else tempfile.TemporaryDirectory() as folder,
            atomic_path(self.path) if self.is_local else nullcontext(Path(folder, "file")) as temporary,
        ):
            make(temporary)
            size, digest = temporary.stat().st_size, Place(temporary).sha256() or ""
            if not self.is_local:
                parent, name = os.path.split(self.path)
                aside = f"{parent}/.{name}.{digest[:16]}"
                self.system.makedirs(parent, exist_ok=True)
                self.system.put_file(os.fspath(temporary), aside)
                self.system.mv(aside, self.path)
        return size, digest
