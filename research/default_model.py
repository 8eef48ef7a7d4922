"""Makes the model that comes with the package: corpus, training, compact weights, scores, model card.

The result has the shapes of the original weights (50 000 words, 256, 512, 64 classes, 2304 features), so all
code that works with one works with the other. It goes the way that is open to everybody: `build_corpus`, then
`pretrain`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from judged_texts import JUDGED_TEXTS

from torchmoji.corpus.build import CorpusSettings, build_corpus
from torchmoji.corpus.reading import Columns
from torchmoji.corpus.shards import Corpus
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.global_variables import NB_TOKENS
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pretraining.card import (
    LIMITS,
    Report,
    data_section,
    files_section,
    row,
    scores_section,
    training_section,
)
from torchmoji.pretraining.pretraining import Pretrained, Settings, pretrain

TRAINING_FILE = "train.tsv.gz"
VALIDATION_FILE = "valid.tsv.gz"
CORPUS_NAME = "corpus"
SHOWN_FAILURES = 20

KNOWN_VALIDATION_TEXTS = "c36d4e68ce2ffd96473f5796c8cab26262364d4761f8d1661a28981b20913ecb"
"""SHA-256 of the validation file that the following is about."""

ABOUT_DATA = """They are English tweets and comments from public GitHub repositories, each with one or more of
the emojis, which were taken out of the text. Names became `@user`, links `http`; retweets and texts with
links were left out. No validation text shares its first ten words with a training text. About one text
in two hundred is promotional, some have one label where the tweet had several emojis, and emojis are as
unequal as on the street (one text in eight has 😂)."""

HASHTAGS = 25_000
"""Commonest words that share their embeddings with their hashtags."""

FASTTEXT = (0.273, 0.628, 0.090, 0.277)
"""fastText (100 dimensions, word bigrams, 5 epochs) trained and scored on the same texts: first guess, first
five, and both averaged over the classes. Measured apart from this program."""


def prepare(
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    nb_tokens: int = NB_TOKENS,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> Corpus:
    """Build the corpus, or open the one that an earlier call built.

    Args:
        data: Folder of the training and the validation file: lines of comma-separated classes, tab, text.
        folder: For the corpus.
        nb_tokens: Entries of the vocabulary, at most.
        workers: Processes; by default one for each core.
        progress: Show progress bars.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The folder holds a corpus of other texts or settings, or a line is none.
    """
    settings = CorpusSettings(
        columns=Columns(text="2", labels="1", header=False), nb_tokens=nb_tokens, hashtags=HASHTAGS
    )
    build_corpus(
        Path(data) / TRAINING_FILE,
        folder,
        settings,
        validation_inputs=Path(data) / VALIDATION_FILE,
        workers=workers,
        progress=progress,
    )
    return Corpus.load(folder)


def make_default_model(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    nb_tokens: int = NB_TOKENS,
    command: str = "",
    notes: str = "",
    compiled: bool = False,
    checkpoint_seconds: float = 600,
    progress: bool = True,
) -> Pretrained:
    """Train, store, score and describe a model; an interrupted call goes on where it was.

    Args:
        data: Folder of the training and the validation file.
        out: Receives the files of `torchmoji.pretraining.pretraining.pretrain`; its subfolder `corpus` holds
        the corpus.
        settings: How to train.
        nb_tokens: Entries of the vocabulary, at most.
        command: What made the model, for the card.
        notes: Text for the card, such as a reader's judgement of the samples.
        compiled: Use `torch.compile`.
        checkpoint_seconds: How often to write the checkpoint.
        progress: Show progress bars.

    Returns:
        What it took, and the scores on the validation texts.
    """
    out = Path(out)
    corpus = prepare(data, out / CORPUS_NAME, nb_tokens, progress=progress)
    return pretrain(
        corpus,
        out,
        settings,
        int8=True,
        compiled=compiled,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        command=command,
        notes=notes,
        card=DefaultCard(out),
    )


@dataclass(frozen=True)
class DefaultCard:
    """Writes the card of the default model.

    Args:
        folder: Of the model, whose files are there.
    """

    folder: Path

    def __call__(self, report: Report) -> str:
        """The card for what training took and gave."""
        is_known = any(entry["sha256"] == KNOWN_VALIDATION_TEXTS for entry in report.manifest["inputs"])
        pipeline = MojiPipeline.from_pretrained(self.folder)
        return default_model_card(report, samples(pipeline), is_known, failures(pipeline))


def samples(pipeline: MojiPipeline) -> list[tuple[str, str]]:
    """DeepMoji's example sentences, each with the first five guesses of a model.

    Args:
        pipeline: Of the model.
    """
    return list(zip(EXAMPLE_TEXTS, map(" ".join, _guesses(pipeline, EXAMPLE_TEXTS)), strict=True))


def failures(pipeline: MojiPipeline) -> list[tuple[str, str]]:
    """The `torchmoji.judged_texts` for which a model's first guess does not fit, with its first five.

    Args:
        pipeline: Of the model.
    """
    guesses = _guesses(pipeline, [judged.text for judged in JUDGED_TEXTS])
    return [
        (judged.text, " ".join(emojis))
        for judged, emojis in zip(JUDGED_TEXTS, guesses, strict=True)
        if emojis[0] not in judged.accepted
    ]


def _guesses(pipeline: MojiPipeline, texts: Sequence[str]) -> list[list[str]]:
    """The first five emojis for each text."""
    predictions = pipeline.predict(list(texts), top_k=5)
    return [[score.emoji for score in prediction] for prediction in predictions]


def failures_section(failed: Sequence[tuple[str, str]]) -> str:
    """Twenty of the texts that a model fails on, of all kinds alike.

    Args:
        failed: See `failures`.
    """
    if not failed:
        return ""
    places = np.linspace(0, len(failed) - 1, min(SHOWN_FAILURES, len(failed))).round().astype(int)
    return f"""## Where it fails

