"""The training loop, its options and surroundings, and the checks of what goes in.

The functions of 2017, class-average F1 and the scikit-learn classifier all train here. From the 2017
package's `finetuning`. What differs from it:

- the validation loss is the mean over samples, not over batches of unequal size;
- the patience counter starts again after an improvement;
- gradients are clipped by the norm of those in training, without left-overs of layers frozen meanwhile;
- the best weights are kept in memory; checkpoints, for those who want one, are written whole.
"""

import copy
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

from torchmoji.files.atomic import atomic_path, writing
from torchmoji.training.last_layer import batches_on_features
from torchmoji.training.metrics import (
    calc_loss,
    classes_of,
    device_of,
    gives_probabilities,
    predict,
    score_of,
)
from torchmoji.training.optimizer import (
    EMBED_L2,
    LEARNING_RATE,
    PRETRAINED_LEARNING_RATE,
    change_trainable,
    clip_gradients,
    make_optimizer,
    method_optimizer,
)
from torchmoji.training.sampling import Array, Batches, Part, as_array, as_integers

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; see `torchmoji.finetuning.finetune`."""

    method: str = "last"  # last, full, new or chain-thaw
    epochs: int = 1000  # at most, for chain-thaw in each stage
    patience: int = 5  # stop after so many epochs in a row without improvement
    first_stage_epochs: int | None = None  # of chain-thaw's first stage; None for as many as in the others
    first_stage_dropout: bool = True  # False leaves dropout of embedding channels out of that stage
    first_stage_lr: float = LEARNING_RATE  # learning rate of that stage
    pretrained_lr: float = PRETRAINED_LEARNING_RATE  # learning rate of what is pretrained
    embed_l2: float = EMBED_L2  # L2 regularisation of the embedding
    monitor: str = "loss"  # loss, or a metric of `score_of`, chooses the best epoch, on the validation part
    verbose: int = 1  # 0 is silent, 1 shows a progress bar of epochs, 2 also logs each epoch


class Epoch(NamedTuple):
    """What an epoch brought: losses and the accuracy are means over samples."""

    stage: str
    train_loss: float
    val_loss: float
    val_accuracy: float


# --- the loop ----------------------------------------------------------------------------------------------


def train_by_method(
    model: nn.Module,
    loss_op: nn.Module,
    train_gen: Batches,
    val_gen: Batches,
    options: TrainingOptions,
    description: str = "",
    checkpoint_path: str | os.PathLike[str] | None = None,
) -> list[Epoch]:
    """Train by one of the four methods; the arguments are those of `fit`, the description is for its stages.

    Chain-thaw's layers are the model's children, as far as they have parameters. Each stage has an optimizer
    of its own and starts from the best weights of the stage before; one that brings no improvement leaves
    them as they were. The first computes features once where `torchmoji.training.last_layer` can.
    """
    if options.method != "chain-thaw":
        optimizer = method_optimizer(model, options.method, options.embed_l2, options.pretrained_lr)
        stage = description or "training"
        return fit(model, loss_op, optimizer, train_gen, val_gen, options, stage, checkpoint_path)[1]
    layers = [(name, layer) for name, layer in model.named_children() if list(layer.parameters())]
    stages = [layers[-1], *layers[:-1], ("everything", model)]
    history: list[Epoch] = []
    best = math.inf
    for number, (name, layer) in enumerate(stages, start=1):
        change_trainable(model, False)
        change_trainable(layer, True)
        stage = ", ".join(filter(None, [description, f"chain-thaw {number}/{len(stages)}", name]))
        tuned, train_now, val_now, options_now = model, train_gen, val_gen, options
        if number == 1:
            optimizer = make_optimizer(model, options.first_stage_lr, options.embed_l2)
            tuned, (train_now, val_now) = batches_on_features(model, [train_gen, val_gen])
            if options.first_stage_epochs is not None:
                options_now = replace(options, epochs=options.first_stage_epochs)
        else:
            optimizer = make_optimizer(model, options.pretrained_lr, options.embed_l2)
        with _embedding_dropout(model, number > 1 or options.first_stage_dropout):
            best, epochs = fit(
                *(tuned, loss_op, optimizer, train_now, val_now, options_now, stage, checkpoint_path, best)
            )
        history += epochs
    return history


def fit(
    model: nn.Module,
    loss_op: nn.Module,
    optimizer: Optimizer,
    train_gen: Batches,
    val_gen: Batches,
    options: TrainingOptions,
    stage: str = "training",
    checkpoint_path: str | os.PathLike[str] | None = None,
    best: float = math.inf,
) -> tuple[float, list[Epoch]]:
    """Train the optimizer's parameters until the validation loss, or what is monitored, stops improving.

    See `torchmoji.finetuning.fit_model`. `best` is what the weights at the start reached: where no epoch is
    better, they come back. By default, as in DeepMoji, the best epoch's are kept however good the start was:
    a new output layer that always says "perhaps" has a low loss and is of no use. Returns the lowest
    validation loss, or what the highest score lacks of 1; and the epochs.
    """
    best_weights = keep_weights(model, checkpoint_path)
    history: list[Epoch] = []
    waited = 0
    bar = tqdm(range(options.epochs), desc=stage, unit="epoch", disable=not options.verbose)
    with bar as progress:
        try:
            for number in progress:
                train_loss = _train_epoch(model, loss_op, optimizer, train_gen)
                if not math.isfinite(train_loss):
                    raise FloatingPointError(
                        f"the training loss of epoch {number + 1} is {train_loss}: "
                        "check that the weights are finite, or lower the learning rate"
                    )
                val_loss, accuracy, reached = validate(model, loss_op, val_gen, options.monitor)
                history.append(Epoch(stage, train_loss, val_loss, accuracy))
                waited += 1
                if reached < best:
                    best, waited = reached, 0
                    best_weights = keep_weights(model, checkpoint_path)
                progress.set_postfix(train_loss=train_loss, val_loss=val_loss, best=best)
                if options.verbose >= 2:
                    logger.info(
                        "%s: epoch %d, training loss %.4f, validation loss %.4f, best %.4f",
                        *(stage, number + 1, train_loss, val_loss, best),
                    )
                if waited >= options.patience:
                    break
        finally:  # also where training is broken off: the weights may be no longer finite
            model.eval()
            model.load_state_dict(best_weights)
    if history and waited == 0:
        logger.warning(
            "%s ended at its limit, epoch %d, while it still improved: more epochs may help",
            *(stage, len(history)),
        )
    return best, history


def keep_weights(model: nn.Module, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """A copy of the model's weights, which are also written, whole or not at all, where a path is given."""
    if path is not None:
        with atomic_path(path) as temporary, writing(temporary):
            torch.save(model.state_dict(), temporary)
    return copy.deepcopy(model.state_dict())


