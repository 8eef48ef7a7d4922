"""Reads one array of an `.npz` file, whose declared sizes are held against what is there before use."""

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_ARRAY = 1 << 28
"""Bytes of an array, and of the file."""


def read_npz(path: str | os.PathLike[str], expected: str, name: str | None = None) -> np.ndarray[Any, Any]:
    """Read an array without objects; `expected` is what the file must be, for messages.

    Without `name` the file must have one array alone. OSError where it cannot be read, ValueError where it
    has no such array, or is larger than `LARGEST_ARRAY`.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > LARGEST_ARRAY:
            raise ValueError(f"it has more than {LARGEST_ARRAY} bytes")
        content = path.read_bytes()
    except ValueError as error:
        raise ValueError(f"{path} is not {expected}: {error}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if name is None and len(names) != 1:
                raise ValueError(f"found {len(names)} arrays: {', '.join(names)}")
            if name is not None and f"{name}.npy" not in names:
                raise ValueError(f"found no array {name!r} among {', '.join(names)}")
            member = archive.getinfo(names[0] if name is None else f"{name}.npy")
            if member.file_size > LARGEST_ARRAY:
                raise ValueError(f"its array has more than {LARGEST_ARRAY} bytes")
            stream = io.BytesIO(archive.read(member))
        version = np.lib.format.read_magic(stream)
        read_header: Any = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")
        shape, _, dtype = read_header(stream)
        data = stream.getbuffer()[stream.tell() :]
        if math.prod(shape) * dtype.itemsize != len(data) or min(shape, default=1) < 0:
            raise ValueError(f"its array has the shape {shape} of {dtype}, but {len(data)} bytes")
        return np.frombuffer(data, dtype).reshape(shape)
    except Exception as error:  # zipfile, zlib and NumPy raise nearly anything for a damaged file
        raise ValueError(f"{path} is not {expected}; {error!s:.200}: make it again") from error
