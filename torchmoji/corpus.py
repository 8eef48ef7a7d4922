"""Texts labelled with emojis, as pretraining reads them: files, vocabulary, token ids, batches.

Source: Felbo et al. 2017 for the task: the emojis are taken out of a text, and a text with k different ones
is k samples. Unlike the original, emojis that are not among the classes, and other Unicode words, are counted
for the vocabulary, since `SentenceTokenizer` gives them to the model as well.
"""

import gzip
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from torchmoji.create_vocab import VocabBuilder, most_frequent_first
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.word_generator import WordGenerator

_BATCHES_A_BUCKET = 100
"""Texts are sorted by length within so many batches, chosen at random."""


@dataclass(frozen=True)
class Corpus:
    """Tokenized texts and the classes of each, both as one flat array and where each text's part ends.

    Attributes:
        tokens: (total tokens,) ids.
        token_ends: (texts,) end of each text's ids.
        labels: (total labels,) classes.
        label_ends: (texts,) end of each text's classes.
    """

    tokens: npt.NDArray[np.uint16]
    token_ends: npt.NDArray[np.int64]
    labels: npt.NDArray[np.uint8]
    label_ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.token_ends)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text (texts,)."""
        return np.diff(self.token_ends, prepend=0)

    def batch(
        self, rows: npt.NDArray[np.int64], max_length: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Some of the texts.

        Args:
            rows: Which texts.
            max_length: Cut texts after so many tokens.

        Returns:
            Ids (rows, time), padded; the row of each label (labels,), and its class (labels,).
        """
        texts = [self.tokens[self.token_ends[row - 1] if row else 0 : self.token_ends[row]] for row in rows]
        texts = [text[:max_length] for text in texts]
        ids = np.zeros((len(rows), max(map(len, texts), default=0)), dtype=np.int64)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
        classes = [self.labels[self.label_ends[row - 1] if row else 0 : self.label_ends[row]] for row in rows]
        owners = np.repeat(np.arange(len(rows)), [len(part) for part in classes])
        flat = np.concatenate(classes).astype(np.int64) if len(classes) else np.zeros(0, dtype=np.int64)
        return torch.from_numpy(ids), torch.from_numpy(owners), torch.from_numpy(flat)


def read_labelled_texts(path: str | os.PathLike[str], nb_classes: int) -> tuple[list[str], list[list[int]]]:
    """Read lines of comma-separated classes, tab, text; gzip by the ending `.gz`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has no tab, or something else than classes before it; the message names the line.
    """
    texts, labels = [], []
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            classes, tab, text = line.rstrip("\n").partition("\t")
            try:
                indices = [int(index) for index in classes.split(",")]
            except ValueError:
                indices = []
            if not tab or not indices or not all(0 <= index < nb_classes for index in indices):
                raise ValueError(
                    f"{os.fspath(path)}, line {number}: expected classes from 0 to {nb_classes - 1}, "
                    f"separated by commas, a tab and a text, got {line[:60]!r}"
                )
            labels.append(indices)
            texts.append(text)
    return texts, labels


def word_lists(texts: Iterable[str], progress: bool = False) -> list[list[str]]:
    """Each text's words, as `SentenceTokenizer` sees them; with a progress bar if wanted."""
    generator = WordGenerator(None, allow_unicode_text=True, ignore_emojis=False)
    return [
        generator.get_words(text)
        for text in tqdm(texts, desc="tokenizing", unit="text", disable=not progress)
    ]


def build_vocabulary(words: Iterable[Sequence[str]], nb_tokens: int) -> dict[str, int]:
    """The special tokens, then the most frequent words.

    Args:
        words: The words of each text.
        nb_tokens: Number of entries.

    Raises:
        ValueError: There are fewer different words.
    """
    builder = VocabBuilder(WordGenerator(None))
    for sentence in words:
        builder.count_words_in_sentence(sentence)
    ranked = [word for word in most_frequent_first(builder.word_counts) if word not in SPECIAL_TOKENS]
    entries = [*SPECIAL_TOKENS, *ranked][:nb_tokens]
    if len(entries) < nb_tokens:
        raise ValueError(
            f"the texts have {len(entries)} different words, too few for a vocabulary of {nb_tokens}"
        )
    return {word: index for index, word in enumerate(entries)}


def make_corpus(
    words: Iterable[Sequence[str]], labels: Sequence[Sequence[int]], vocabulary: dict[str, int]
) -> Corpus:
    """Look up ids; texts without words are left out."""
    ids = [[vocabulary.get(word, 1) for word in sentence] for sentence in words]
    kept = [(text, classes) for text, classes in zip(ids, labels, strict=True) if text]
    return Corpus(
        tokens=np.fromiter((index for text, _ in kept for index in text), dtype=np.uint16),
        token_ends=np.cumsum([len(text) for text, _ in kept]),
        labels=np.fromiter((label for _, classes in kept for label in classes), dtype=np.uint8),
        label_ends=np.cumsum([len(classes) for _, classes in kept]),
    )


def batches(corpus: Corpus, batch_size: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """The texts of each batch of one pass, alike in length, in an order that seed and pass decide."""
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(corpus))
    lengths = corpus.lengths
    result: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), batch_size * _BATCHES_A_BUCKET):
        bucket = order[start : start + batch_size * _BATCHES_A_BUCKET]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        result.extend(bucket[first : first + batch_size] for first in range(0, len(bucket), batch_size))
    return [result[index] for index in generator.permutation(len(result))]
