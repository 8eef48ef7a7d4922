"""Removes what a process left that was killed while it wrote a file with `torchmoji.files.atomic_path`."""

import re
from contextlib import suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}(\.[^.]*)?")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files in a folder; no other process may be writing there."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            with suppress(FileNotFoundError):
                path.unlink()
