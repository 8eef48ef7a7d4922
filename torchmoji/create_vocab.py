"""Counts words, merges counts and makes or extends vocabularies.

Source: DeepMoji, `create_vocab.py`. Words equal in frequency keep the order in which they were first seen,
so the same texts always give the same vocabulary; files are written whole or not at all.
"""

import json
import logging
import math
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from torchmoji import global_variables
from torchmoji.files.atomic import atomic_path, atomic_write_text, read_json
from torchmoji.files.npz import read_npz
from torchmoji.filter_utils import is_special_token
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.word_generator import WordGenerator

logger = logging.getLogger(__name__)

WORD_LENGTH_LIMIT = 30
"""Longer words, in characters, are not counted."""
SPELLED_OUT = ("CUSTOM_AT", "CUSTOM_URL", "CUSTOM_NUMBER", "CUSTOM_BREAK")
"""Special tokens that DeepMoji's data sets hold as text, which the tokenizer lowers."""


def most_frequent_first(counts: Mapping[str, float]) -> dict[str, float]:
    """The same counts, highest first; ties keep their order."""
    return dict(sorted(counts.items(), key=lambda item: item[1], reverse=True))


def load_word_counts(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read word counts that `VocabBuilder.save_vocab` or `MasterVocab.save_vocab` wrote.

    Counts of the 2017 package, whose words are bytes, can be read too.

    Args:
        path: An `.npz` file with one structured array of the fields `word` and `count`.

    Returns:
        Word -> count, in the order of the file.

    Raises:
        ValueError: The file holds something else.
    """
    expected = "a file of word counts: expected an .npz file of one array with the fields 'word' and 'count'"
    table = read_npz(path, expected)
    kinds = [table.dtype[field].kind for field in table.dtype.names or ()]
    if (
        table.dtype.names != ("word", "count")
        or kinds[0] not in "SU"
        or kinds[1] not in "iuf"
        or table.ndim != 1
    ):
        raise ValueError(f"{os.fspath(path)} is not {expected}; found an array of {table.dtype!s:.100}")
    try:
        words = np.char.decode(table["word"], "utf-8") if kinds[0] == "S" else table["word"]
        counts = dict(zip(words.tolist(), table["count"].tolist(), strict=True))
    except ValueError as error:  # what is no UTF-8, or no character
        raise ValueError(f"{os.fspath(path)} is not {expected}; {error!s:.100}: make it again") from error
    if not all(map(math.isfinite, counts.values())):
        raise ValueError(f"{os.fspath(path)} has a count that is no finite number: make it again")
    return counts


def _save_word_counts(
    path: str | os.PathLike[str], name: str, counts: Mapping[str, float], count_type: str
) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    # numpy's strings lose a NUL at their end, so a word that is one cannot be stored
    entries = [(word, count) for word, count in counts.items() if word.rstrip("\0")]
    table = np.array(entries, dtype=[("word", f"U{WORD_LENGTH_LIMIT}"), ("count", count_type)])
    arrays: dict[str, Any] = {name: table}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return path


def _read_ids(path: Path) -> dict[str, int]:
    try:
        vocabulary = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is not a vocabulary: no valid JSON ({error!s:.200})") from error
    if not isinstance(vocabulary, dict) or not set(map(type, vocabulary.values())) <= {int}:
        raise ValueError(f"{path} is not a vocabulary: expected a JSON object of word -> id")
    return vocabulary


def load_vocabulary(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read a vocabulary: a JSON object of word -> id, and the other spellings in the file beside it.

    Spellings, such as "#fear" for "fear", have the ids of their words, so that there may be more entries than
    embeddings: `rows_of_embedding` counts these. They come first, so that whoever turns the vocabulary round
    finds the words. Other programs read the words alone, one for each id.

    Args:
        path: The words; `spellings_path` says where the spellings are, if there are any.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: One of the files is not a JSON object of integers, or a spelling's id is that of no word.
    """
    path = Path(path)
    words, beside = _read_ids(path), spellings_path(path)
    if not beside.is_file():
        return words
    spellings = _read_ids(beside)
    lost = set(spellings.values()) - set(words.values())
    if lost:
        raise ValueError(
            f"{beside} has the id {min(lost)}, which no word of {path} has: copy both files again"
        )
    return {**spellings, **words}


def spellings_path(path: str | os.PathLike[str]) -> Path:
    """Where the other spellings of a vocabulary's words are: beside it, such as vocabulary.spellings.json."""
    return Path(path).with_suffix(".spellings.json")


def split_spellings(vocabulary: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Words, one for each id, the last one that has it, and the other spellings; both with ids."""
    names = {index: word for word, index in vocabulary.items()}
    words = {word: index for word, index in vocabulary.items() if names[index] == word}
    return words, {word: index for word, index in vocabulary.items() if word not in words}


def words_by_id(vocabulary: Mapping[str, int]) -> list[str]:
    """The words of a vocabulary in the order of their ids; of words with the same id the last one."""
    names = {index: word for word, index in vocabulary.items()}
    return [names[index] for index in sorted(names)]


def rows_of_embedding(vocabulary: Mapping[str, int]) -> int:
    """How many embeddings a vocabulary needs: its highest id and one."""
    return max(vocabulary.values(), default=-1) + 1


def with_hashtags(vocabulary: Mapping[str, int], most: int) -> dict[str, int]:
    """The same words, and hashtags with the ids of their words: "#fear" is read like "fear".

    A hashtag that has an id of its own keeps it. The others come before their words, so that whoever turns
    the vocabulary round finds the word. `SPELLED_OUT` tokens are known in small letters too.

    Args:
        vocabulary: Word -> id, frequent words first.
        most: Words of two letters or more that get one, at most.
    """
    words = words_by_id(vocabulary)
    wider: dict[int, list[str]] = {}
    for word, index in vocabulary.items():
        wider.setdefault(index, []).append(word)
    for word in words:
        if word in SPELLED_OUT and word.lower() not in vocabulary:
            wider[vocabulary[word]].insert(0, word.lower())
    plain = (word for word in words if len(word) > 1 and word.isalpha() and word not in SPECIAL_TOKENS)
    can_have = (word for word in plain if vocabulary.get(f"#{word}") in (None, vocabulary[word]))
    for word in islice(can_have, most):
        if f"#{word}" not in vocabulary:
            wider[vocabulary[word]].insert(0, f"#{word}")
    return {word: index for index in sorted(wider) for word in wider[index]}


def check_fits(vocabulary: Mapping[str, int], nb_tokens: int) -> None:
    """Refuse a vocabulary with ids that a model does not have.

    Raises:
        ValueError: An id is negative, or not below `nb_tokens`.
    """
    highest, lowest = max(vocabulary.values(), default=0), min(vocabulary.values(), default=0)
    if highest >= nb_tokens or lowest < 0:
        raise ValueError(
            f"the vocabulary has ids from {lowest} to {highest}, but the model has {nb_tokens} tokens: "
            "use the vocabulary that belongs to the weights"
        )


def vocabulary_files(vocabulary: Mapping[str, int], path: Path) -> dict[Path, str | None]:
    """The texts of a vocabulary's files: that of the words, one for each id, and that of other spellings.

    Both are JSON in ASCII, which programs read alike in any locale, an entry a line. Without other spellings
    there is no such file: None.
    """
    words, spellings = split_spellings(vocabulary)
    return {spellings_path(path): _as_text(spellings) if spellings else None, path: _as_text(words)}


def _as_text(words: Mapping[str, Any]) -> str:
    return json.dumps(words, indent=0, separators=(",", ":")) + "\n"


def save_vocabulary(vocabulary: Mapping[str, int], path: str | os.PathLike[str]) -> None:
    """Write a vocabulary as `load_vocabulary` reads it; the spellings of an older one of that name go."""
    for file, text in vocabulary_files(vocabulary, Path(path)).items():
        if text is None:
            file.unlink(missing_ok=True)
        else:
            atomic_write_text(file, text)


class VocabBuilder:
    """Counts the words that a word generator gives.

    Args:
        word_gen: The source of words.

    Attributes:
        word_counts: Word -> count, in the order in which words were first seen; the special tokens lead.
            A word that was not seen counts 0.
    """

    word_length_limit = WORD_LENGTH_LIMIT

    def __init__(self, word_gen: WordGenerator) -> None:
        self.word_gen = word_gen
        self.word_counts: Counter[str] = Counter(dict.fromkeys(SPECIAL_TOKENS, 0))

    def count_words_in_sentence(self, words: Iterable[str]) -> None:
        """Count the words of one text; empty words and those over 30 characters are left out."""
        for word in words:
            if 0 < len(word) <= self.word_length_limit:
                self.word_counts[word] += 1

    def count_all_words(self) -> None:
        """Count the words of every text that the word generator gives."""
        for words, _ in self.word_gen:
            self.count_words_in_sentence(words)

    def count_texts(self, texts: Iterable[str]) -> None:
        """Count the words of texts as the word generator normalises and splits them, none left out."""
        for text in texts:
            self.count_words_in_sentence(self.word_gen.get_words(text))

    def get_next_word(self) -> tuple[list[str], dict[str, Any]]:
        """The first text's words and information, as iterating over the word generator gives them.

        Raises:
            StopIteration: There is no text with words.
        """
        return next(iter(self.word_gen))

    def save_vocab(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the counts, highest first, to an `.npz` file (array `data`, fields `word` and `count`).

        Args:
            path: The file, `.npz` is added where it is missing; a new name in the current folder by default.

        Returns:
            The file's path.
        """
        counts = most_frequent_first(self.word_counts)
        written = _save_word_counts(path or uuid.uuid4().hex, "data", counts, "int64")
        logger.info("saved %d word counts to %s", len(counts), written)
        return written


class MasterVocab:
    """Merges word counts of several sources, each normalised to the size of the largest.

    Attributes:
        master_vocab: Word -> normalised count.
    """

    def __init__(self) -> None:
        self.master_vocab: dict[str, float] = {}

    def populate_master_vocab(
        self, vocab_path: str | os.PathLike[str], min_words: int = 1, force_appearance: str | None = None
    ) -> None:
        """Add the counts of all `.npz` files found.

        Args:
            vocab_path: A folder, or the beginning of the files' paths; `*.npz` is appended.
            min_words: Words with a lower count in a file are not taken from it.
            force_appearance: Part of one file's name: only words of that file are taken from any.

        Raises:
            FileNotFoundError: No file matches, or none has `force_appearance` in its name.
        """
        start = Path(vocab_path)
        if start.is_dir():
            paths = sorted(start.glob("*.npz"))
        else:
            paths = sorted(path for path in start.parent.glob("*.npz") if path.name.startswith(start.name))
        if not paths:
            raise FileNotFoundError(f"no word counts found at {os.fspath(vocab_path)}*.npz")

        tables = {}
        for path in paths:
            read = load_word_counts(path).items()
            tables[path] = {w: n for w, n in read if n >= min_words and not is_special_token(w)}
        sizes = {path: sum(counts.values()) for path, counts in tables.items()}
        largest = max(sizes.values())

        forced = None
        if force_appearance is not None:
            forced = next((tables[path] for path in paths if force_appearance in path.name), None)
            if forced is None:
                raise FileNotFoundError(
                    f"no file named like {force_appearance!r} among {', '.join(path.name for path in paths)}"
                )

        for path, counts in tables.items():
            logger.info("%s: %d words, %g occurrences", path.name, len(counts), sizes[path])
            for word, count in counts.items():
                if forced is None or word in forced:
                    normalised = count * largest / sizes[path]
                    self.master_vocab[word] = self.master_vocab.get(word, 0) + normalised

    def save_vocab(
        self, path_count: str | os.PathLike[str], path_vocab: str | os.PathLike[str], word_limit: int = 100000
    ) -> None:
        """Write the merged counts and the vocabulary made of them: special tokens, then words by frequency.

        Args:
            path_count: `.npz` file (array `counts`); special tokens have the count -1.
            path_vocab: JSON file, word -> id.
            word_limit: The most entries, special tokens included.

        Raises:
            ValueError: `word_limit` has no room for the special tokens.
        """
        if word_limit < len(SPECIAL_TOKENS):
            raise ValueError(
                f"word_limit must leave room for the {len(SPECIAL_TOKENS)} special tokens, got {word_limit}"
            )
        entries: dict[str, float] = dict.fromkeys(SPECIAL_TOKENS, -1)
        entries.update(most_frequent_first(self.master_vocab))
        kept = dict(list(entries.items())[:word_limit])
        _save_word_counts(path_count, "counts", kept, "float64")
        save_vocabulary({word: index for index, word in enumerate(kept)}, path_vocab)


def all_words_in_sentences(sentences: Iterable[Iterable[str]]) -> list[str]:
    """The different words of tokenized texts, in the order in which they are first seen."""
    return list(dict.fromkeys(word for sentence in sentences for word in sentence))


def extend_vocab_in_file(
    vocab: VocabBuilder, max_tokens: int = 10000, vocab_path: str | os.PathLike[str] | None = None
) -> int:
    """Extend a vocabulary file in place, as `extend_vocab` does, and give the number of words added.

    Args:
        vocab: Its counts are the candidates.
        max_tokens: The most words to add.
        vocab_path: Better a copy: None is `VOCAB_PATH`, the vocabulary that belongs to `PRETRAINED_PATH`;
            that of the original weights is changed, that of the default model is not.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a vocabulary, or belongs to the default model that comes with the package.
    """
    path = global_variables.VOCAB_PATH if vocab_path is None else vocab_path
    shipped = global_variables.default_model_directory() / global_variables.VOCABULARY_NAME
    if os.path.realpath(path) == os.path.realpath(shipped):
        raise ValueError(
            f"{os.fspath(path)} belongs to the default model, which could not be loaded any more: copy it "
            "to another folder, and give the copy as vocab_path="
        )
    current = load_vocabulary(path)
    added = extend_vocab(current, vocab, max_tokens)
    save_vocabulary(current, path)
    return added


def extend_vocab(current_vocab: dict[str, int], new_vocab: VocabBuilder, max_tokens: int = 10000) -> int:
    """Add the most frequent words that a vocabulary does not have yet, in place.

    Args:
        current_vocab: Word -> id. New ids follow the highest.
        new_vocab: Its counts are the candidates, special tokens that the vocabulary lacks among them.
        max_tokens: The most words to add; a negative number means 10 000.

    Returns:
        How many words were added.
    """
    limit = 10000 if max_tokens < 0 else max_tokens
    ranked = most_frequent_first(new_vocab.word_counts)
    new_words = [word for word in ranked if word not in current_vocab][:limit]
    first = rows_of_embedding(current_vocab)
    current_vocab.update({word: first + rank for rank, word in enumerate(new_words)})
    return len(new_words)
