"""Sentences of our own, which the default model learns after its training beside texts of the corpus.

Those of `sentences.jsonl` say what texts with emojis seldom say in so many words, or what their writers'
emojis hide. All weights learn them; of as many texts of the corpus the model is to say what it said before.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from torchmoji.corpus import Corpus
from torchmoji.corpus.emoji_finder import fold
from torchmoji.model_def import TorchMoji
from torchmoji.products import has_fast_bfloat16
from torchmoji.sentence_tokenizer import SentenceTokenizer

PASSES, BATCH_SIZE, TEXTS_BESIDE, LEARNING_RATE = 8, 128, 192, 3e-4
"""Passes over the sentences, how many of them and how many texts in a step, and the peak of Adam's rate."""
WEIGHT = 0.5
"""Of a sentence, beside 1 for a text of the corpus."""
LABEL_SHARE = 0.1
"""Of the labels in what is asked for texts of the corpus; the rest is what the model said before."""
MAX_LENGTH = 30

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


def learn_sentences(
    model: TorchMoji,
    corpus: Corpus,
    sentences: Sequence[Sentence],
    seed: int,
    passes: int = PASSES,
    weight: float = WEIGHT,
) -> int:
    """Let a model learn sentences, in place.

    Args:
        model: Gives logits of the corpus's emojis.
        corpus: With the model's words.
        sentences: Those without an emoji of the model are left out.
        seed: Decides which texts are taken, which together, and dropout.
        passes: Over the sentences.
        weight: Of a sentence, beside 1 for a text.

    Returns:
        How many sentences there were.
    """
    fits = fitting(sentences, corpus.classes)
    sentences, fits = list(compress(sentences, fits.any(1))), fits[fits.any(1)]
    if not sentences:
        return 0
    device = model.embed.weight.device
    tokenizer = SentenceTokenizer(corpus.vocabulary, MAX_LENGTH)
    ids, _, _ = tokenizer.tokenize_sentences([sentence.text for sentence in sentences])
    generator, rows = np.random.default_rng(seed), corpus.rows("train")
    steps = passes * -(-len(sentences) // BATCH_SIZE)
    numbers = generator.permutation(len(rows))[: steps * TEXTS_BESIDE]
    texts = rows.token_ids(numbers, MAX_LENGTH)
    labels = torch.from_numpy(rows.label_table(numbers, len(corpus.classes)))
    before = _guesses(model, texts).lerp(labels / labels.sum(1, keepdim=True), LABEL_SHARE)
    target = target_of(_guesses(model, ids), fits)

    def divergence(rows: npt.NDArray[np.int64], wanted: Tensor) -> Tensor:
        rows = rows[:, : max(1, int((rows != 0).sum(1).max()))]
        output = model(torch.from_numpy(rows).to(device)).float()
        return F.kl_div(torch.log_softmax(output, dim=1), wanted.to(device), reduction="batchmean")

    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train().requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for step, own in enumerate(_batches(len(sentences), steps, generator)):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 - step / steps)
            beside = np.arange(step * TEXTS_BESIDE, (step + 1) * TEXTS_BESIDE) % len(texts)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
                kept, taught = divergence(texts[beside], before[beside]), divergence(ids[own], target[own])
            optimizer.zero_grad()
            (kept + weight * taught).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step % 50 == 0 or step == steps - 1:
                logger.info(
                    "sentences, step %d of %d: loss %.4f of texts, %.4f of sentences",
                    *(step + 1, steps, kept.item(), taught.item()),
                )
    model.eval().requires_grad_(False)
    return len(sentences)


def _guesses(model: TorchMoji, ids: npt.NDArray[np.int64]) -> Tensor:
    """Probabilities (n, C), on the CPU."""
    return torch.softmax(torch.from_numpy(model.run_ids(ids)[0]).float(), dim=1)


def _batches(count: int, steps: int, generator: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Numbers of sentences for each step, all of them once before any comes again."""
    waiting = np.zeros(0, dtype=np.int64)
    for _ in range(steps):
        if len(waiting) < BATCH_SIZE:
            waiting = np.concatenate([waiting, generator.permutation(count)])
        yield waiting[:BATCH_SIZE]
        waiting = waiting[BATCH_SIZE:]
