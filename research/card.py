"""The model card of the default model: data, command, scores, samples, what it does not see, limits."""

from collections.abc import Mapping, Sequence

import numpy as np
from after_training import Sentence

from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.pipeline import MojiPipeline
from torchmoji.pretraining.card import (
    LIMITS,
    Report,
    data_section,
    files_section,
    row,
    scores_section,
    training_section,
)

KNOWN_VALIDATION_TEXTS = "c36d4e68ce2ffd96473f5796c8cab26262364d4761f8d1661a28981b20913ecb"
"""SHA-256 of the validation file that `ABOUT_DATA` and `FASTTEXT` are about."""

ABOUT_DATA = """They are English tweets and comments from public GitHub repositories, each with one or more of
the emojis, which were taken out of the text. Names became `@user`, links `http`; retweets and texts with
links were left out. No validation text shares its first ten words with a training text. About one text
in two hundred is promotional, some have one label where the tweet had several emojis, and emojis are as
unequal as on the street (one text in eight has 😂)."""

FASTTEXT = (0.273, 0.628, 0.090, 0.277)
"""fastText (100 dimensions, word bigrams, 5 epochs) trained and scored on the same texts: first guess, first
five, and both averaged over the classes. Measured apart from this program."""

SHOWN_FAILURES = 20


def default_model_card(
    report: Report, pipeline: MojiPipeline, hard: Sequence[Sentence], after: Mapping[str, int]
) -> str:
    """The whole card, as Markdown.

    Args:
        report: What training took, and the scores.
        pipeline: Of the finished model.
        hard: Sentences of which those that it fails on are shown.
        after: What was learned after training: kind -> how many.
    """
    settings = report.settings
    features = 4 * settings.hidden_size + settings.embedding_dim
    is_known = any(entry["sha256"] == KNOWN_VALIDATION_TEXTS for entry in report.manifest["inputs"])
    further = [row("fastText on the same texts", FASTTEXT)] if is_known else []
    sections = [
        f"""# The default model of torchMoji

A DeepMoji model (bi-LSTM with hard-sigmoid gates and attention) that guesses which of
{len(report.classes)} emojis a short text was written with: {report.nb_tokens} words, embeddings of
{settings.embedding_dim}, LSTMs of {settings.hidden_size}, {features} features. It makes the package work out
of the box, without a network. `torchmoji download` fetches the original DeepMoji weights, which were trained
on 1.2 billion tweets.""",
        files_section(report),
        data_section(report, ABOUT_DATA if is_known else ""),
        training_section(report),
        f"""## After training

{after["emojis"]} emojis have embeddings as words, in the places of the rarest words: from texts with several
emojis, of which one was left in the text. The output layer has learned {after["sentences"]} sentences of our
own with the emojis that a reader would accept (`research/sentences.jsonl`); who wrote them knew the samples
below and the hard sentences, kinds of which are among them, so that these are no measure.""",
        scores_section(report, further),
        f"## Samples\n\n{_table([(text, ' '.join(guesses(pipeline, [text])[0])) for text in EXAMPLE_TEXTS])}",
        report.notes.strip(),
        failures_section(failures(pipeline, hard), len(hard)),
        f"## Limits\n\n{LIMITS}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def guesses(pipeline: MojiPipeline, texts: Sequence[str]) -> list[list[str]]:
    """The first five emojis for each text."""
    return [[score.emoji for score in prediction] for prediction in pipeline.predict(list(texts), top_k=5)]


def failures(pipeline: MojiPipeline, hard: Sequence[Sentence]) -> list[tuple[str, str]]:
    """The sentences for which the first guess does not fit, with the first five."""
    found = zip(hard, guesses(pipeline, [sentence.text for sentence in hard]), strict=True)
    return [(sentence.text, " ".join(five)) for sentence, five in found if five[0] not in sentence.emojis]


def failures_section(failed: Sequence[tuple[str, str]], count: int) -> str:
    """Twenty of the sentences that a model fails on, of all kinds alike."""
    if not failed:
        return ""
    places = np.linspace(0, len(failed) - 1, min(SHOWN_FAILURES, len(failed))).round().astype(int)
    return f"""## Where it fails

Of {count} sentences of our own, hard on purpose, the first guess is one that a reader would not
accept for {len(failed)}. {len(places)} of these:

{_table([failed[place] for place in places])}"""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {text} | {emojis} |" for text, emojis in rows]
    return "\n".join(["| text | first five guesses |", "|---|---|", *lines])
