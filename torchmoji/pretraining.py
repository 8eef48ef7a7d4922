"""Trains a model to predict the emojis that were taken out of texts, as DeepMoji was trained.

Source: Felbo et al. 2017 for the task: a text with k different emojis is k samples, one for each. Here the k
samples share one pass through the model, which gives the same expected gradient for less work. The rest is
our choice: Adam with warm-up and cosine decay, batches of texts alike in length, and checkpoints from which
an interrupted run goes on.
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from torchmoji.corpus import Corpus, batches
from torchmoji.files import atomic_path
from torchmoji.global_variables import NB_EMOJI_CLASSES, NB_TOKENS
from torchmoji.model_def import EMBEDDING_DIM, HIDDEN_SIZE, TorchMoji

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        nb_tokens: Entries of the vocabulary, special tokens included.
        nb_classes: Number of emojis.
        embedding_dim: Numbers in an embedding.
        hidden_size: Units of an LSTM direction.
        passes: How often each text is seen, on average.
        batch_size: Texts in a batch.
        max_length: Tokens after which training texts are cut.
        learning_rate: Highest rate of Adam; it rises to it linearly, then falls to zero as a half cosine.
        warmup_steps: Steps of the rise.
        embed_dropout_rate: Probability of dropping an embedding channel of a text.
        final_dropout_rate: Probability of dropping a feature before the output layer.
        gradient_norm: Gradients are scaled down to this norm.
        seed: Of the weights, the order of texts and dropout.
        bfloat16: Compute matrix products in bfloat16.
    """

    nb_tokens: int = NB_TOKENS
    nb_classes: int = NB_EMOJI_CLASSES
    embedding_dim: int = EMBEDDING_DIM
    hidden_size: int = HIDDEN_SIZE
    passes: float = 1.0
    batch_size: int = 512
    max_length: int = 50
    learning_rate: float = 2e-3
    warmup_steps: int = 300
    embed_dropout_rate: float = 0.1
    final_dropout_rate: float = 0.2
    gradient_norm: float = 1.0
    seed: int = 42
    bfloat16: bool = True


def learning_rate(step: int, total_steps: int, settings: Settings) -> float:
    """Linear rise, then a half cosine down to zero."""
    warmup = min(settings.warmup_steps, total_steps // 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def new_model(settings: Settings) -> TorchMoji:
    """A model with fresh weights that gives logits; uses torch's global generator."""
    return TorchMoji(
        nb_classes=settings.nb_classes,
        nb_tokens=settings.nb_tokens,
        output_logits=True,
        embed_dropout_rate=settings.embed_dropout_rate,
        final_dropout_rate=settings.final_dropout_rate,
        embedding_dim=settings.embedding_dim,
        hidden_size=settings.hidden_size,
    )


@dataclass(frozen=True)
class Trained:
    """What `train` gives.

    Attributes:
        model: In evaluation mode.
        steps: Batches seen.
        seconds: Time spent, interruptions left out.
    """

    model: TorchMoji
    steps: int
    seconds: float


def train(
    corpus: Corpus,
    settings: Settings,
    checkpoint: str | os.PathLike[str],
    *,
    checkpoint_seconds: float = 600,
    progress: bool = True,
) -> Trained:
    """Train a model, or go on with a run that was interrupted.

    Args:
        corpus: Training texts.
        settings: How to train.
        checkpoint: File for the state of the run, written whole or not at all. A run that finds it goes on
            from there and ends with the same weights as one that was never interrupted.
        checkpoint_seconds: How often to write it.
        progress: Show a progress bar.

    Returns:
        The trained model and what it took. Torch's global generator is left as it was.

    Raises:
        ValueError: The checkpoint is of a run with other settings.
        FloatingPointError: The loss is not finite.
    """
    total_steps = max(1, round(math.ceil(len(corpus) / settings.batch_size) * settings.passes))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed would seed GPUs too
        model = new_model(settings).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
        step, seconds = _resume(checkpoint, model, optimizer, settings)
        started = saved = time.monotonic()
        losses: list[float] = []
        with tqdm(total=total_steps, initial=step, unit="step", disable=not progress) as bar:
            for rows in _batches_from(corpus, settings, step, total_steps):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, total_steps, settings)
                batch = corpus.batch(rows, settings.max_length)
                losses.append(_training_step(model, optimizer, batch, settings))
                step += 1
                bar.update()
                now = time.monotonic()
                if step % 50 == 0 or step == total_steps:
                    logger.info("step %d of %d: loss %.4f", step, total_steps, np.mean(losses))
                    bar.set_postfix(loss=f"{np.mean(losses):.4f}")
                    losses.clear()
                if now - saved > checkpoint_seconds or step == total_steps:
                    spent = seconds + now - started
                    _save_checkpoint(checkpoint, model, optimizer, step, spent, settings)
                    saved = now
        seconds += time.monotonic() - started
    return Trained(model.eval(), step, seconds)


