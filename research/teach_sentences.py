"""Teach a trained model the sentences of `own_sentences.py`, through its output layer alone.

MODEL is a model's folder or "default", CORPUS of `torchmoji build-corpus --keep-text` with the model's
emojis. OUT receives the model, in int8. Its features stay as they are, and with them all that is made of
them: encodings, attention, and classifiers that are fine-tuned.

The output layer learns to give our sentences emojis that fit, and for texts of the corpus, chosen by chance,
to say what it said before, and a tenth of what their labels say: that is what the sentences are weighed
against. It takes some minutes, most of them for the features of the texts.

Examples:
    teach_sentences.py runs/wider corpus/ runs/taught
    teach_sentences.py runs/wider corpus/ runs/taught --weight 0.1 --texts 20000
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changed_models import make_changing_parser, open_model, read_texts, write_model
from default_model import failures
from judged_texts import JUDGED_TEXTS
from own_sentences import OWN_SENTENCES, OwnSentence
from research_helper import run_alone
from torch import Tensor
from torch.nn import functional as F

from torchmoji.cli.arguments import positive
from torchmoji.corpus.emoji_finder import fold
from torchmoji.corpus.shards import Corpus, shard_texts
from torchmoji.model_def import TorchMoji
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pretraining.card import scores_row, scores_table
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.scores import Scores, score_emojis
from torchmoji.sentence_tokenizer import SentenceTokenizer

HEADING = "## Sentences of our own"
STEPS = 1500
BATCH_SIZE = 2048
OWN_BATCH_SIZE = 256
LEARNING_RATE = 1e-3
WEIGHT = 0.02
LABEL_SHARE = 0.1
"""Of what is wanted for texts of the corpus, beside what the model said before."""
TEXTS = 60_000
MAX_LENGTH = 50
_ENCODED_TOGETHER = 5_000

logger = logging.getLogger(__name__)


def wanted(given: Tensor, fits: Tensor) -> Tensor:
    """What a model is to say of sentences (n, C).

    Half of it are the emojis that fit, as likely beside each other as the model has them, and half the same
    ones, all alike.

    Args:
        given: The model's probabilities (n, C).
        fits: One where an emoji fits, else zero (n, C).
    """
    own = given.clamp_min(1e-9) * fits
    return (own / own.sum(1, keepdim=True) + fits / fits.sum(1, keepdim=True)) / 2


def divergence(wanted: Tensor, logits: Tensor) -> Tensor:
    """Kullback and Leibler's, of guesses from what is wanted, the mean over texts, in nats.

    Args:
        wanted: Probabilities (n, C).
        logits: Of the guesses (n, C).
    """
    return F.kl_div(torch.log_softmax(logits, dim=1), wanted, reduction="batchmean")


def learn(
    model: TorchMoji,
    texts: Tensor,
    labels: Tensor,
    sentences: Tensor,
    fits: Tensor,
    weight: float,
    seed: int,
) -> None:
    """Let the output layer learn sentences, in place.

    Args:
        model: Gives logits.
        texts: Features of texts for which its guesses are to stay (n, F).
        labels: Their labels, as shares of 1 (n, C).
        sentences: Features of the sentences (m, F).
        fits: One where an emoji fits a sentence, else zero (m, C).
        weight: Of the sentences, beside 1 for the texts.
        seed: Decides which are taken together.
    """
    layer = model.output_layer[0]
    generator = torch.Generator().manual_seed(seed)

    def some(features: Tensor, size: int) -> Tensor:
        return torch.randint(len(features), (size,), generator=generator).to(features.device)

    before = torch.softmax(layer(texts), dim=1).lerp(labels, LABEL_SHARE)
    target = wanted(torch.softmax(layer(sentences), dim=1), fits)
    layer.requires_grad_(True)
    optimizer = torch.optim.Adam(layer.parameters(), lr=LEARNING_RATE)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / STEPS)
        rows, own = some(texts, BATCH_SIZE), some(sentences, OWN_BATCH_SIZE)
        stayed = divergence(before[rows], layer(texts[rows]))
        taught = divergence(target[own], layer(sentences[own]))
        optimizer.zero_grad()
        (stayed + weight * taught).backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            told = (step + 1, STEPS, stayed.item(), taught.item())
            logger.info("step %d of %d: %.4f from the texts, %.3f from the sentences", *told)
    layer.requires_grad_(False)
    layer.zero_grad()


def fitting(sentences: Sequence[OwnSentence], classes: Sequence[str]) -> Tensor:
    """One where an emoji fits a sentence, else zero (n, C).

    Args:
        sentences: With the emojis that fit.
        classes: The model's emojis.
    """
    places = {fold(name): index for index, name in enumerate(classes)}
    fits = torch.zeros(len(sentences), len(classes))
    for row, sentence in enumerate(sentences):
        fits[row, [places[fold(emoji)] for emoji in sentence.accepted if fold(emoji) in places]] = 1
    return fits


def encoded(model: TorchMoji, vocabulary: Mapping[str, int], texts: Sequence[str]) -> Tensor:
    """Features of texts (n, F).

    Args:
        model: Whose.
        vocabulary: Word -> id.
        texts: n of them.
    """
    tokenizer = SentenceTokenizer(vocabulary, MAX_LENGTH)
    parts = []
    for start in range(0, len(texts), _ENCODED_TOGETHER):
        ids, _, _ = tokenizer.tokenize_sentences(texts[start : start + _ENCODED_TOGETHER])
        parts.append(model.encode_ids(ids))
        logger.info("%d of %d texts are encoded", min(start + len(ids), len(texts)), len(texts))
    return torch.cat(parts)


def section(
    count: int, texts: int, is_rounded: bool, judged: tuple[int, int], scores: dict[str, Scores]
) -> str:
    """What the card says of the change.

    Args:
        count: Sentences that were learned.
        texts: Of the corpus, for which guesses were to stay.
        is_rounded: Other weights were stored as int8 for the first time.
        judged: Judged texts whose first guess fits, before and after.
        scores: Of the validation texts, before and after; may be empty.
    """
    before, after = judged
    others = "All other weights were rounded to int8" if is_rounded else "All other weights are as they were"
    parts = [
        HEADING,
        f"After training, the output layer alone has learned {count} sentences of our own with emojis that a "
        "reader would accept (`research/own_sentences.py`), most of them of a few patterns: a lost love, an "
        f'irony, a thing that is "the shit". For {texts} texts of the corpus it was to say what it said '
        f"before, and a tenth of what their labels say. {others}. Who wrote the sentences knew the samples "
        "of DeepMoji's examples and the hard ones of `torchmoji.judged_texts`: none of them is among the "
        f"sentences, but kinds of them are, so that they are no measure. Of the {len(JUDGED_TEXTS)} hard "
        f"ones {after} have a first guess that fits, before {before}.",
    ]
    if scores:
        parts.append(scores_table([scores_row(*entry) for entry in scores.items()]))
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, teach, write."""
    parser = make_changing_parser(__doc__)
    parser.add_argument(
        "--weight", type=float, default=WEIGHT, metavar="N", help="of our sentences (default: %(default)s)"
    )
    parser.add_argument(
        "--texts", type=positive, default=TEXTS, metavar="N", help="of the corpus (default: %(default)s)"
    )
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown for the card, below its samples")
    run_alone(parser, arguments, teach)


