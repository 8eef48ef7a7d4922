"""Makes the model that comes with the package: vocabulary, training, compact weights, scores, model card.

The result has the shapes of the original weights (50 000 words, 256, 512, 64 classes, 2304 features), so all
code that works with one works with the other.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from torchmoji import __version__
from torchmoji.corpus import Corpus, build_vocabulary, make_corpus, read_labelled_texts, word_lists
from torchmoji.create_vocab import load_vocabulary, save_vocabulary
from torchmoji.emojis import EMOJIS, EXAMPLE_TEXTS, top_emojis
from torchmoji.files import atomic_path, atomic_write_text
from torchmoji.global_variables import DEFAULT_WEIGHTS_NAME, VOCABULARY_NAME
from torchmoji.machine import processor, versions
from torchmoji.model_def import torchmoji_emojis
from torchmoji.pretraining import Scores, Settings, Trained, evaluate, train
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights import save_quantized

TRAINING_FILE = "train.tsv.gz"
VALIDATION_FILE = "valid.tsv.gz"
CARD_NAME = "README.md"
CONFIG_NAME = "config.json"

KNOWN_VALIDATION_TEXTS = "c36d4e68ce2ffd96473f5796c8cab26262364d4761f8d1661a28981b20913ecb"
"""SHA-256 of the validation file that the following is about."""

ABOUT_DATA = """They are English tweets and comments from public GitHub repositories, each with one or more of
the emojis, which were taken out of the text. Names became `@user`, links `http`; retweets and texts with
links were left out. No validation text shares its first ten words with a training text. About one text
in two hundred is promotional, some have one label where the tweet had several emojis, and emojis are as
unequal as on the street (😂 is one in seven)."""

FASTTEXT = (0.273, 0.628, 0.090, 0.277)
"""fastText (100 dimensions, word bigrams, 5 epochs) trained and scored on the same texts: first guess, first
five, and both averaged over the classes. Measured apart from this program."""


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def prepare(
    data: str | os.PathLike[str], work: str | os.PathLike[str], settings: Settings, progress: bool = True
) -> tuple[dict[str, int], Corpus, Corpus]:
    """Tokenize the texts and build the vocabulary, or read what an earlier call wrote.

    Args:
        data: Folder of the training and the validation file.
        work: Folder for the vocabulary and the tokenized texts.
        settings: Of the run.
        progress: Show progress bars.

    Returns:
        The vocabulary, the training and the validation texts.

    Raises:
        ValueError: The folder `work` is of other texts or of a vocabulary of another size.
    """
    fingerprints_path = Path(work) / "data.json"
    fingerprints = {name: sha256(Path(data) / name) for name in (TRAINING_FILE, VALIDATION_FILE)}
    if fingerprints_path.is_file() and json.loads(fingerprints_path.read_text("utf-8")) != fingerprints:
        raise ValueError(f"{work} was made from other texts than those in {data}: use another folder")
    vocabulary_path = Path(work) / VOCABULARY_NAME
    corpora = {name: Path(work) / f"{name}.npz" for name in (TRAINING_FILE, VALIDATION_FILE)}
    if not (vocabulary_path.is_file() and all(path.is_file() for path in corpora.values())):
        atomic_write_text(fingerprints_path, json.dumps(fingerprints))
        words, labels = {}, {}
        for name in corpora:
            texts, labels[name] = read_labelled_texts(Path(data) / name, settings.nb_classes)
            words[name] = word_lists(texts, progress)
        vocabulary = build_vocabulary(words[TRAINING_FILE], settings.nb_tokens)
        save_vocabulary(vocabulary, vocabulary_path)
        for name, path in corpora.items():
            corpus = make_corpus(words[name], labels[name], vocabulary)
            with atomic_path(path) as temporary:
                np.savez(temporary, **vars(corpus))
    vocabulary = load_vocabulary(vocabulary_path)
    if len(vocabulary) != settings.nb_tokens:
        raise ValueError(
            f"{vocabulary_path} has {len(vocabulary)} words, not {settings.nb_tokens}: use another folder"
        )
    loaded = []
    for path in corpora.values():
        with np.load(path, allow_pickle=False) as arrays:
            loaded.append(Corpus(**arrays))
    return vocabulary, loaded[0], loaded[1]


def make_default_model(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    command: str,
    notes: str = "",
    checkpoint_seconds: float = 600,
    progress: bool = True,
) -> tuple[Scores, Scores]:
    """Train, store, score and describe a model; an interrupted call goes on where it was.

    Args:
        data: Folder of the training and the validation file.
        out: Receives `config.json`, `vocabulary.json`, `model.safetensors` and the model card `README.md`;
            its subfolder `training` holds tokenized texts and the checkpoint.
        settings: How to train.
        command: What made the model, for the card.
        notes: Text for the card, such as a reader's judgement of the samples.
        checkpoint_seconds: How often to write the checkpoint.
        progress: Show progress bars.

    Returns:
        Scores on the validation texts, with the trained weights and with the stored ones.
    """
    out = Path(out)
    vocabulary, training, validation = prepare(data, out / "training", settings, progress)
    trained = train(
        training,
        settings,
        out / "training" / "checkpoint.pt",
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    exact = evaluate(trained.model, validation)

    save_quantized(trained.model.state_dict(), out / DEFAULT_WEIGHTS_NAME)
    save_vocabulary(vocabulary, out / VOCABULARY_NAME)
    classes = list(EMOJIS[: settings.nb_classes])
    config = {
        "model_type": "torchmoji",
        "version": __version__,
        "nb_tokens": settings.nb_tokens,
        "embedding_dim": settings.embedding_dim,
        "hidden_size": settings.hidden_size,
        "nb_classes": settings.nb_classes,
        "classes": classes,
    }
    atomic_write_text(out / CONFIG_NAME, json.dumps(config, ensure_ascii=False, indent=1) + "\n")

    model = torchmoji_emojis(out / DEFAULT_WEIGHTS_NAME)
    stored = evaluate(model, validation)
    tokens, _, _ = SentenceTokenizer(vocabulary, 30).tokenize_sentences(EXAMPLE_TEXTS)
    samples = [
        (text, " ".join(guess.emoji for guess in guesses))
        for text, guesses in zip(EXAMPLE_TEXTS, top_emojis(model(tokens), 5, classes), strict=True)
    ]
    sizes = (len(training), len(validation))
    is_known = sha256(Path(data) / VALIDATION_FILE) == KNOWN_VALIDATION_TEXTS
    card = model_card(settings, trained, sizes, is_known, exact, stored, samples, command, notes)
    atomic_write_text(out / CARD_NAME, card)
    return exact, stored


def _row(name: str, *shares: float) -> str:
    return " | ".join([f"| {name}", *(f"{share:.2%}" for share in shares)]) + " |"


def _scores_row(name: str, scores: Scores) -> str:
    return _row(name, scores.first, scores.first_five, scores.average_first, scores.average_first_five)


def model_card(
    settings: Settings,
    trained: Trained,
    texts: tuple[int, int],
    is_known_data: bool,
    exact: Scores,
    stored: Scores,
    samples: list[tuple[str, str]],
    command: str,
    notes: str,
) -> str:
    """The model card, as Markdown: data, command, time, scores, samples, limits.

    Args:
        settings: Of the run.
        trained: What training took.
        texts: How many for training and for validation.
        is_known_data: Whether `ABOUT_DATA` and `FASTTEXT` are about these texts.
        exact: Scores with the trained weights.
        stored: Scores with the stored ones.
        samples: Texts with their emojis.
        command: What made the model.
        notes: More text.
    """
    sample_rows = "\n".join(f"| {text} | {emojis} |" for text, emojis in samples)
    by_share = sorted(
        (share, EMOJIS[index]) for index, share in enumerate(stored.class_first_five) if stored.counts[index]
    )
    seldom = " ".join(emoji for _, emoji in by_share[:10])
    often = " ".join(emoji for _, emoji in by_share[:-11:-1])
    features = 4 * settings.hidden_size + settings.embedding_dim
    return f"""# The default model of torchMoji

