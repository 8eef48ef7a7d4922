"""Turns texts into rows of token ids, and splits data sets.

Source: DeepMoji, `sentence_tokenizer.py`. Unlike there, a text without tokens gives a row of padding, so
rows and texts always correspond, a vocabulary may have more than 65 535 words, and a split is the same for
the same seed.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.create_vocab import VocabBuilder, extend_vocab, rows_of_embedding
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.shipped import default_spellings, note_vocabulary
from torchmoji.word_generator import WordGenerator, every_word

logger = logging.getLogger(__name__)


class SentenceTokenizer:
    """Maps texts to token ids by a vocabulary.

    Args:
        vocabulary: Word -> id. It is copied. That of the default model, as `json.load` reads it, is taken
            with its other spellings, such as hashtags, as `load_vocabulary` gives it.
        fixed_length: The number of columns of the token array, in tokens. Longer texts are cut at the end.
        custom_wordgen: Chooses, changes or describes texts; its stream must be unset. By default texts are
            tokenized as the weights expect it, emojis and other Unicode kept.
        ignore_sentences_with_only_custom: Leave out texts without a known word: those of special tokens and
            unknown words only, and empty ones.
        masking_value: The id for padding.
        unknown_value: The id for words that the vocabulary lacks.

    Attributes:
        kept_rows: For each row of the last result, the position of its text in the input. Only a custom word
            generator or `ignore_sentences_with_only_custom` ever leave a text out.

    Raises:
        TypeError: The vocabulary is not a mapping.
        ValueError: The length is not positive, an id is negative or no whole number, or the custom word
            generator has a stream already.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        fixed_length: int,
        custom_wordgen: WordGenerator | None = None,
        ignore_sentences_with_only_custom: bool = False,
        masking_value: int = 0,
        unknown_value: int = 1,
    ) -> None:
        if not isinstance(vocabulary, Mapping):
            raise TypeError(
                f"the vocabulary must map words to ids, got {type(vocabulary).__name__}; "
                "read a vocabulary file with torchmoji.create_vocab.load_vocabulary"
            )
        if not isinstance(fixed_length, int | np.integer) or fixed_length < 1:
            raise ValueError(f"fixed_length must be a positive number of tokens, got {fixed_length!r}")
        if custom_wordgen is not None and custom_wordgen.stream is not None:
            raise ValueError("the custom word generator has a stream already; make it with stream None")
        own_ids = [("masking_value", masking_value), ("unknown_value", unknown_value)]
        ids = [*vocabulary.values(), masking_value, unknown_value]
        if not set(map(type, ids)) <= {int} or min(ids) < 0:  # quick; what follows says which one
            for word, index in [*vocabulary.items(), *own_ids]:
                if not isinstance(index, int | np.integer) or index < 0:
                    raise ValueError(
                        f"the id of {word!r} must be a whole number of at least 0, got {index!r}"
                    )
        self.vocabulary = dict(vocabulary)
        has_spellings = len(vocabulary) > rows_of_embedding(vocabulary)
        if note_vocabulary(vocabulary) == "default" and not has_spellings:
            self.vocabulary = {**default_spellings(), **self.vocabulary}
        self.fixed_length = int(fixed_length)
        self.ignore_sentences_with_only_custom = ignore_sentences_with_only_custom
        self.masking_value = masking_value
        self.unknown_value = unknown_value
        self.uses_custom_wordgen = custom_wordgen is not None
        self.wordgen = every_word() if custom_wordgen is None else custom_wordgen
        self.kept_rows: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type of uint16, uint32 and uint64 that holds all ids."""
        highest = max(self.masking_value, self.unknown_value, max(self.vocabulary.values(), default=0))
        return np.result_type(np.uint16, np.min_scalar_type(highest))

    def tokenize_sentences(
        self, sentences: Iterable[str], reset_stats: bool = True, max_sentences: int | None = None
    ) -> tuple[npt.NDArray[Any], list[dict[str, Any]], dict[str, int]]:
        """Tokenize texts.

        Args:
            sentences: The texts, or with a custom word generator whatever its stream may give.
            reset_stats: Count from zero.
            max_sentences: Stop after this many rows; needed where `sentences` has no length.

        Returns:
            Token ids (n, fixed_length), padded on the right, uint16 where all ids fit; for each row the word
            generator's information; and its counters: `total` texts, `valid` ones with tokens, and those
            that were filtered before (`pretokenization_filtered`), for want of words or because of Unicode
            (`unicode_filtered`), or after tokenization (`posttokenization_filtered`). With the default word
            generator a text without words is counted as `unicode_filtered` and gives a row of padding.

        Raises:
            TypeError: `sentences` is a single string or no iterable, or (with the default word generator) one
                of them is not a string; the message names its position.
            ValueError: `sentences` has no length and `max_sentences` is not given, or that is negative.
        """
        _check_is_list(sentences)
        if max_sentences is None and not hasattr(sentences, "__len__"):
            raise ValueError("texts without a length (such as a generator) need max_sentences")
        if max_sentences is not None and max_sentences < 0:
            raise ValueError(f"max_sentences must be at least 0, got {max_sentences}")
        if reset_stats:
            self.wordgen.reset_stats()

        flat, lengths, infos, kept = [], [], [], []
        for position, ids, info in islice(self._rows(sentences), max_sentences):
            ids = ids[: self.fixed_length]
            flat += ids
            lengths.append(len(ids))
            infos.append(info)
            kept.append(position)

        tokens = np.full((len(kept), self.fixed_length), self.masking_value, dtype=self.dtype)
        is_token = np.arange(self.fixed_length) < np.array(lengths, dtype=np.int64)[:, np.newaxis]
        tokens[is_token] = flat
        self.kept_rows = np.array(kept, dtype=np.int64)
        return tokens, infos, self.wordgen.stats

    def _rows(self, sentences: Iterable[str]) -> Iterator[tuple[int, list[int], dict[str, Any]]]:
        """Position, ids and information of each text that is not left out."""
        texts = self._custom_words(sentences) if self.uses_custom_wordgen else self._words(sentences)
        for position, words, info in texts:
            ids = self.find_tokens(words)
            if self.ignore_sentences_with_only_custom and all(index < len(SPECIAL_TOKENS) for index in ids):
                continue
            yield position, ids, info

    def _words(self, sentences: Iterable[str]) -> Iterator[tuple[int, list[str], dict[str, Any]]]:
        """Position, words and information of every text."""
        for position, text in enumerate(sentences):
            check_is_text(text, position)
            _, words, info = self.wordgen.extract_valid_sentence_words(text)
            self.wordgen.stats["total"] += 1
            self.wordgen.stats["valid"] += bool(words)
            yield position, words, info

    def _custom_words(self, sentences: Iterable[Any]) -> Iterator[tuple[int, list[str], dict[str, Any]]]:
        """Position, words and information of each text that the custom word generator gives words for."""
        position = -1

        def stream() -> Iterator[Any]:
            nonlocal position
            for position, text in enumerate(sentences):  # noqa: B007  the position is read below
                yield text

        self.wordgen.stream = stream()
        try:
            for words, info in self.wordgen:
                yield position, words, info
        finally:
            self.wordgen.stream = None

    def find_tokens(self, words: Iterable[str]) -> list[int]:
        """The words' ids, `unknown_value` for those that the vocabulary lacks."""
        return list(map(self.vocabulary.get, words, repeat(self.unknown_value)))

    def split_train_val_test(
        self,
        sentences: Sequence[str],
        info_dicts: Sequence[Any],
        split_parameter: Sequence[Any] = (0.7, 0.1, 0.2),
        extend_with: int = 0,
        *,
        seed: int = 42,
    ) -> tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]], int]:
        """Split texts into training, validation and test part and tokenize them.

        Args:
            sentences: The texts, in a list, tuple, array or series, whose index does not matter.
            info_dicts: Something for each text, such as its label, in the same order; of a table a row.
            split_parameter: Three shares that sum to 1, or three lists of positions. Shares are rounded to
                whole texts, one at least.
            extend_with: Add up to this many new words, the most frequent ones of the training part, to this
                tokenizer's vocabulary.
            seed: Chooses the split where shares are given.

        Returns:
            Three token arrays (n_i, fixed_length), three arrays of the rows' `info_dicts`, and how many
            words were added.

        Raises:
            TypeError: `sentences` is a single string, or (with the default word generator) one of them is
                not a string; the message names its position.
            ValueError: The numbers of texts and infos differ, there are too few texts for the shares,
                `split_parameter` is neither three shares nor three lists, or a position is out of range.
        """
        _check_is_list(sentences)
        sentences, info_dicts = _in_order(sentences), _in_order(info_dicts)
        if not self.uses_custom_wordgen:
            for position, text in enumerate(sentences):
                check_is_text(text, position)
        if len(sentences) != len(info_dicts):
            raise ValueError(f"{len(sentences)} texts need as many infos, got {len(info_dicts)}")
        parts = _split_positions(len(sentences), split_parameter, seed)
        texts = [[sentences[position] for position in part] for part in parts]
        infos = [np.array([info_dicts[position] for position in part]) for part in parts]

        added = 0
        if extend_with > 0:
            builder = VocabBuilder(self.wordgen)
            builder.count_texts(texts[0])
            added = extend_vocab(self.vocabulary, builder, max_tokens=extend_with)

        tokens = []
        for part in range(3):
            rows = self.tokenize_sentences(texts[part])[0]
            if len(rows) != len(texts[part]):
                infos[part] = infos[part][self.kept_rows]
            tokens.append(rows)
        return tokens, infos, added

    def to_sentence(self, sentence_idx: Iterable[int]) -> str:
        """The words for a row of token ids, joined by blanks, without padding (and any `CUSTOM_MASK`).

        Raises:
            KeyError: An id is not in the vocabulary.
        """
        words = {index: word for word, index in self.vocabulary.items()}
        try:
            found = [words[int(index)] for index in sentence_idx if index != self.masking_value]
        except KeyError as error:
            raise KeyError(f"none of the {len(words)} words has the id {error.args[0]}") from None
        return " ".join(word for word in found if word != SPECIAL_TOKENS[0])


