"""Sentences of our own, which the default model and its teachers learn beside the texts of the corpus.

Those of `sentences.jsonl` say what texts with emojis seldom say in so many words, or what their writers'
emojis hide. They stand after the texts, as often as it takes for so few to be learned.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from torchmoji.corpus import Corpus
from torchmoji.corpus.emoji_finder import fold
from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.emoticons import EMOTICONS
from torchmoji.sentence_tokenizer import SentenceTokenizer

REPEATS = 6
"""How often each sentence stands in the corpus."""
_MOST_TOKENS = 100


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


def read_emoticons() -> list[Sentence]:
    """Emoticons alone, and after each neutral sentence of emoticons.json, with the emojis of their moods."""
    found = json.loads(Path(__file__).with_name("emoticons.json").read_text(encoding="utf-8"))
    moods = [(emoticon, tuple(emojis.split())) for emoticon, emojis in found["moods"].items()]
    return [
        *(Sentence(emoticon, emojis, "alone") for emoticon, emojis in moods),
        *(
            Sentence(f"{text} {emoticon}", emojis, "after a neutral sentence")
            for text in found["sentences"]
            for emoticon, emojis in moods
        ),
    ]


def emoticon_spellings(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Kin of emoticons that a vocabulary lacks, such as `:((`, with the ids of the first that it has."""
    ids: dict[str, int] = {}
    words = SentenceTokenizer({**vocabulary}, _MOST_TOKENS).wordgen.get_words
    mouths = [*"()[]dp/\\|*os$3xc@", "((", "))", "[[", "]]", "dd", "pp", "//"]
    faces = map("".join, product(("", ">"), ":=;", ("", "-", "'", "^", "'-"), mouths))
    backwards = map("".join, product(("(", ")", "((", "))"), ("", "-"), ":=;"))
    for face in [*faces, *backwards, "xdd", "x-d", "<3<3", "^-^", "t-t", "d:", "--", "-__-"]:
        if words(face) != [face] or face in vocabulary:
            continue
        for _, spellings, kin in EMOTICONS:
            if re.fullmatch(f"(?:{kin})+", face, re.IGNORECASE):
                known = [token for one in spellings.split() for token in words(one)]
                if known[0] in vocabulary:
                    ids[face] = vocabulary[known[0]]
                break
    return ids


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


def with_sentences(corpus: Corpus, sentences: Sequence[Sentence]) -> Corpus:
    """A corpus that has sentences after its training texts; its manifest counts the texts alone.

    Raises:
        ValueError: No emoji of a sentence is one of the corpus.
    """
    tokenizer = SentenceTokenizer(corpus.vocabulary, _MOST_TOKENS)
    ids, _, _ = tokenizer.tokenize_sentences([sentence.text for sentence in sentences])
    labels = [row.nonzero()[:, 0].tolist() for row in fitting(sentences, corpus.classes)]
    if [] in labels:
        raise ValueError(f"{sentences[labels.index([])].text!r} has no emoji of the corpus")
    tokens = [row[row != 0].tolist() for row in ids]
    whole = Corpus(corpus.folder, corpus.manifest)
    rows = [corpus.rows("train"), TokenRows([in_memory(tokens * REPEATS, labels * REPEATS)])]
    whole._rows.update(train=TokenRows.join(rows), validation=corpus.rows("validation"))
    return whole
