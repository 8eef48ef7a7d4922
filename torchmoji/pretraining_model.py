"""The model that pretraining trains: with fresh weights, or with a start from words alone or from a model."""

import os
from pathlib import Path

import torch
from torch import nn

from torchmoji.corpus_folder import Corpus
from torchmoji.embedding_targets import ModelWithEmbeddings, open_embedding_targets
from torchmoji.model_def import TorchMoji
from torchmoji.model_start import start_with_model
from torchmoji.pretraining_run import Trained, loss_of, seeded, train_model
from torchmoji.pretraining_settings import Settings
from torchmoji.processes import Processes
from torchmoji.training_checkpoint import CHECKPOINT_NAME
from torchmoji.word_start import start_with_words
from torchmoji.word_vectors import start_with_vectors


def new_model(settings: Settings, nb_tokens: int, nb_classes: int) -> TorchMoji:
    """A model with fresh weights that gives logits; uses torch's global generator.

    Args:
        settings: Its sizes.
        nb_tokens: Size of the vocabulary.
        nb_classes: Number of emojis.

    Raises:
        ValueError: There is only one emoji.
    """
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


def train(
    corpus: Corpus,
    folder: str | os.PathLike[str],
    settings: Settings,
    *,
    processes: Processes | None = None,
    compiled: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = 600,
    progress: bool = False,
) -> Trained[TorchMoji]:
    """Train a model, or go on with a run that was interrupted.

    Args:
        corpus: With the training texts.
        folder: See `torchmoji.pretraining_run.train_model`, as for the others.
        settings: How to train.
        processes: Those that train together.
        compiled: Use `torch.compile`.
        tensorboard: Write for TensorBoard.
        checkpoint_seconds: How often to write the checkpoint.
        progress: Show a progress bar.

    Returns:
        The trained model and what it took.

    Raises:
        FileNotFoundError: There is no model to start from, or no file of soft targets or embeddings.
        OSError: A model to start from could not be fetched.
        ValueError: The checkpoint is damaged or of another run, or a start or teacher does not fit.
        FloatingPointError: The loss is not finite.
        ModuleNotFoundError: TensorBoard is missing.
    """
    processes = processes or Processes(torch.device("cpu"))
    device = processes.device

    target_size = None
    if settings.embedding_targets is not None:
        target_size = open_embedding_targets(settings.embedding_targets, len(corpus.rows("train"))).shape[1]

    def begun() -> TorchMoji:
        model = new_model(settings, corpus.nb_tokens, len(corpus.classes)).to(device)
        if settings.start_from is not None:
            start_with_model(model, settings.start_from, corpus.vocabulary, corpus.classes)
        return model

    def made() -> TorchMoji | ModelWithEmbeddings:
        if (Path(folder) / CHECKPOINT_NAME).is_file():
            model = new_model(settings, corpus.nb_tokens, len(corpus.classes)).to(device)
        else:
            model = begun()
            if settings.word_vectors is not None:
                start_with_vectors(model, settings.word_vectors)
            if settings.word_passes:
                start_with_words(model, corpus.rows("train"), loss_of(corpus, settings), settings)
        return model if target_size is None else ModelWithEmbeddings(model, target_size)

    trained = train_model(
        *(made, corpus, folder, settings),
        processes=processes,
        compiled=compiled,
        tensorboard=tensorboard,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    model = trained.model.model if isinstance(trained.model, ModelWithEmbeddings) else trained.model
    if settings.start_share:
        with seeded(device, settings.seed), torch.no_grad():
            start = begun()
            for weight, other in zip(model.parameters(), start.parameters(), strict=True):
                weight.lerp_(other, settings.start_share)
    return Trained(model, trained.settings, trained.steps, trained.seconds)
