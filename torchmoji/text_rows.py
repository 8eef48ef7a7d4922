"""Texts of any length as rows of token ids for a model, and rows of results as results of texts.

A text is one row. One that is longer than the limit is cut, which is counted and said once, or it is several
rows that overlap by half, whose results are averaged.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.scheduling import text_windows

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

WINDOW = 2048
"""Texts of a stream that are tokenized and sorted by length together."""


class TokenRows(NamedTuple):
    """Token ids of texts; a text has one row, or several that overlap."""

    ids: npt.NDArray[np.int64]  # (rows, time)
    texts: npt.NDArray[np.int64]  # (rows,) the text of each row
    starts: list[int]  # (rows,) its first token's number in the text
    lengths: list[int]  # (rows,) its tokens


class Cut:
    """Counts the texts of a call that were cut, and says so once, at its end.

    Args:
        limit: Tokens of a text, at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.texts, self.cut = limit, 0, 0

    def __enter__(self) -> "Cut":
        return self

    def __exit__(self, *error: object) -> None:
        if self.cut:
            logger.warning(
                "%d of %d texts are longer than %d tokens and were cut: max_length= takes more, "
                "windows=True averages over windows",
                *(self.cut, self.texts, self.limit),
            )


def token_rows(tokens: Sequence[Sequence[int]], windows: bool, cut: Cut) -> TokenRows:
    """Put the tokens of texts into rows.

    Args:
        tokens: Ids of each text.
        windows: Give longer texts several rows in place of cutting them.
        cut: Has the limit, and counts.
    """
    cut.texts += len(tokens)
    rows: list[Sequence[int]] = []
    of_text, starts = [], []
    for number, found in enumerate(tokens):
        cut.cut += len(found) > cut.limit and not windows
        last = max(0, len(found) - cut.limit) if windows else 0
        for start in [*range(0, last, max(1, cut.limit // 2)), last]:
            rows.append(found[start : start + cut.limit])
            of_text.append(number)
            starts.append(start)
    lengths = [len(row) for row in rows]
    ids = np.zeros((len(rows), max(lengths, default=0)), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return TokenRows(ids, np.array(of_text, dtype=np.int64), starts, lengths)


def averaged(rows: Floats, texts: npt.NDArray[np.int64], nb_texts: int) -> Floats:
    """The mean of each text's rows, (texts, ...)."""
    if len(rows) == nb_texts:
        return rows
    sums = np.zeros((nb_texts, rows.shape[1]), np.float32)
    np.add.at(sums, texts, rows)
    return np.asarray(sums / np.bincount(texts, minlength=nb_texts)[:, np.newaxis], dtype=np.float32)


def joined_attention(attention: Floats, rows: TokenRows, nb_texts: int) -> list[Floats]:
    """The attention of each text's tokens, (tokens,), from that of its rows (rows, time); it sums up to 1."""
    counts = np.bincount(rows.texts, minlength=nb_texts)
    weights: list[Floats] = [np.zeros(0, np.float32)] * nb_texts
    for number, text, start, length in zip(
        range(len(attention)), rows.texts.tolist(), rows.starts, rows.lengths, strict=True
    ):
        joined = np.zeros(max(len(weights[text]), start + length), np.float32)
        joined[: len(weights[text])] = weights[text]
        joined[start : start + length] += attention[number, :length] / counts[text]
        weights[text] = joined
    return weights


def check_are_texts(texts: object) -> None:
    """Refuse what is neither a text nor several in an order.

    Raises:
        TypeError: It is not, such as a table, a mapping or a set.
    """
    shape = getattr(texts, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        raise TypeError(
            f"expected a text or several, got {type(texts).__name__} of the shape {shape}: "
            "give one column, (n,)"
        )
    if isinstance(texts, bytes | Mapping | Set) or not isinstance(texts, Iterable):
        raise TypeError(
            f"expected a text or several in an order, got {type(texts).__name__}: {str(texts)[:80]}"
        )


def checked_windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts, a window at a time.

    Raises:
        TypeError: They are not several, or one is not a string.
    """
    check_are_texts(texts)
    return text_windows(texts, WINDOW)


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Rows (n, D) scaled to the length 1, in their own type; rows of zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: npt.NDArray[np.floating] = rows / np.where(lengths > 0, lengths, 1).astype(rows.dtype)
    return scaled