def _train_epoch(model: nn.Module, loss_op: nn.Module, optimizer: Optimizer, train_gen: Batches) -> float:
    """One pass over the batches; gives the mean loss of the samples."""
    device = device_of(model)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total, count = 0.0, 0
    model.train()
    for x, y in train_gen:
        optimizer.zero_grad()
        loss = calc_loss(loss_op, model(x.to(device)), y.to(device))
        loss.backward()
        clip_gradients(trained, MAX_GRADIENT_NORM)
        optimizer.step()
        torch.clear_autocast_cache()  # else a block of autocast around all keeps weights from before the step
        total += loss.item() * len(y)
        count += len(y)
    return total / count


def validate(
    model: nn.Module, loss_op: nn.Module, batches: Batches, monitor: str
) -> tuple[float, float, float]:
    """The loss over all samples, the accuracy, and what should be low: the loss, or 1 minus a score."""
    logits, labels = predict(model, batches)
    loss = calc_loss(loss_op, logits, labels).item()
    predicted = classes_of(logits, labels)
    accuracy = (predicted == labels).float().mean().item()
    if monitor == "loss":
        return loss, accuracy, loss
    return loss, accuracy, 1 - score_of(monitor, labels.cpu().numpy(), predicted.cpu().numpy())


# --- surroundings and checks -------------------------------------------------------------------------------


