"""What becomes of a chunk of texts: tokens, labels and the keys that tell duplicates, in a file of its own.

Tokens have numbers of the chunk's own until the vocabulary of all chunks is known, so that what follows works
on arrays alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.duplicates import (
    VALIDATION_WORDS,
    Hashes,
    Keys,
    Rows,
    band_keys,
    chunk_keys,
    hash_words,
    mix,
    row_hashes,
)
from torchmoji.corpus.emoji_finder import EmojiFinder
from torchmoji.corpus.reading import BadLines, Chunk, Columns, records_of
from torchmoji.corpus.settings import (
    Rules,
    counts_for_language,
    is_mostly_in,
    is_word,
    language_words,
    text_filter,
    unescape,
)
from torchmoji.corpus.shards import save_arrays
from torchmoji.word_generator import every_word

TRAINING, VALIDATION = 0, 1
"""Sides of the split."""
DUPLICATE, NEAR_DUPLICATE, HELD_OUT = 1, 2, 4
"""Flags of rows: like an earlier row; not to be left out."""

_HASH_RANGE = float(1 << 64)

Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ChunkTask:
    """What a worker needs to know.

    Attributes:
        folder: For the file.
        rules: Which texts are taken.
        columns: Of tables.
        validation: Share of the texts that is held out.
        skip_bad_lines: Count what is no record.
        keep_text: Keep the texts beside their tokens.
        chunk: The texts.
    """

    folder: Path
    rules: Rules
    columns: Columns
    validation: float
    skip_bad_lines: bool
    keep_text: bool
    chunk: Chunk


def chunk_path(folder: Path, number: int) -> Path:
    """The file of a chunk."""
    return folder / f"chunk-{number:06d}.arrow"


class _Numbers(dict[str, int]):
    """Gives each word a number at first sight."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


@lru_cache(maxsize=1)
def _finder(emojis: tuple[str, ...]) -> EmojiFinder:
    return EmojiFinder(emojis)


_language_words = lru_cache(maxsize=1)(language_words)


@dataclass
class _Texts:
    """The texts that passed the rules for texts, by columns."""

    numbers: _Numbers = field(default_factory=_Numbers)
    tokens: list[int] = field(default_factory=list)
    token_counts: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    label_counts: list[int] = field(default_factory=list)
    is_held_out: list[bool] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)  # of each file
    dropped: Counter[str] = field(default_factory=Counter)  # for each rule
    bad_lines: int = 0


def process_chunk(task: ChunkTask) -> dict[str, Any]:
    """Read, filter and tokenize a chunk, and write its file.

    Returns:
        What is saved with the file: `rows` that passed the rules, `keys`, `end` of the chunk in the input,
        `records` of each file, `bad_lines`, and `dropped` texts for each rule.

    Raises:
        ValueError: A line is no record; the message names the file and the line.
    """
    found = _take_texts(task)
    words = list(found.numbers)
    hashes = hash_words(words)
    tokens = Rows(np.array(found.tokens, dtype=np.int64), np.array(found.token_counts, dtype=np.int64))
    is_content = np.array([*map(is_word, words)], dtype=bool)
    passed = _passed(task.rules, words, is_content, tokens, found.dropped)
    tokens = _select(tokens, passed)
    labels = Rows(np.array(found.labels, dtype=np.int64), np.array(found.label_counts, dtype=np.int64))
    labels = _select(labels, passed)
    is_held_out = np.array(found.is_held_out, dtype=bool)[passed]

    content = _content(words, is_content, hashes, tokens)
    keys, flags = _keys(task.rules, hashes, tokens, labels, content)
    flags |= np.where(is_held_out, HELD_OUT, 0).astype(np.uint8)
    stored = flags & (DUPLICATE | NEAR_DUPLICATE) == 0
    stored |= is_held_out
    sides = np.where(
        is_held_out | _is_for_validation(task.validation, hashes, tokens, content[0]), VALIDATION, TRAINING
    )
    about = {
        "rows": len(flags),
        "keys": len(keys.keys),
        "end": list(task.chunk.end),
        "records": dict(found.records),
        "bad_lines": found.bad_lines,
        "dropped": dict(found.dropped),
    }
    tokens, labels = _select(tokens, stored), _select(labels, stored)
    arrays: dict[str, Any] = {
        "words": words,
        "word_hashes": hashes,
        "flags": flags,
        "sides": sides[stored].astype(np.uint8),
        "tokens": tokens.values.astype(np.uint32),
        "token_counts": tokens.counts.astype(np.uint16),
        "labels": labels.values.astype(np.uint16),
        "label_counts": labels.counts.astype(np.uint16),
        "keys": keys.keys,
        "key_rows": keys.rows,
        "buckets": keys.buckets,
    }
    if task.keep_text:
        kept = np.flatnonzero(passed)[stored]
        arrays["texts"] = [found.texts[row] for row in kept]
    save_arrays(chunk_path(task.folder, task.chunk.number), arrays, about)
    return about


