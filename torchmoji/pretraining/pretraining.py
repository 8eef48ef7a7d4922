"""Trains a model to predict the emojis that were taken out of texts, as DeepMoji was trained.

    pretrain("corpus/", "model/", Settings(passes=2))

Source: Felbo et al. 2017 for the task. The rest is our choice: Adam with warm-up and cosine decay, batches of
texts alike in length, the k samples of a text with k emojis in one pass. It runs in one process, or in those
that `torchrun` started; a run that was killed goes on where its last checkpoint was and ends with the same
weights.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from torchmoji.corpus.shards import Corpus
from torchmoji.files.atomic import locked
from torchmoji.model_def import TorchMoji, load_model
from torchmoji.pretraining.card import Report, model_card
from torchmoji.pretraining.distributed import Processes, device_name, joined_processes
from torchmoji.pretraining.loop import Trained, train_model
from torchmoji.pretraining.loss import ModelWithEmbeddings, PretrainingLoss
from torchmoji.pretraining.scores import Scores, commonest_scores, score_emojis
from torchmoji.pretraining.settings import Settings
from torchmoji.pretraining.start import start_with_model, start_with_vectors, start_with_words
from torchmoji.training.loop import seeded
from torchmoji.weights.folder import save, write_card
from torchmoji.weights.layers import WEIGHTS_NAME

__all__ = ["Pretrained", "Settings", "Trained", "adjust_to_prior", "pretrain", "train"]

STORED = "this model, as stored"


@dataclass(frozen=True)
class Pretrained:
    """What `pretrain` gives.

    Attributes:
        folder: Of the model, for `MojiPipeline.from_pretrained`.
        steps: Batches seen.
        seconds: Time spent on them, interruptions left out.
        scores: Name -> scores on the validation texts, those of the stored model first; empty without such
            texts, None in all processes but the first.
    """

    folder: Path
    steps: int
    seconds: float
    scores: dict[str, Scores] | None


def pretrain(
    corpus: Corpus | str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    device: str | torch.device | None = None,
    int8: bool = False,
    checkpoint_seconds: float = 600,
    progress: bool = False,
    command: str = "",
    notes: str = "",
    card: Callable[[Report], str] = model_card,
    force: bool = False,
) -> Pretrained:
    """Train, store, score and describe a model; an interrupted call goes on where it was.

    Args:
        corpus: A corpus of `torchmoji.corpus.build.build_corpus`, or its folder.
        out: Receives `config.json`, `vocabulary.json`, `model.safetensors` and the model card `README.md`,
            for `MojiPipeline.from_pretrained`; and what `train` writes.
        settings: How to train.
        device: Where; by default CUDA where it is there.
        int8: Store matrices as int8: a quarter of the size.
        checkpoint_seconds: How often to write the checkpoint.
        progress: Show a progress bar.
        command: What made the model, for the card.
        notes: Text for the card.
        card: Writes the card.
        force: Replace a checkpoint of a run with other settings, and a `metrics.jsonl` of another program;
            files of a model are replaced in any case.

    Returns:
        What it took, and how well the model guesses.

    Raises:
        FileExistsError: `metrics.jsonl` was not written by a training.
        FileNotFoundError: There is no corpus, no model to start from, or no file of soft targets.
        OSError: A model to start from could not be fetched.
        ValueError: The corpus or the checkpoint is damaged, of another run, or does not fit the settings, or
            `checkpoint_seconds` is no time.
        BlockingIOError: Another process trains in this folder.
        FloatingPointError: The loss is not finite.
        ModuleNotFoundError: An extra is missing.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.load(corpus)
    settings = settings or Settings()
    out = Path(out)
    if os.path.realpath(out) == os.path.realpath(corpus.folder):
        raise ValueError(f"{out} is the corpus, whose vocabulary would be lost: give another folder")
    out.mkdir(parents=True, exist_ok=True)
    with joined_processes(device) as processes, ExitStack() as stack:
        if processes.is_first:
            message = f"another process is training in {out}: wait for it"
            stack.enter_context(locked(out / ".lock", message))
        trained = train(
            *(corpus, out, settings),
            processes=processes,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress,
            force=force,
        )
        scores = None
        if processes.is_first:
            scores = store(corpus, out, settings, trained, int8)
            report = Report(
                manifest=corpus.manifest,
                settings=trained.settings,
                nb_tokens=corpus.nb_tokens,
                steps=trained.steps,
                seconds=trained.seconds,
                device=device_name(processes.device),
                processes=processes.count,
                scores=scores,
                is_int8=int8,
                command=command,
                notes=notes,
            )
            write_card(out, card(report))
        processes.wait()
    return Pretrained(out, trained.steps, trained.seconds, scores)