@contextmanager
def _embedding_dropout(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Within the block the model drops no embedding channels, unless that is wanted."""
    dropout: Any = getattr(model, "embed_dropout", nn.Dropout())  # without one, there is nothing to change
    rate = dropout.p
    dropout.p = rate if wanted else 0.0
    try:
        yield
    finally:
        dropout.p = rate


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Within the block torch's generators, of the CPU and the device, start from a seed; then as before."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        # torch.manual_seed would also seed devices whose state is not saved here.
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def training_session(model: nn.Module, seed: int) -> Iterator[None]:
    """Surround a training: seeded, without traces.

    In the block torch's generators of the CPU and of the model's CUDA device start from `seed`, and the
    embedding's gradients are sparse (see `torchmoji.training.optimizer`). After it, however it ends, all is
    as before, and the model is in evaluation mode without gradients, its parameters' `requires_grad` as they
    were.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    embed: Any = model.get_submodule("embed")
    was_sparse = getattr(embed, "sparse", False)
    with seeded(device_of(model), seed):
        try:
            embed.sparse = True
            yield
        finally:
            embed.sparse = was_sparse
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            model.zero_grad(set_to_none=True)
            model.eval()


def check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    """Raise `ValueError` unless `value` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(choices)}")


def check_model(model: nn.Module, nb_outputs: int, wanted_by: str) -> None:
    """Raise `ValueError` unless the model gives so many logits; `wanted_by` is for the message."""
    for layer in ("embed", "output_layer"):
        if getattr(model, layer, None) is None:
            raise ValueError(f"the model has no {layer}, so it cannot be fine-tuned; use torchmoji_transfer")
    if gives_probabilities(model):
        raise ValueError("the model gives probabilities; training wants logits: use torchmoji_transfer")
    if getattr(model, "return_attention", False):
        raise ValueError("the model gives attention too; make it without return_attention")
    found = list(model.get_submodule("output_layer").parameters())[-1].shape[0]
    if found != nb_outputs:
        raise ValueError(
            f"the model has {found} outputs, but {wanted_by} wants {nb_outputs}; "
            f"make it with torchmoji_transfer({max(2, nb_outputs)}, ...)"
        )


def check_parts(model: nn.Module, texts: Sequence[Array], labels: Sequence[Array]) -> list[Part]:
    """Give (token ids, labels) of the training, validation and test part as arrays.

    ValueError where there are not three parts, one is empty, its labels are too many or too few, one is no
    whole number, or a token id is beyond the model's embedding.
    """
    if len(texts) != 3 or len(labels) != 3:
        raise ValueError(
            f"{len(texts)} parts of texts and {len(labels)} of labels; wanted are three each: "
            "training, validation, test"
        )
    vocabulary_size = model.get_submodule("embed").get_parameter("weight").shape[0]
    parts: list[Part] = []
    for name, given_x, given_y in zip(("training", "validation", "test"), texts, labels, strict=True):
        x, y = as_array(given_x), as_integers(given_y, f"labels of the {name} part")
        parts.append((x, y))
        if len(x) == 0 or len(x) != len(y):
            raise ValueError(
                f"the {name} part has {len(x)} texts and {len(y)} labels; give one for each text"
            )
        if x.ndim != 2 or not np.issubdtype(x.dtype, np.integer) or x.min(initial=0) < 0:
            raise ValueError(
                f"the {name} part has token ids of {x.dtype}; they must be integers from 0 on, (n, time), "
                f"the shape is {x.shape}"
            )
        if x.max(initial=0) >= vocabulary_size:
            raise ValueError(
                f"the {name} part has token id {x.max()}, but the model's embedding has {vocabulary_size} "
                "rows; pass load_benchmark's `added` as extend_embedding to torchmoji_transfer"
            )
    return parts


def check_class_numbers(y: npt.NDArray[Any], nb_classes: int) -> None:
    """Raise `ValueError` unless `y` is (n,) of 0 to nb_classes - 1 (for one class: 0 and 1)."""
    highest = max(1, nb_classes - 1)
    if y.ndim != 1:
        raise ValueError(
            f"labels have the shape {y.shape}; finetune wants one class number for each text, "
            "class_avg_finetune takes one-hot and multi-label"
        )
    if not np.isin(y, np.arange(highest + 1)).all():
        raise ValueError(
            f"labels are {np.unique(y)[:10]}; with nb_classes={nb_classes} they must be 0 to {highest}"
        )
