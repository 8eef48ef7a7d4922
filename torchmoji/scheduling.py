"""Batches for inference: texts alike in length together, identical ones once, results in input order.

Sorted by length, a batch has next to no padding however much the lengths spread; the limit in tokens keeps
memory flat where texts are long, and a stream is taken a window at a time.
Neither torch nor any engine is imported here: `run_by_length` serves all.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.sentence_tokenizer import SentenceTokenizer, check_is_text

Array = npt.NDArray[Any]
Run = Callable[[Array], tuple[Array, Array]]
"""Token ids (batch, time) to outputs (batch, ...) and attention (batch, time)."""


def unique_rows(ids: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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


def used_columns(ids: Array) -> npt.NDArray[np.int64]:
    """How many columns each row uses, up to its last token; id 0 is padding; (n,)."""
    if ids.shape[1] == 0:
        return np.zeros(len(ids), dtype=np.int64)
    is_token = ids != 0
    last = ids.shape[1] - np.argmax(is_token[:, ::-1], axis=1)
    return np.where(is_token.any(axis=1), last, 0)


def batches_by_length(
    lengths: npt.NDArray[np.int64], max_rows: int, max_tokens: int
) -> list[npt.NDArray[np.int64]]:
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
    first, row_of = unique_rows(ids) if once else (np.arange(len(ids)), np.arange(len(ids)))
    different = ids if len(first) == len(ids) else ids[first]
    lengths = used_columns(different)
    if len(different) == 0:
        return run(different)
    batches = iter(batches_by_length(lengths, max_rows, max_tokens))

    def run_rows(rows: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        return run(different[rows, : int(lengths[rows].max())])

    rows = next(batches)
    output, weights = run_rows(rows)  # says of what shape and type the results are
    outputs = np.empty((len(different), *output.shape[1:]), output.dtype)
    attention = np.zeros(different.shape, weights.dtype)
    outputs[rows], attention[rows, : weights.shape[1]] = output, weights
    for rows in batches:
        output, weights = run_rows(rows)
        outputs[rows], attention[rows, : weights.shape[1]] = output, weights
    if different is not ids:
        outputs, attention = outputs[row_of], attention[row_of]
    return outputs, attention


def text_windows(texts: Iterable[str], size: int, check: bool = True) -> Iterator[list[str]]:
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
    for texts_of_window in text_windows(texts, window, check=not tokenizer.uses_custom_wordgen):
        result = model(tokenizer.tokenize_sentences(texts_of_window)[0])
        yield from zip(*result, strict=True) if isinstance(result, tuple) else result
