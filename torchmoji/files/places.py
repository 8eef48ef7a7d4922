"""Files on this machine and elsewhere, as fsspec names them: "texts/", "s3://bucket/texts/"."""

import os
import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torchmoji.files.atomic import atomic_path, sha256_of
from torchmoji.files.tables import is_readable

_CHANGES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated")
"""What file systems say that changes with a file."""


class Place:
    """A file or folder; one that is elsewhere is named with a protocol. `path` is its name in `system`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

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

    def files(self, *hidden: str) -> list["Place"]:
        """The file, those in the folder that can be read as tables, or those of the glob, in any order.

        Files and folders whose names begin with one of `hidden` are passed over.
        """
        if self.is_local and os.path.isfile(self.path):
            return [self]
        start = self.path
        if self.system.isdir(start):
            found: Iterable[str] = filter(is_readable, self.system.find(start))
        else:
            start = os.path.dirname(re.split("[*?[]", start)[0])
            if self.is_local:  # fsspec does not look into linked folders
                found = map(str, Path(start).glob(os.path.relpath(self.path, start)))
            else:
                found = self.system.glob(self.path)
        return [
            Place(name if self.is_local else self.system.unstrip_protocol(name))
            for name in found
            if (not self.is_local or os.path.isfile(name))
            and not any(part.startswith(hidden) for part in name[len(start) :].split("/"))
        ]

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
