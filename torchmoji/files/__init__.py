"""Files that are read and written: whole or not at all, row by row, with a place to go on from."""

from torchmoji.files.atomic import atomic_path, atomic_write_text, locked, remove_leftovers, sha256, writing

__all__ = ["atomic_path", "atomic_write_text", "locked", "remove_leftovers", "sha256", "writing"]