def _check_is_list(sentences: object) -> None:
    # iterating over a mapping, a set, a table or an array of other shape would not give the texts in order
    is_other = isinstance(sentences, str | bytes | Mapping | Set) or getattr(sentences, "ndim", 1) != 1
    if is_other or not isinstance(sentences, Iterable):
        raise TypeError(f"expected a list of texts, got one {type(sentences).__name__}: {sentences!r}")


def check_is_text(text: object, position: int) -> None:
    """Raise `TypeError` unless `text`, the one at this position, is a string."""
    if not isinstance(text, str):
        raise TypeError(
            f"text {position} is not a string but {type(text).__name__}: {text!r}; "
            "decode bytes, and replace missing values by an empty string"
        )


def _in_order(values: Any) -> list[Any]:
    """What is in a list, array, series or table, by its position: a series would be asked for its index."""
    return list(np.asarray(values) if getattr(values, "ndim", 1) > 1 else values)


def _split_positions(n: int, split: Any, seed: int) -> list[list[int]]:
    split = _in_order(split)
    if len(split) != 3:
        raise ValueError(f"split_parameter needs three entries (training, validation, test), got {split!r}")
    if all(isinstance(part, Iterable) and not isinstance(part, str | bytes) for part in split):
        split = [_in_order(part) for part in split]
        for position in (position for part in split for position in part):
            if (
                not isinstance(position, int | np.integer)
                or isinstance(position, bool)
                or not 0 <= position < n
            ):
                raise ValueError(
                    f"split_parameter must hold positions of {n} texts, from 0 on; got {position!r}"
                )
        return [[int(position) for position in part] for part in split]
    if not all(isinstance(share, int | float) and share > 0 for share in split) or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"split_parameter must be three lists or three shares that sum to 1, got {split!r}")
    n_validation, n_test = (max(1, round(share * n)) for share in split[1:])
    n_train = n - n_validation - n_test
    if n_train < 1:
        raise ValueError(f"{n} texts are too few to split them by the shares {split!r}")
    shuffled = np.random.RandomState(seed).permutation(n)
    return [part.tolist() for part in np.split(shuffled, [n_train, n_train + n_validation])]


def coverage(dataset: npt.NDArray[Any], verbose: bool = False) -> float:
    """The share of tokens that are known words, from 0 to 1.

    Args:
        dataset: Token ids (n, length); 0 is padding, 1 unknown.
        verbose: Log the counts.

    Raises:
        ValueError: There are no tokens.
    """
    n_total = np.count_nonzero(dataset)
    if n_total == 0:
        raise ValueError("coverage needs at least one token, got only padding")
    n_unknown = np.count_nonzero(np.asarray(dataset) == 1)
    if verbose:
        logger.info("%d unknown of %d tokens", n_unknown, n_total)
    return 1.0 - n_unknown / n_total