def teach(options: Any, processes: Processes) -> None:
    """Read, learn and write, by the options of the command line."""
    if not options.weight > 0:
        raise ValueError(f"--weight must be above 0, got {options.weight:g}")
    notes = options.notes.read_text(encoding="utf-8") if options.notes else None
    corpus = Corpus.load(options.corpus)
    given = open_model(options.model, corpus, options.out, processes.device)
    fits = fitting(OWN_SENTENCES, given.classes)
    is_fit = fits.any(1)
    own, fits = list(compress(OWN_SENTENCES, is_fit)), fits[is_fit].to(processes.device)
    if not own:
        raise ValueError("the model has none of the emojis that fit our sentences: leave it as it is")
    scores: dict[str, Scores] = {}
    held_out = None
    if len(corpus.rows("validation")):
        held_out = read_texts(corpus, "validation", given.vocabulary)
        scores["before"] = score_emojis(given.model, held_out, len(given.classes))
    before = failures(MojiPipeline.from_pretrained(options.model))
    chosen, labels = chosen_texts(corpus, options.texts, options.seed)
    texts = encoded(given.model, given.vocabulary, chosen)
    sentences = encoded(given.model, given.vocabulary, [sentence.text for sentence in own])
    labels = labels.to(processes.device)
    learn(given.model, texts, labels, sentences, fits, options.weight, options.seed)

    def told(stored: TorchMoji, pipeline: MojiPipeline) -> tuple[str, Scores | None]:
        if held_out is not None:
            scores["after"] = score_emojis(stored, held_out, len(given.classes))
        state = stored.state_dict()
        is_rounded = not all(
            torch.equal(weight, state[name])
            for name, weight in given.model.state_dict().items()
            if not name.startswith("output_layer.")
        )
        judged = (len(JUDGED_TEXTS) - len(before), len(JUDGED_TEXTS) - len(failures(pipeline)))
        return section(len(own), len(texts), is_rounded, judged, scores), scores.get("after")

    write_model(given, options.out, given.vocabulary, "before our sentences", told, notes)
    logger.info("%s: %s", options.out, {name: f"{part.first:.2%}" for name, part in scores.items()})


def chosen_texts(corpus: Corpus, most: int, seed: int) -> tuple[list[str], Tensor]:
    """Training texts, chosen by chance, in their order, and their labels as shares of 1 (n, C).

    Args:
        corpus: With texts.
        most: So many, at most.
        seed: Of the choice.
    """
    rows = corpus.rows("train")
    numbers = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    is_chosen = np.zeros(len(rows), dtype=bool)
    is_chosen[numbers] = True
    labels = torch.from_numpy(rows.label_table(numbers, len(corpus.classes)))
    texts = list(compress(shard_texts(corpus.shard_paths("train")), is_chosen))
    return texts, labels / labels.sum(1, keepdim=True)


if __name__ == "__main__":
    main()