A DeepMoji model (bi-LSTM with hard-sigmoid gates and attention) that guesses which of
{settings.nb_classes} emojis a short text was written with: {settings.nb_tokens} words, embeddings of
{settings.embedding_dim}, LSTMs of {settings.hidden_size}, {features} features. It makes the package work out
of the box, without a network. **The original DeepMoji weights (50 000 words, 256, 512, 2304), trained on
1.2 billion tweets, are better**: fetch them with `python scripts/download_weights.py`.

## Files

- `model.safetensors`: matrices as int8 with a float32 scale for each row, the rest float32.
  `torchmoji_emojis`, `torchmoji_feature_encoding` and `torchmoji_transfer` read it as float32.
- `vocabulary.json`: word -> id. The ten special tokens come first, then words by frequency,
  emojis among them.
- `config.json`: sizes, and the emojis in the order of the classes.

## Data

{texts[0]} texts for training, {texts[1]} for validation, which training never saw.

{ABOUT_DATA if is_known_data else "The command names the folder they came from."}

## Training

    {command}

{settings.passes:g} passes, {trained.steps} steps of {settings.batch_size} texts, Adam with a highest
learning rate of {settings.learning_rate:g}. A text with k emojis counts as k samples. It took
{trained.seconds / 60:.0f} minutes on {processor()}
({versions("torch", "numpy")}).

## Scores

On the validation texts. A guess is right where it is one of the text's emojis;
"averaged" is the mean over the emojis of the share of an emoji's texts for which it is guessed.

| | first guess | first five | first guess, averaged | first five, averaged |
|---|---|---|---|---|
{_scores_row("this model, as stored", stored)}
{_scores_row("the same before rounding to int8", exact)}
{_row("fastText on the same texts", *FASTTEXT) if is_known_data else ""}

Most often found among the first five guesses: {often}

Least often: {seldom}

## Samples

| text | first five guesses |
|---|---|
{sample_rows}

{notes.strip()}

## Limits

- Common emojis are guessed too often and rare ones hardly ever: see the averaged scores.
- Texts of social media are informal, with profanity and the prejudices of those who wrote them. Guesses
  repeat them.
- Single words can outweigh the sense of a sentence; irony and negation are often missed.
- It must not be used to judge persons: not for hiring, policing, medical or credit decisions, nor to
  state as a fact what somebody feels. A guess says which emoji people put next to such words, no more.
"""
