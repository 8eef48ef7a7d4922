"""Filters, tokenizes and hashes one chunk of texts, and keeps the result in a file of its own.

Tokens have numbers of the chunk's own until the vocabulary of all chunks is known, so that what follows works
on arrays alone. A file is the SHA-256 of what follows, and safetensors: nothing in it is run.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from torchmoji.corpus.duplicates import Counts, Hashes, band_keys, hash_rows, hash_words, mix
from torchmoji.corpus.emoji_finder import EmojiFinder, EmoticonFinder
from torchmoji.corpus.settings import (
    ENGLISH,
    CorpusSettings,
    Rules,
    is_in_language,
    is_word,
    language_words,
    text_filter,
    unescape,
    whole_words,
)
from torchmoji.corpus.shards import LabelledRows, Ragged
from torchmoji.emojis import fold_emojis
from torchmoji.files.atomic import atomic_path
from torchmoji.word_generator import every_word

VALIDATION_WORDS = 10
"""Texts that share their first words, so many, are on the same side of a split."""
_HASH_RANGE = float(1 << 64)


@dataclass(frozen=True)
class Chunk:
    """Texts for a worker."""

    path: Path  # the file to write
    settings: CorpusSettings
    is_held_out: bool  # all texts are for validation
    texts: list[str]
    labels: list[list[int]] | None  # classes of each; None where the emojis in the texts are the labels


@dataclass(frozen=True)
class TokenizedChunk:
    """The texts of a chunk that passed the rules."""

    words: list[str]
    rows: LabelledRows  # tokens are places in `words`
    texts: Hashes  # of all tokens of each (rows,)
    keys: Hashes  # for `torchmoji.corpus.duplicates.find_repeats`
    is_held_out: bool  # all are for validation, also those like others
    is_validation: npt.NDArray[np.bool_]  # which are for validation (rows,)
    dropped: Counter[str]  # texts that did not pass, for each rule

    def save(self, path: Path) -> None:
        """Write it to a file, whole or not at all, with a checksum."""
        (tokens, labels, texts), dropped = self.rows, dict(self.dropped)
        notes = {"words": self.words, "texts": texts, "is_held_out": self.is_held_out, "dropped": dropped}
        arrays = {
            "tokens": tokens.values,
            "token_counts": tokens.counts,
            "labels": labels.values,
            "label_counts": labels.counts,
            "texts": self.texts,
            "keys": self.keys,
            "is_validation": self.is_validation,
            "notes": np.frombuffer(json.dumps(notes).encode(), dtype=np.uint8),
        }
        data = save(arrays)
        with atomic_path(path) as temporary:
            temporary.write_bytes(hashlib.sha256(data).digest() + data)

    @classmethod
    def load(cls, path: Path) -> "TokenizedChunk":
        """Read a file of `save`; ValueError where it is damaged."""
        content = path.read_bytes()
        size = hashlib.sha256().digest_size
        digest, data = content[:size], content[size:]
        try:
            if digest != hashlib.sha256(data).digest():
                raise ValueError("its checksum does not fit")
            arrays = load(data)
            notes = json.loads(arrays["notes"].tobytes())
            tokens = Ragged(arrays["tokens"], arrays["token_counts"])
            rows = LabelledRows(tokens, Ragged(arrays["labels"], arrays["label_counts"]), notes["texts"])
            hashes, is_validation = (arrays["texts"], arrays["keys"]), arrays["is_validation"]
            dropped = Counter(notes["dropped"])
            return cls(notes["words"], rows, *hashes, notes["is_held_out"], is_validation, dropped)
        except Exception as error:  # safetensors has an error type of its own
            raise ValueError(f"{path} is damaged ({error}): remove it, and build again") from error


_finder = lru_cache(maxsize=1)(EmojiFinder)
_emoticon_finder = lru_cache(maxsize=1)(EmoticonFinder)


@lru_cache(maxsize=1)
def _language_words(language: str, changed: int) -> frozenset[str]:
    """The words of a language, once for each state of its file."""
    return language_words(language)


def tokenize_chunk(chunk: Chunk) -> int:
    """Filter, tokenize and hash the texts of a chunk, write its file, and give the number of texts."""
    rules = chunk.settings.rules
    finder, reason_against, generator = _finder(rules.emojis), text_filter(rules), every_word()
    emoticons = _emoticon_finder(rules.emojis)
    known = None
    if rules.language is not None:
        changed = 0 if rules.language == ENGLISH else Path(rules.language).stat().st_mtime_ns
        known = _language_words(rules.language, changed)
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))  # in the order of first sight
    tokens: list[int] = []
    token_counts: list[int] = []
    labels: list[int] = []
    label_counts: list[int] = []
    texts: list[str] = []
    is_right: list[bool] = []  # the language
    marks: list[tuple[str, list[int]]] = []  # that training texts get at their end, and their tokens
    dropped: Counter[str] = Counter()
    for place, text in enumerate(chunk.texts):
        classes, text = finder.take_out(unescape(text))
        if chunk.labels is not None:
            classes = chunk.labels[place]
        if rules.emoticons:
            more, text = emoticons.take_out(text)
            classes = sorted({*classes, *more})
        reason = reason_against(text) if classes else "no_emoji"
        if reason is not None:
            dropped[reason] += 1
            continue
        text = fold_emojis(text)
        words = generator.get_words(text)[: rules.max_tokens]
        is_plain = rules.language in (None, ENGLISH) or text.isascii()
        of_text = words if is_plain else whole_words(text)[: rules.max_tokens]
        is_right.append(known is None or is_in_language(of_text, known))
        tokens.extend(map(numbers.__getitem__, words))
        mark = emoticons.mark_for(text, classes, rules.put_in)
        of_mark = generator.get_words(fold_emojis(mark)) if mark else []
        has_room = len(words) + len(of_mark) <= rules.max_tokens
        marks.append((mark, [numbers[word] for word in of_mark]) if has_room else ("", []))
        token_counts.append(len(words))
        labels.extend(classes)
        label_counts.append(len(classes))
        texts.append(text)
    rows = LabelledRows(
        Ragged(np.array(tokens, dtype=np.uint32), np.array(token_counts, dtype=np.int64)),
        Ragged(np.array(labels, dtype=np.uint16), np.array(label_counts, dtype=np.int64)),
        texts if chunk.settings.keep_text else None,
    )
    _hashed(chunk, list(numbers), rows, is_right, marks, dropped).save(chunk.path)
    return len(chunk.texts)


def _hashed(
    chunk: Chunk,
    words: list[str],
    rows: LabelledRows,
    is_right: Sequence[bool],
    marks: Sequence[tuple[str, list[int]]],
    dropped: Counter[str],
) -> TokenizedChunk:
    """Apply the rules that look at tokens, hash what passes, and put the marks in."""
    settings = chunk.settings
    is_content = np.array([*map(is_word, words)], dtype=bool)
    has_passed = rows.tokens.sums(is_content[rows.tokens.values]) >= settings.rules.min_words
    dropped["few_words"] += int((~has_passed).sum())
    is_in = np.array(is_right, dtype=bool)
    dropped["language"] += int((has_passed & ~is_in).sum())
    has_passed &= is_in
    rows, marks = rows.select(has_passed), list(compress(marks, has_passed))
    tokens, hashes = rows.tokens, hash_words(words)
    chosen = is_content[tokens.values]
    numbers = tokens.values[chosen]
    content = Ragged(hashes[numbers], tokens.sums(chosen))
    lengths = np.array([*map(len, words)], dtype=np.int64)[numbers]
    texts = hash_rows(Ragged(hashes[tokens.values], tokens.counts))
    keys = _keys(settings.rules, texts, rows.labels, content, lengths)
    is_validation = mix(hash_rows(content, VALIDATION_WORDS)) / _HASH_RANGE < settings.validation
    is_validation |= chunk.is_held_out
    marks = [("", []) if no else mark for mark, no in zip(marks, is_validation, strict=True)]
    rows = _with_marks(rows, marks)
    return TokenizedChunk(words, rows, texts, keys, chunk.is_held_out, is_validation, dropped)


def _with_marks(rows: LabelledRows, marks: Sequence[tuple[str, list[int]]]) -> LabelledRows:
    """Rows with a mark and its tokens at the end of each, if any."""
    tokens, labels, texts = rows
    counts = np.array([len(numbers) for _, numbers in marks], dtype=np.int64)
    added = np.fromiter(chain.from_iterable(numbers for _, numbers in marks), dtype=tokens.values.dtype)
    values = np.insert(tokens.values, np.repeat(tokens.offsets[1:], counts), added)
    if texts is not None:
        texts = [f"{text} {mark}" if mark else text for text, (mark, _) in zip(texts, marks, strict=True)]
    return LabelledRows(Ragged(values, tokens.counts + counts), labels, texts)


def _keys(rules: Rules, texts: Hashes, labels: Ragged, content: Ragged, lengths: Counts) -> Hashes:
    """Hashes of each text's tokens, and of runs of its words, with its emojis (rows, 0, 1 or 1 + `BANDS`)."""
    keys = np.zeros((len(texts), 0), dtype=np.uint64)
    if rules.keep_duplicates:
        return keys
    if not rules.keep_near_duplicates:
        keys = band_keys(content, lengths)
    of_labels = mix(hash_rows(Ragged(labels.values.astype(np.uint64) + np.uint64(1), labels.counts)))
    return mix(np.column_stack([texts, keys]) + of_labels[:, np.newaxis])
