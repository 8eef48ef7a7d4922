"""The model card of the default model: data, command, scores, samples, what it does not see, limits."""

from collections.abc import Sequence

import numpy as np
from sentences import Sentence

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

ABOUT_DATA = """They are English tweets and comments, each with one or more of the emojis, which were
taken out of the text; an emoticon counts as the emojis that mean the same, and in one text of seven one
of its emojis stands in the text again, as emoji or as emoticon. Names became `@user`, links `http`;
retweets and texts with links were left out, and 14 988 comments of one site whose single label, ♥ or ☺,
told the site and nothing else. No validation text shares its first ten words with a training text. About
one text in two hundred is promotional, some have one label where the tweet had several emojis, and emojis
are as unequal as on the street (one text in eight has 😂).

They were collected from public GitHub repositories: misterem/Emoji-Data-Project,
raphaelpreston/Emoji-Sentiment-Analysis, tho121/emojipred, antunmagdic/emoji-prediction,
yiruigao98/Emoji-Prediction-Reddit,
Killiango/Emoji-Prediction, ckcherry23/Twemoji, Tisinti/EmojiComments, rockinbinbin/nlp-emoji-predictor,
hdlim15/TwitterEmoji, adityajo/ComputationalSarcasm, dliedtka/twitter_emoji_sentiment,
prafullkatiyar/unimelb-weka-sentimentAnalysis, laurie-gao/Emojify, AniSkywalker/SarcasmDetection,
chenyangh/SemEval2019Task3 and six small ones. None of those named has a licence for its texts: the last
one has MIT for its code, and for its data the terms of SemEval 2019 task 3 (research only, "Data provided
by Microsoft"); the others have no licence file. The texts belong to those who wrote them. They are no
part of this package. Nobody has cleared the model for commercial use."""

FASTTEXT = (0.272, 0.627, 0.074, 0.239)
"""fastText (100 dimensions, word bigrams, 5 epochs) trained on the same texts and scored on others like them:
first guess, first five, and both averaged over the classes. Measured apart from this program."""

SHOWN_FAILURES = 20


def default_model_card(
    report: Report,
    pipeline: MojiPipeline,
    hard: Sequence[Sentence],
    everyday: str,
    sentences: int,
    is_known: bool,
) -> str:
    """The whole card, as Markdown.

    Args:
        report: What training took, and the scores.
        pipeline: Of the finished model.
        hard: Sentences of which those that it fails on are shown.
        everyday: The tables of everyday sentences and of emoticons.
        sentences: How many it was taught.
        is_known: Whether the texts are those that `ABOUT_DATA` tells of.
    """
    settings = report.settings
    features = 4 * settings.hidden_size + settings.embedding_dim
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
        f"""## Sentences

Beside these texts the model has learned {sentences} sentences of our own with the emojis that a reader would
accept (`research/sentences.jsonl`). They are no measure, and neither are the hard sentences below, kinds of
which are among them.""",
        scores_section(report, [row("fastText on texts like these", FASTTEXT)] if is_known else []),
        f"""## Everyday sentences

Of sentences by people who had not seen those for training (`research/everyday.jsonl`), and of emoticons alone
and after neutral sentences (`research/emoticons.json`), the share of those whose first guess, or one of the
first three, is an emoji that a reader would accept. Then what three readers said of the first guesses,
without knowing whose they were (`research/judged.jsonl`).

{everyday}""",
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
