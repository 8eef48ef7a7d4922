"""What the default model learns after its training: its own emojis as words, and sentences of our own.

The 64 emojis are taken out of all texts of the corpus. What they say as words is learned from texts with
several of them: one is left in the text, all weights but the emojis' embeddings stay as they are. The
sentences of `sentences.jsonl` say what texts with emojis seldom say in so many words, or what their writers'
emojis hide; the output layer alone learns them, against what it said of texts of the corpus before.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from torchmoji.corpus import Corpus
from torchmoji.corpus.emoji_finder import fold
from torchmoji.corpus.shards import TokenRows, in_memory, shard_texts
from torchmoji.create_vocab import words_by_id
from torchmoji.global_variables import SPECIAL_TOKENS, UNKNOWN_ID
from torchmoji.model_def import TorchMoji
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.word_generator import every_word

EMOJI_STEPS, EMOJI_BATCH_SIZE, EMOJI_LEARNING_RATE = 100, 256, 0.02
MOST_REPEATS = 3
"""An emoji stands in a text one to so many times."""
SENTENCE_STEPS, BATCH_SIZE, OWN_BATCH_SIZE, LEARNING_RATE = 1500, 2048, 256, 1e-3
WEIGHT = 0.02
"""Of the sentences, beside 1 for the texts of the corpus."""
LABEL_SHARE = 0.1
"""Of the labels in what is asked for texts of the corpus; the rest is what the model said before."""
TEXTS = 60_000
"""Texts of the corpus that the sentences are weighed against."""
MAX_LENGTH = 50
READ_LENGTH = 200
_ENCODED_TOGETHER = 5_000

logger = logging.getLogger(__name__)


class Sentence(NamedTuple):
    """A sentence and the emojis that a reader would accept."""

    text: str
    emojis: tuple[str, ...]
    kind: str = ""


def read_sentences(name: str) -> list[Sentence]:
    """The sentences of a file in this folder: JSON lines with `text`, `emojis` and, in some, `kind`."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    entries = map(json.loads, lines)
    return [
        Sentence(entry["text"], tuple(entry["emojis"].split()), entry.get("kind", "")) for entry in entries
    ]


def read_texts(corpus: Corpus, split: str, vocabulary: Mapping[str, int], least_emojis: int = 1) -> TokenRows:
    """The texts of a corpus as another vocabulary reads them.

    Args:
        corpus: With texts.
        split: train or validation.
        vocabulary: Word -> id.
        least_emojis: Leave out texts with fewer.
    """
    rows = corpus.rows(split)
    is_kept = rows.label_counts(np.arange(len(rows))) >= least_emojis
    texts = list(compress(shard_texts(corpus.shard_paths(split)), is_kept))
    ids = SentenceTokenizer(vocabulary, READ_LENGTH).tokenize_sentences(texts)[0]
    owners, classes = rows.labels(np.flatnonzero(is_kept))
    labels = np.split(classes, np.searchsorted(owners, np.arange(1, len(texts))))
    tokens = [row[row != 0].tolist() for row in ids]
    return TokenRows([in_memory(tokens, [of_row.tolist() for of_row in labels])])


# --- emojis as words ----------------------------------------------------------------------------------------