Of {len(JUDGED_TEXTS)} sentences of our own, hard on purpose, the first guess is one that a reader would not
accept for {len(failed)}. {len(places)} of these:

{guess_table([failed[place] for place in places])}"""


def guess_table(rows: Sequence[tuple[str, str]]) -> str:
    """Markdown: texts and emojis.

    Args:
        rows: Texts, each with its emojis.
    """
    lines = [f"| {text} | {emojis} |" for text, emojis in rows]
    return "\n".join(["| text | first five guesses |", "|---|---|", *lines])


def default_model_card(
    report: Report,
    sampled: Sequence[tuple[str, str]],
    is_known_data: bool,
    failed: Sequence[tuple[str, str]] = (),
) -> str:
    """The model card, as Markdown: data, command, time, scores, samples, limits.

    Args:
        report: What training took and gave.
        sampled: Texts with their emojis.
        is_known_data: Whether `ABOUT_DATA` and `FASTTEXT` are about these texts.
        failed: See `failures`.
    """
    settings = report.settings
    features = 4 * settings.hidden_size + settings.embedding_dim
    further = [row("fastText on the same texts", FASTTEXT)] if is_known_data else []
    sections = [
        f"""# The default model of torchMoji

A DeepMoji model (bi-LSTM with hard-sigmoid gates and attention) that guesses which of
{len(report.classes)} emojis a short text was written with: {report.nb_tokens} words, embeddings of
{settings.embedding_dim}, LSTMs of {settings.hidden_size}, {features} features. It makes the package work out
of the box, without a network. **The original DeepMoji weights (50 000 words, 256, 512, 2304), trained on
1.2 billion tweets, are better**: fetch them with `torchmoji download`.""",
        files_section(report),
        data_section(report, ABOUT_DATA if is_known_data else ""),
        training_section(report),
        scores_section(report, further),
        f"## Samples\n\n{guess_table(sampled)}",
        report.notes.strip(),
        failures_section(failed),
        f"## Limits\n\n{LIMITS}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
