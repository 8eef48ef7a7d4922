"""Texts of any number and length as batches for a model, and its results in the order of the texts.

A stream of texts is taken a few thousand at a time; a long text may become several overlapping windows, whose
results are merged; identical rows of token ids are computed once; and rows alike in length go together, so
that a batch has next to no padding however much the lengths spread. A limit in tokens keeps memory flat.
Neither torch nor any engine is imported here.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.sentence_tokenizer import SentenceTokenizer, check_is_text

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Run = Callable[[Array], tuple[Array, Array]]
"""Token ids (batch, time) to outputs (batch, ...) and attention (batch, time)."""

WINDOW = 2048
"""Texts of a stream that are tokenized and sorted by length together."""


def unique_rows(ids: Array) -> tuple[Integers, Integers]:
    """Find identical rows.

    Args:
        ids: Token ids (n, time).

    Returns:
        The position of each different row, (m,), in the order of their first occurrence, and for each row
        its place among them, (n,).
    """
    places: dict[bytes, int] = {}
    row_of = np.fromiter(
        (places.setdefault(row.tobytes(), len(places)) for row in np.ascontiguousarray(ids)),
        dtype=np.int64,
        count=len(ids),
    )
    first = np.full(len(places), len(ids), dtype=np.int64)
    np.minimum.at(first, row_of, np.arange(len(ids)))
    return first, row_of


def used_columns(ids: Array) -> Integers:
    """How many columns each row uses, up to its last token; id 0 is padding; (n,)."""
    if ids.shape[1] == 0:
        return np.zeros(len(ids), dtype=np.int64)
    is_token = ids != 0
    last = ids.shape[1] - np.argmax(is_token[:, ::-1], axis=1)
    return np.where(is_token.any(axis=1), last, 0)


def batches_by_length(lengths: Integers, max_rows: int, max_tokens: int) -> list[Integers]:
    """Divide texts into batches, longest texts first.

    Args:
        lengths: Tokens of each text, (n,).
        max_rows: Texts in a batch, at most.
        max_tokens: Rows times the longest row's tokens, at most; one text is always taken.

    Returns:
        The positions of each batch's texts.
    """
    by_length = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(by_length):
        longest = max(1, int(lengths[by_length[start]]))
        rows = max(1, min(max_rows, max_tokens // longest))
        batches.append(by_length[start : start + rows])
        start += rows
    return batches


def run_by_length(
    ids: Array, run: Run, max_rows: int, max_tokens: int, once: bool = True
) -> tuple[Array, Array]:
    """Run a model over rows of token ids in batches of similar length.

    Args:
        ids: Token ids (n, time), padding (0) anywhere.
        run: The model; it gets rows without the columns that none of them uses.
        max_rows: See `batches_by_length`.
        max_tokens: See `batches_by_length`.
        once: Compute identical rows once.

    Returns:
        Outputs (n, ...) and attention (n, time), rows in the order of `ids`, attention zero where `run` did
        not see a column.
    """
    if len(ids) == 0:
        return run(ids)
    first, row_of = unique_rows(ids) if once else (np.arange(len(ids)), np.arange(len(ids)))
    different = ids[first]
    lengths = used_columns(different)
    batches = batches_by_length(lengths, max_rows, max_tokens)
    outputs = attention = np.zeros(0)
    for rows in batches:
        output, weights = run(different[rows, : lengths[rows].max()])
        if not len(outputs):
            outputs = np.empty((len(different), *output.shape[1:]), output.dtype)
            attention = np.zeros(different.shape, weights.dtype)
        outputs[rows] = output
        attention[rows, : weights.shape[1]] = weights
    return outputs[row_of], attention[row_of]


def stream_windows(texts: Iterable[str], size: int, check: bool = True) -> Iterator[list[str]]:
    """Give texts a window at a time.

    Args:
        texts: Any number of them; read a window ahead.
        size: Texts in a window, at most.
        check: Whether each must be a string.

    Raises:
        TypeError: One of the texts is not a string; the message names its position.
    """
    remaining, position = iter(texts), 0
    while window := list(islice(remaining, size)):
        if check:
            for number, text in enumerate(window, start=position):
                check_is_text(text, number)
        position += len(window)
        yield window


def stream_rows(
    texts: Iterable[str], tokenizer: SentenceTokenizer, model: Callable[[Array], Any], window: int = 2048
) -> Iterator[Any]:
    """Run a model over any number of texts, a window of them at a time.

    Args:
        texts: A generator, a file's lines, a list; read a window ahead of the results.
        tokenizer: Makes token ids. With one that leaves texts out there is no result for these.
        model: Token ids (n, time) to an array of n rows, or a pair of them: a `TorchMoji` or an `OnnxModel`.
        window: Texts that are tokenized and sorted by length together.

    Yields:
        The result of each text in the order of the texts: a row, or a pair of rows.

    Raises:
        TypeError: One of the texts is not a string; the message names its position.
        ValueError: `window` is below 1.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1 text, got {window}")
    for texts_of_window in stream_windows(texts, window, check=not tokenizer.uses_custom_wordgen):
        result = model(tokenizer.tokenize_sentences(texts_of_window)[0])
        yield from zip(*result, strict=True) if isinstance(result, tuple) else result


