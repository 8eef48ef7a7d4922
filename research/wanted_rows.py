"""Some rows of a large array, computed a window at a time, so that an interrupted run can be resumed."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.files import resumable

_TELL_EVERY = 25
"""In windows of so many rows."""
_WINDOWS_TOGETHER = 8
"""Beside the CPU, where large batches of texts of like length are faster."""

logger = logging.getLogger(__name__)


def write_wanted_rows(
    path: str | os.PathLike[str],
    compute: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]],
    is_wanted: npt.NDArray[np.bool_],
    columns: int,
    about: Mapping[str, Any],
    resume: bool,
    device_type: str = "cpu",
) -> None:
    """Compute the wanted rows of an array a window at a time and write them as float16; the others are zeros.

    Args:
        path: An `.npy` file.
        compute: Numbers of rows (k,), of a window, to the rows (k, columns).
        is_wanted: Which rows (n,).
        columns: Numbers in a row.
        about: What the rows are made from, as JSON can hold it. Which rows are wanted is added.
        resume: Go on with half a file, where there is one.
        device_type: Of what computes: beside the CPU a window has more rows.

    Raises:
        ValueError: Half a file was made from something else.
        BlockingIOError: Another process writes this file.
    """
    size = resumable.ROWS_AT_ONCE * (1 if device_type == "cpu" else _WINDOWS_TOGETHER)
    about = {**about, "choice of rows": hashlib.sha256(is_wanted.tobytes()).hexdigest()}
    with resumable.PartialFile(path, columns, about, resume, dtype="<f2") as file:
        file.write_arrays(_wanted_rows(compute, is_wanted, columns, file.done, size))
    logger.info("%s: %d of %d rows", os.fspath(path), is_wanted.sum(), len(is_wanted))


def _wanted_rows(
    compute: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]],
    is_wanted: npt.NDArray[np.bool_],
    columns: int,
    done: int,
    size: int,
) -> Iterator[npt.NDArray[np.floating]]:
    for first in range(done // size * size, len(is_wanted), size):
        window = np.arange(first, min(first + size, len(is_wanted)))
        wanted = window[is_wanted[window]]
        given = np.zeros((len(window), columns), dtype=np.float32)
        if len(wanted):
            given[wanted - first] = compute(wanted)
        yield from given[max(0, done - first) :]
        if first // size % _TELL_EVERY == _TELL_EVERY - 1:
            logger.info("%d of %d", first + len(window), len(is_wanted))
