"""Several arrays in one file, written whole or not at all and read by name without a copy.

The format is Arrow's IPC: one row, a list for each array. pyarrow is the extra `corpus`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from torchmoji.corpus_sources import import_pyarrow
from torchmoji.files import atomic_path

_ABOUT = b"about"

Arrays = Mapping[str, npt.NDArray[Any] | Sequence[str]]


def save_arrays(path: str | os.PathLike[str], arrays: Arrays, about: Mapping[str, Any]) -> None:
    """Write arrays.

    Args:
        path: The file.
        arrays: One-dimensional, of numbers, or strings.
        about: What JSON can hold.
    """
    pyarrow = import_pyarrow()
    columns, fields = [], []
    for name, values in arrays.items():
        flat = pyarrow.array(values, pyarrow.string() if isinstance(values, list) else None)
        column = pyarrow.ListArray.from_arrays(pyarrow.array([0, len(flat)], pyarrow.int32()), flat)
        columns.append(column)
        fields.append(pyarrow.field(name, column.type))
    schema = pyarrow.schema(fields, metadata={_ABOUT: json.dumps(about)})
    with atomic_path(path) as temporary, pyarrow.ipc.new_file(os.fspath(temporary), schema) as writer:
        writer.write_batch(pyarrow.record_batch(columns, schema=schema))


class ArrayFile:
    """A file of `save_arrays`, mapped into memory: what is not looked at is not read.

    Args:
        path: The file.

    Attributes:
        about: What was saved with the arrays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        pyarrow = import_pyarrow()
        reader = pyarrow.ipc.open_file(pyarrow.memory_map(os.fspath(path)))
        self._batch = reader.get_batch(0)
        self.about: dict[str, Any] = json.loads(reader.schema.metadata[_ABOUT])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """An array of numbers, read-only and in the file's memory."""
        values: npt.NDArray[Any] = self._batch.column(name).values.to_numpy()
        return values

    def strings(self, name: str) -> Any:
        """An array of strings, as pyarrow's."""
        return self._batch.column(name).values


def about_arrays(path: Path) -> dict[str, Any] | None:
    """What was saved with the arrays of a file; None where it does not exist."""
    return ArrayFile(path).about if path.is_file() else None