class TextWindows(NamedTuple):
    """Token ids of texts; a text has one window, or several that overlap."""

    ids: Integers  # (windows, time)
    texts: Integers  # (windows,) the text of each window
    starts: list[int]  # (windows,) its first token's number in the text
    lengths: list[int]  # (windows,) its tokens


class TruncationCounter:
    """Counts the texts of a call that were truncated, and logs a warning once, at its end.

    Args:
        limit: Tokens of a text, at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.texts, self.truncated = limit, 0, 0

    def __enter__(self) -> "TruncationCounter":
        return self

    def __exit__(self, *error: object) -> None:
        if self.truncated:
            logger.warning(
                "%d of %d texts are longer than %d tokens and were cut: max_length= takes more, "
                "windows=True averages over windows",
                *(self.truncated, self.texts, self.limit),
            )


def split_texts(tokens: Sequence[Sequence[int]], windows: bool, counter: TruncationCounter) -> TextWindows:
    """Put the tokens of texts into rows of token ids.

    Args:
        tokens: Ids of each text.
        windows: Give longer texts several rows in place of cutting them.
        counter: Has the limit, and counts.
    """
    counter.texts += len(tokens)
    rows: list[Sequence[int]] = []
    of_text, starts = [], []
    for number, found in enumerate(tokens):
        counter.truncated += len(found) > counter.limit and not windows
        last = max(0, len(found) - counter.limit) if windows else 0
        for start in [*range(0, last, max(1, counter.limit // 2)), last]:
            rows.append(found[start : start + counter.limit])
            of_text.append(number)
            starts.append(start)
    lengths = [len(row) for row in rows]
    ids = np.zeros((len(rows), max(lengths, default=0)), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return TextWindows(ids, np.array(of_text, dtype=np.int64), starts, lengths)


def merge_rows(rows: Floats, texts: Integers, nb_texts: int) -> Floats:
    """The mean of each text's rows, (texts, ...)."""
    if len(rows) == nb_texts:
        return rows
    sums = np.zeros((nb_texts, rows.shape[1]), np.float32)
    np.add.at(sums, texts, rows)
    return np.asarray(sums / np.bincount(texts, minlength=nb_texts)[:, np.newaxis], dtype=np.float32)


def merge_attention(attention: Floats, rows: TextWindows, nb_texts: int) -> list[Floats]:
    """The attention of each text's tokens, (tokens,), from that of its rows (rows, time); it sums up to 1."""
    counts = np.bincount(rows.texts, minlength=nb_texts)
    sizes = np.zeros(nb_texts, np.int64)
    np.maximum.at(sizes, rows.texts, np.add(rows.starts, rows.lengths))
    weights = [np.zeros(size, np.float32) for size in sizes]
    for row, text, start, length in zip(attention, rows.texts, rows.starts, rows.lengths, strict=True):
        weights[text][start : start + length] += row[:length] / counts[text]
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
    return stream_windows(texts, WINDOW)


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Rows (n, D) scaled to the length 1, in their own type; rows of zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: npt.NDArray[np.floating] = rows / np.where(lengths > 0, lengths, 1).astype(rows.dtype)
    return scaled
