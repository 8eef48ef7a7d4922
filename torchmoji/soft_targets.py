"""A teacher's probabilities for the texts of a corpus, from which a smaller model learns as well.

Source: Hinton, Vinyals and Dean 2015. The file is a NumPy array, float16 (rows, C): a row for each training
text of the corpus, in the order of its shards. Probabilities may be the highest ones of a row alone, the
others 0; each row is scaled to the sum 1. A row of zeros has no teacher.
"""

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from torchmoji.corpus_folder import Corpus
from torchmoji.files import atomic_path
from torchmoji.shards import TokenRows

_ROWS_AT_ONCE = 4096

Probabilities = npt.NDArray[np.floating]


def save_soft_targets(
    path: str | os.PathLike[str],
    corpus: Corpus,
    teacher: Callable[[npt.NDArray[np.int64]], Probabilities],
    top_k: int | None = None,
    *,
    rows: TokenRows | None = None,
) -> None:
    """Write what a teacher says of the training texts.

    Args:
        path: The file, `.npy`.
        corpus: Its training texts are asked about.
        teacher: Gives probabilities (n, C) of token ids (n, time) in the corpus's vocabulary: a model of
            `torchmoji_emojis` that was trained with it.
        top_k: Keep so many of each row.
        rows: The training texts as the teacher reads them, for one with tokens of its own; by default those
            of the corpus.

    Raises:
        ValueError: The teacher gives another shape, or there are more rows than texts, or fewer.
    """
    texts = len(corpus.rows("train"))
    rows = rows if rows is not None else corpus.rows("train")
    if len(rows) != texts:
        raise ValueError(f"there are {len(rows)} rows for the corpus's {texts} training texts: give one each")
    shape = (len(rows), len(corpus.classes))
    with atomic_path(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            numbers = np.arange(start, min(start + _ROWS_AT_ONCE, len(rows)))
            found = np.asarray(teacher(rows.token_ids(numbers)))
            if found.shape != (len(numbers), shape[1]):
                raise ValueError(f"the teacher gave {found.shape}, expected {(len(numbers), shape[1])}")
            stored[start : start + len(numbers)] = highest(found, top_k)
        stored.flush()
        del stored


def highest(probabilities: Probabilities, top_k: int | None) -> Probabilities:
    """Probabilities with the highest of each row alone, the others 0.

    Args:
        probabilities: (n, C).
        top_k: How many of each row, all where it is None.
    """
    if top_k is None or top_k >= probabilities.shape[1]:
        return probabilities
    limits = -np.partition(-probabilities, top_k - 1, axis=1)[:, top_k - 1 : top_k]
    return np.where(probabilities >= limits, probabilities, 0)


def open_soft_targets(path: str | os.PathLike[str], shape: tuple[int, int]) -> npt.NDArray[np.float16]:
    """Map a file of soft targets into memory.

    Args:
        path: The file.
        shape: Training texts and classes of the corpus.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    meaning = "a row for each training text, a column for each emoji"
    return open_float16(path, "soft targets", "corpus", shape, meaning)


def open_float16(
    path: str | os.PathLike[str], content: str, owner: str, shape: tuple[int, int | None], meaning: str
) -> npt.NDArray[np.float16]:
    """Map an .npy file of float16 into memory.

    Args:
        path: The file.
        content: What it should hold, for the messages, as for `owner` and `meaning`.
        owner: What it belongs to.
        shape: Rows, and columns where they are known.
        meaning: What rows and columns are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file of {content} {os.fspath(path)}: check the path")
    try:
        stored: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not an .npy file of numbers: {error}") from error
    rows, columns = shape
    fits = stored.ndim == 2 and len(stored) == rows and columns in (None, stored.shape[1])
    if stored.dtype != np.float16 or not fits:
        needed = f"({rows}, {'numbers' if columns is None else columns})"
        raise ValueError(
            f"{os.fspath(path)} holds {stored.dtype} {stored.shape}, but the {owner} needs float16 {needed}: "
            f"{meaning}"
        )
    return stored