def train(
    corpus: Corpus,
    folder: str | os.PathLike[str],
    settings: Settings,
    *,
    processes: Processes | None = None,
    checkpoint_seconds: float = 600,
    progress: bool = False,
    force: bool = False,
) -> Trained[TorchMoji]:
    """Train a model, or go on with a run that was interrupted.

    Arguments, result and errors are those of `torchmoji.pretraining.loop.train_model`.

    Raises:
        FileNotFoundError: Also where there is no model to start from.
        OSError: A model to start from could not be fetched.
    """
    processes = processes or Processes(torch.device("cpu"))
    device, loss = processes.device, PretrainingLoss(corpus, settings)

    def fresh() -> TorchMoji:
        return new_model(settings, corpus.nb_tokens, len(corpus.classes)).to(device)

    def warm_started() -> TorchMoji:
        model = fresh()
        if settings.start_from is not None:
            start_with_model(model, settings.start_from, corpus.vocabulary, corpus.classes)
        return model

    def make(goes_on: bool) -> TorchMoji | ModelWithEmbeddings:
        if goes_on:
            model = fresh()
        else:
            model = warm_started()
            if settings.word_vectors is not None:
                start_with_vectors(model, settings.word_vectors)
            if settings.word_passes:
                start_with_words(model, corpus.rows("train"), loss, settings)
        return model if loss.embedding_size is None else ModelWithEmbeddings(model, loss.embedding_size)

    trained = train_model(
        *(make, corpus, folder, settings),
        processes=processes,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        force=force,
    )
    model = trained.model.model if isinstance(trained.model, ModelWithEmbeddings) else trained.model
    if settings.start_share:
        with seeded(device, settings.seed), torch.no_grad():
            for weight, start in zip(model.parameters(), warm_started().parameters(), strict=True):
                weight.lerp_(start, settings.start_share)
    return Trained(model, trained.settings, trained.steps, trained.seconds)


def new_model(settings: Settings, nb_tokens: int, nb_classes: int) -> TorchMoji:
    """A model with fresh weights (torch's global generator) that gives logits; ValueError for one emoji."""
    if nb_classes < 2:
        raise ValueError("a model needs at least two emojis to tell apart: build the corpus with more")
    model = TorchMoji(
        nb_classes=nb_classes,
        nb_tokens=nb_tokens,
        output_logits=True,
        embed_dropout_rate=settings.embed_dropout_rate,
        final_dropout_rate=settings.final_dropout_rate,
        embedding_dim=settings.embedding_dim,
        hidden_size=settings.hidden_size,
    )
    if nb_classes == 2:  # else one output for two classes
        model.output_layer = nn.Sequential(nn.Linear(model.attention_size, nb_classes))
    return model


def store(
    corpus: Corpus, out: Path, settings: Settings, trained: Trained[TorchMoji], int8: bool
) -> dict[str, Scores]:
    """Adjust a trained model to the prior, write its files but for the card, and score it.

    Returns name -> scores on the validation texts, those of the stored model first; empty without such texts.
    """
    model, counts, classes = trained.model, corpus.class_counts("train"), corpus.classes
    rows = corpus.rows("validation")
    before: dict[str, Scores] = {}

    def score(scored: nn.Module) -> Scores:
        return score_emojis(scored, rows, len(classes), most=settings.evaluation_texts)

    if settings.prior_adjustment:
        before |= {"before the adjustment to the prior": score(model)} if len(rows) else {}
        adjust_to_prior(model, counts, settings)
    if int8 and len(rows):
        before = {"the same before rounding to int8": score(model), **before}
    config = {
        "nb_tokens": corpus.nb_tokens,
        "embedding_dim": settings.embedding_dim,
        "hidden_size": settings.hidden_size,
        "nb_classes": len(classes),
        "classes": classes,
        "class_frequencies": learned_frequencies(counts, settings),
    }
    save(out, model.state_dict(), corpus.vocabulary, config, int8=int8)
    if not len(rows):
        return {}
    stored = score(load_model(out / WEIGHTS_NAME).to(next(model.parameters()).device))
    commonest = commonest_scores(rows, counts, settings.evaluation_texts)
    return {STORED: stored, **before, "always the commonest emojis": commonest}


@torch.no_grad()
def adjust_to_prior(model: TorchMoji, class_counts: Sequence[int], settings: Settings) -> None:
    """Take the log frequencies of classes, with so many texts (C,), off the bias `prior_adjustment` times."""
    logs = torch.tensor(class_counts, dtype=torch.float64).clamp(min=1).log()
    bias: Tensor = model.get_parameter("output_layer.0.bias")
    bias -= (settings.prior_adjustment * (logs - logs.mean())).to(bias)


def learned_frequencies(class_counts: Sequence[int], settings: Settings) -> list[float]:
    """How frequent a stored model takes the classes to be (C,), as shares: for `torchmoji.balancing`."""
    left = max(0.0, 1 - settings.prior_adjustment)
    numbers = [max(1, count) ** left for count in class_counts]
    total = sum(numbers)
    return [float(f"{number / total:.6g}") for number in numbers]