def with_emojis(vocabulary: Mapping[str, int], emojis: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """A vocabulary that has emojis in the places of the rarest words.

    Args:
        vocabulary: Word -> id, frequent words first.
        emojis: Those that are one word to the tokenizer and not there yet are taken in.

    Returns:
        The vocabulary, and for each emoji its id, or -1 where it is several words.
    """
    generator = every_word()
    read = [generator.get_words(emoji) for emoji in emojis]
    single = [words[0] if len(words) == 1 else None for words in read]
    new = [word for word in dict.fromkeys(single) if word is not None and word not in vocabulary]
    kept = set(single) | set(SPECIAL_TOKENS)
    free = [word for word in reversed(words_by_id(vocabulary)) if word not in kept][: len(new)]
    places = {word: vocabulary[rare] for word, rare in zip(new, free, strict=True)}
    freed = set(places.values())
    wider = {word: index for word, index in vocabulary.items() if index not in freed} | places
    return wider, [-1 if word is None else wider[word] for word in single]


def with_several(rows: TokenRows, emoji_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    """Numbers of the texts with several emojis, of which one is a word at least."""
    several = np.flatnonzero(rows.label_counts(np.arange(len(rows))) > 1)
    owners, classes = rows.labels(several)
    words = np.bincount(owners, np.array(emoji_ids)[classes] >= 0, minlength=len(several))
    with_words: npt.NDArray[np.int64] = several[words > 0]
    return with_words


def emoji_batches(
    rows: TokenRows, emoji_ids: Sequence[int], generator: np.random.Generator
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Texts with one of their emojis at the end, and one of all their emojis as class, without end.

    Yields:
        Token ids (`EMOJI_BATCH_SIZE`, time), and classes (`EMOJI_BATCH_SIZE`,).
    """
    several, is_word = with_several(rows, emoji_ids), np.array(emoji_ids) >= 0
    size = EMOJI_BATCH_SIZE
    while True:
        chosen = generator.choice(several, size)
        owners, classes = rows.labels(chosen)
        order = np.lexsort((generator.random(len(owners)), ~is_word[classes], owners))
        first = np.searchsorted(owners, np.arange(size))
        shown = classes[order][first]
        asked = classes[order][first + generator.integers(0, np.bincount(owners, minlength=size))]
        texts = rows.token_ids(chosen, MAX_LENGTH - MOST_REPEATS)
        ids = np.pad(texts, ((0, 0), (0, MOST_REPEATS)))
        lengths = (texts != 0).sum(1)
        repeats = generator.integers(1, MOST_REPEATS + 1, size)
        for number in range(MOST_REPEATS):
            taken = np.flatnonzero(repeats > number)
            ids[taken, lengths[taken] + number] = np.array(emoji_ids)[shown[taken]]
        yield ids, asked


def learn_emojis(
    model: TorchMoji, rows: TokenRows, emoji_ids: Sequence[int], seed: int, steps: int = EMOJI_STEPS
) -> None:
    """Learn the embeddings of emojis, in place; all other weights stay.

    Args:
        model: Gives logits.
        rows: Texts with their classes, of which some have several.
        emoji_ids: The word of each class, or -1.
        seed: Of the choice of texts.
        steps: Of Adam.
    """
    places = torch.tensor(sorted({index for index in emoji_ids if index >= 0}))
    base = model.embed.weight.detach().clone()
    device = base.device
    learned = base[UNKNOWN_ID].repeat(len(places), 1).requires_grad_()
    optimizer = torch.optim.Adam([learned], lr=EMOJI_LEARNING_RATE)
    batches = emoji_batches(rows, emoji_ids, np.random.default_rng(seed))
    for step, (ids, classes) in enumerate(islice(batches, steps)):
        for group in optimizer.param_groups:
            group["lr"] = EMOJI_LEARNING_RATE * (1 - step / steps)
        weight = base.index_copy(0, places.to(device), learned)
        logits = functional_call(model, {"embed.weight": weight}, (torch.from_numpy(ids).to(device),))
        loss = F.cross_entropy(logits.float(), torch.from_numpy(classes).to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    logger.info("emojis as words: loss %.4f in the last of %d steps", loss.item(), steps)
    with torch.no_grad():
        model.embed.weight.copy_(base.index_copy(0, places.to(device), learned.detach()))


# --- sentences ----------------------------------------------------------------------------------------------


def fitting(sentences: Sequence[Sentence], classes: Sequence[str]) -> Tensor:
    """One where an emoji fits a sentence, else zero (n, C)."""
    places = {fold(name): index for index, name in enumerate(classes)}
    fits = torch.zeros(len(sentences), len(classes))
    for row, sentence in enumerate(sentences):
        fits[row, [places[fold(emoji)] for emoji in sentence.emojis if fold(emoji) in places]] = 1
    return fits


def target_of(guesses: Tensor, fits: Tensor) -> Tensor:
    """What a model is to say of sentences (n, C).

    Half of it are the emojis that fit, as likely beside each other as the model has them, and half the same
    ones, all alike.

    Args:
        guesses: The model's probabilities (n, C).
        fits: One where an emoji fits, else zero (n, C).
    """
    own = guesses.clamp_min(1e-9) * fits
    return (own / own.sum(1, keepdim=True) + fits / fits.sum(1, keepdim=True)) / 2


def encode(model: TorchMoji, vocabulary: Mapping[str, int], texts: Sequence[str]) -> Tensor:
    """Features of texts (n, F)."""
    tokenizer, parts = SentenceTokenizer(vocabulary, MAX_LENGTH), []
    for start in range(0, len(texts), _ENCODED_TOGETHER):
        ids, _, _ = tokenizer.tokenize_sentences(texts[start : start + _ENCODED_TOGETHER])
        parts.append(model.encode_ids(ids))
        logger.info("%d of %d texts are encoded", start + len(ids), len(texts))
    return torch.cat(parts)


def learn_sentences(
    model: TorchMoji,
    vocabulary: Mapping[str, int],
    corpus: Corpus,
    sentences: Sequence[Sentence],
    seed: int,
    most_texts: int = TEXTS,
    weight: float = WEIGHT,
) -> int:
    """Let the output layer learn sentences, in place; all other weights stay.

    Args:
        model: Gives logits.
        vocabulary: Word -> id.
        corpus: With texts and the model's emojis.
        sentences: Those without an emoji of the model are left out.
        seed: Decides which texts are taken, and which together.
        most_texts: Of the corpus, at most.
        weight: Of the sentences, beside 1 for the texts.

    Returns:
        How many sentences there were.
    """
    fits = fitting(sentences, corpus.classes)
    sentences, fits = list(compress(sentences, fits.any(1))), fits[fits.any(1)]
    if not sentences:
        return 0
    rows = corpus.rows("train")
    numbers = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most_texts])
    is_chosen = np.isin(np.arange(len(rows)), numbers)
    chosen = list(compress(shard_texts(corpus.shard_paths("train")), is_chosen))
    labels = torch.from_numpy(rows.label_table(numbers, len(corpus.classes)))
    device = model.embed.weight.device
    labels, fits = (labels / labels.sum(1, keepdim=True)).to(device), fits.to(device)
    texts = encode(model, vocabulary, chosen)
    own = encode(model, vocabulary, [sentence.text for sentence in sentences])
    _learn(model, texts, labels, own, fits, weight, seed)
    return len(sentences)


def _learn(
    model: TorchMoji, texts: Tensor, labels: Tensor, own: Tensor, fits: Tensor, weight: float, seed: int
) -> None:
    layer = model.output_layer[0]
    generator = torch.Generator().manual_seed(seed)

    def some(features: Tensor, size: int) -> Tensor:
        return torch.randint(len(features), (size,), generator=generator).to(features.device)

    def divergence(target: Tensor, features: Tensor) -> Tensor:
        return F.kl_div(torch.log_softmax(layer(features), dim=1), target, reduction="batchmean")

    before = torch.softmax(layer(texts), dim=1).lerp(labels, LABEL_SHARE)
    target = target_of(torch.softmax(layer(own), dim=1), fits)
    layer.requires_grad_(True)
    optimizer = torch.optim.Adam(layer.parameters(), lr=LEARNING_RATE)
    for step in range(SENTENCE_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / SENTENCE_STEPS)
        text_rows, own_rows = some(texts, BATCH_SIZE), some(own, OWN_BATCH_SIZE)
        kept = divergence(before[text_rows], texts[text_rows])
        taught = divergence(target[own_rows], own[own_rows])
        optimizer.zero_grad()
        (kept + weight * taught).backward()
        optimizer.step()
    layer.requires_grad_(False)
    layer.zero_grad()
    logger.info("sentences: loss %.4f of the texts, %.3f of the sentences", kept.item(), taught.item())