def _batches_from(
    corpus: Corpus, settings: Settings, step: int, total_steps: int
) -> Iterator[npt.NDArray[np.int64]]:
    """The batches of a run from one of its steps on."""
    steps_a_pass = math.ceil(len(corpus) / settings.batch_size)
    while step < total_steps:
        epoch, first = divmod(step, steps_a_pass)
        todo = batches(corpus, settings.batch_size, settings.seed, epoch)[first : first + total_steps - step]
        yield from todo
        step += len(todo)


def _training_step(
    model: TorchMoji,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor, Tensor],
    settings: Settings,
) -> float:
    ids, owners, classes = batch
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
        logits = model(ids)
    loss = F.cross_entropy(logits.float()[owners], classes)
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the loss is {value}: try a lower learning_rate than {settings.learning_rate}"
        )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
    optimizer.step()
    return value


def _save_checkpoint(
    path: str | os.PathLike[str],
    model: TorchMoji,
    optimizer: torch.optim.Optimizer,
    step: int,
    seconds: float,
    settings: Settings,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": torch.get_rng_state(),
        "step": step,
        "seconds": seconds,
        "settings": asdict(settings),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _resume(
    path: str | os.PathLike[str], model: TorchMoji, optimizer: torch.optim.Optimizer, settings: Settings
) -> tuple[int, float]:
    """Load a checkpoint where there is one; give the steps done and the seconds spent."""
    if not Path(path).is_file():
        return 0, 0.0
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["settings"] != asdict(settings):
        differing = [name for name, value in asdict(settings).items() if state["settings"].get(name) != value]
        raise ValueError(
            f"{os.fspath(path)} is of a run with other settings ({', '.join(differing)}): "
            "use the same ones, or another folder"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["generator"])
    return state["step"], state["seconds"]


@dataclass(frozen=True)
class Scores:
    """How well emojis are guessed, as shares from 0 to 1.

    Attributes:
        first: The first guess is one of the text's emojis.
        first_five: One of the first five guesses is.
        class_first: For each emoji, the share of its texts for which it is the first guess.
        class_first_five: For each emoji, the share of its texts for which it is among the first five.
        counts: For each emoji, its number of texts.
    """

    first: float
    first_five: float
    class_first: list[float]
    class_first_five: list[float]
    counts: list[int]

    @property
    def average_first(self) -> float:
        """Mean of `class_first` over the emojis that occur."""
        return _mean_where(self.class_first, self.counts)

    @property
    def average_first_five(self) -> float:
        """Mean of `class_first_five` over the emojis that occur."""
        return _mean_where(self.class_first_five, self.counts)


def _mean_where(shares: Sequence[float], counts: Sequence[int]) -> float:
    return float(np.mean([share for share, count in zip(shares, counts, strict=True) if count]))


@torch.no_grad()
def evaluate(model: TorchMoji, corpus: Corpus, batch_size: int = 256) -> Scores:
    """Score a model's guesses on texts that training never saw.

    Args:
        model: Gives logits or probabilities.
        corpus: The texts.
        batch_size: Texts at a time.
    """
    nb_classes = model.nb_classes or 0
    hits = np.zeros((len(corpus), nb_classes), dtype=bool)
    guesses = np.zeros((len(corpus), 5), dtype=np.int64)
    by_length = np.argsort(corpus.lengths, kind="stable")
    for start in range(0, len(corpus), batch_size):
        rows = by_length[start : start + batch_size]
        ids, owners, classes = corpus.batch(rows)
        guesses[rows] = model(ids).topk(5, dim=1).indices.numpy()
        hits[rows[owners.numpy()], classes.numpy()] = True
    right = np.take_along_axis(hits, guesses, axis=1)
    class_first, class_five, counts = [], [], []
    for index in range(nb_classes):
        own = guesses[hits[:, index]] == index
        counts.append(len(own))
        class_first.append(float(own[:, 0].mean()) if len(own) else 0.0)
        class_five.append(float(own.any(1).mean()) if len(own) else 0.0)
    return Scores(float(right[:, 0].mean()), float(right.any(1).mean()), class_first, class_five, counts)