def _take_texts(task: ChunkTask) -> _Texts:
    """Read the texts of a chunk and apply the rules that look at one text."""
    rules, finder = task.rules, _finder(task.rules.emojis)
    reason_against = text_filter(rules)
    generator = every_word()
    found = _Texts(bad_lines=task.chunk.bad_lines)
    number_of = found.numbers.__getitem__
    has_labels = task.columns.labels is not None
    for part in task.chunk.parts:
        bad = BadLines(part.source.path, task.skip_bad_lines)
        count = 0
        for line, text, given in records_of(part, task.columns, bad):
            count += 1
            classes, text = finder.take_out(text)
            if has_labels:
                try:
                    classes = finder.read_labels(given)
                except ValueError as error:
                    bad.report(line, str(error))
                    continue
            if not classes:
                found.dropped["no_emoji"] += 1
                continue
            reason = reason_against(text)
            if reason is not None:
                found.dropped[reason] += 1
                continue
            text = unescape(text)
            words = generator.get_words(text)[: rules.max_tokens]
            found.tokens.extend(map(number_of, words))
            found.token_counts.append(len(words))
            found.labels.extend(classes)
            found.label_counts.append(len(classes))
            found.is_held_out.append(part.is_held_out)
            if task.keep_text:
                found.texts.append(text)
        found.records[part.source.path] += count
        found.bad_lines += bad.count
    return found


def _sums(rows: Rows, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The sum of each row's values (rows,)."""
    sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return sums[rows.ends] - sums[rows.ends - rows.counts]


def _select(rows: Rows, wanted: npt.NDArray[np.bool_]) -> Rows:
    """Some of the rows."""
    return Rows(rows.values[np.repeat(wanted, rows.counts)], rows.counts[wanted])


def _passed(
    rules: Rules,
    words: Sequence[str],
    is_content: npt.NDArray[np.bool_],
    tokens: Rows,
    dropped: Counter[str],
) -> npt.NDArray[np.bool_]:
    """Which texts pass the rules that look at tokens (rows,); the others are counted."""
    numbers = tokens.values
    has_enough = _sums(tokens, is_content[numbers]) >= rules.min_words
    dropped["few_words"] += int((~has_enough).sum())
    if rules.language is None:
        return has_enough
    known = _language_words(rules.language)
    counts = np.array([*map(counts_for_language, words)], dtype=bool)
    is_known = np.array([word in known for word in words], dtype=bool)
    is_right = is_mostly_in(_sums(tokens, counts[numbers]), _sums(tokens, (counts & is_known)[numbers]))
    dropped["language"] += int((has_enough & ~is_right).sum())
    return has_enough & is_right


def _content(
    words: Sequence[str], is_content: npt.NDArray[np.bool_], hashes: Hashes, tokens: Rows
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Hashes of the tokens that are words, and the characters of each."""
    chosen = is_content[tokens.values]
    numbers = tokens.values[chosen]
    counts = _sums(tokens, chosen)
    lengths = np.array([*map(len, words)], dtype=np.int64)
    return Rows(hashes[numbers], counts), lengths[numbers]


def _keys(
    rules: Rules, hashes: Hashes, tokens: Rows, labels: Rows, content: tuple[Rows, npt.NDArray[np.int64]]
) -> tuple[Keys, Flags]:
    """The sorted keys, and flags of duplicates within the chunk (rows,)."""
    flags = np.zeros(len(tokens.counts), dtype=np.uint8)
    if rules.keep_duplicates:
        none = np.zeros(0, dtype=np.uint64)
        return chunk_keys(none, None)[0], flags
    of_labels = mix(row_hashes(Rows(labels.values.astype(np.uint64) + np.uint64(1), labels.counts)))
    exact = mix(row_hashes(Rows(hashes[tokens.values], tokens.counts)) + of_labels)
    near = None
    if not rules.keep_near_duplicates:
        bands, rows = band_keys(*content)
        near = mix(bands + of_labels[rows, np.newaxis]), rows
    keys, duplicate, near_duplicate = chunk_keys(exact, near)
    flags[duplicate] |= DUPLICATE
    flags[near_duplicate] |= NEAR_DUPLICATE
    return keys, flags


def _is_for_validation(share: float, hashes: Hashes, tokens: Rows, content: Rows) -> npt.NDArray[np.bool_]:
    """Which texts are held out (rows,): by the hash of their first words, or of all tokens without any."""
    begins = row_hashes(content, VALIDATION_WORDS)
    without = content.counts == 0
    begins[without] = row_hashes(Rows(hashes[tokens.values], tokens.counts))[without]
    return mix(begins) / _HASH_RANGE < share
