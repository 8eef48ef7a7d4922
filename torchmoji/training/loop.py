"""The training loop, what trains in it, its surroundings, and the checks of what goes in.

From the 2017 package's `finetuning`, which still exports its names. What differs from it:

- the validation loss is the mean over samples, not over batches of unequal size;
- the patience counter starts again after an improvement;
- gradients are clipped by the norm of those in training, without left-overs of layers frozen meanwhile;
- checkpoints are written whole, and read as weights only.
"""

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

from torchmoji.files.atomic import atomic_path
from torchmoji.training.metrics import (
    classes_of,
    device_of,
    forget_casts,
    gives_probabilities,
    predict,
    score_of,
)
from torchmoji.training.optimizer import EmbeddingAdam, clip_gradients
from torchmoji.training.sampling import Array, Batches, as_array

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 1.0
LEARNING_RATE = 1e-3
"""For weights that are not pretrained."""
PRETRAINED_LEARNING_RATE = 1e-4
EMBED_L2 = 1e-6
"""L2 regularisation of the embedding."""


# --- the loop ----------------------------------------------------------------------------------------------


def save_checkpoint(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the model's weights to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save(model.state_dict(), temporary)


def load_checkpoint(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load weights that `save_checkpoint` wrote."""
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def calc_loss(loss_op: nn.Module, pred: torch.Tensor, yv: torch.Tensor) -> torch.Tensor:
    """Loss of a batch.

    Args:
        loss_op: `nn.CrossEntropyLoss` or `nn.BCEWithLogitsLoss`.
        pred: Logits, (batch, C), for two classes (batch, 1).
        yv: Class numbers (batch,).

    Returns:
        A scalar tensor, float32 at least: in bfloat16 small gains would not be seen.
    """
    pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
    if isinstance(loss_op, nn.CrossEntropyLoss):
        return loss_op(pred, yv.long())
    return loss_op(pred.reshape(yv.shape), yv.to(pred.dtype))


def _train_epoch(model: nn.Module, loss_op: nn.Module, optim_op: Optimizer, train_gen: Batches) -> float:
    """One pass over the batches; gives the mean loss of the samples."""
    device = device_of(model)
    trained = [parameter for group in optim_op.param_groups for parameter in group["params"]]
    total, count = 0.0, 0
    model.train()
    for x, y in train_gen:
        optim_op.zero_grad()
        loss = calc_loss(loss_op, model(x.to(device)), y.to(device))
        loss.backward()
        clip_gradients(trained, MAX_GRADIENT_NORM)
        optim_op.step()
        forget_casts()
        total += loss.item() * len(y)
        count += len(y)
    return total / count


def validate(model: nn.Module, loss_op: nn.Module, batches: Batches, monitor: str) -> tuple[float, float]:
    """The loss over all samples, and what should be low: it, or what a score lacks of 1.

    Args:
        model: Gives logits (batch, C) or (batch, 1). Left in evaluation mode.
        loss_op: See `calc_loss`.
        batches: See `torchmoji.training.sampling.Batches`.
        monitor: loss, or a metric of `torchmoji.training.metrics.score_of`.
    """
    logits, labels = predict(model, batches)
    loss = calc_loss(loss_op, logits, labels).item()
    if monitor == "loss":
        return loss, loss
    return loss, 1 - score_of(monitor, labels.cpu().numpy(), classes_of(logits, 0.0))


def fit_model(
    model: nn.Module,
    loss_op: nn.Module,
    optim_op: Optimizer,
    train_gen: Batches,
    val_gen: Batches,
    epochs: int,
    checkpoint_path: str | os.PathLike[str],
    patience: int,
    verbose: int = 1,
    *,
    description: str = "training",
    keep_start: bool = False,
    on_epoch: Callable[[str, float, float], None] | None = None,
    monitor: str = "loss",
) -> float:
    """Train until the validation loss stops falling; the model ends with the weights of its lowest.

    Args:
        model: Takes int64 (batch, time), gives logits (batch, C) or (batch, 1). Left in evaluation mode.
        loss_op: See `calc_loss`; a mean over the batch.
        optim_op: Holds the parameters to train.
        train_gen: Batches of an epoch, iterated once for each.
        val_gen: Batches of the validation set.
        epochs: At most so many.
        checkpoint_path: Where the best weights are kept; the file is left there.
        patience: Stop after so many epochs in a row without improvement.
        verbose: 0 is silent, 1 shows a progress bar of epochs, 2 also logs each epoch.
        description: Of the progress bar.
        keep_start: Where no epoch improves on the weights at the start, these come back. Otherwise, as in
            DeepMoji, the best epoch's are kept however good the start was: a new output layer that always
            says "perhaps" has a low loss and is of no use.
        on_epoch: Called after each epoch with `description`, the training and the validation loss.
        monitor: What decides in place of the validation loss: a metric of `score_of`, which should be
            high.

    Returns:
        The lowest validation loss, or what the highest score lacks of 1.

    Raises:
        FloatingPointError: The training loss is not finite.
    """
    best = validate(model, loss_op, val_gen, monitor)[1] if keep_start else math.inf
    save_checkpoint(model, checkpoint_path)
    waited = 0
    with tqdm(range(epochs), desc=description, unit="epoch", disable=not verbose) as progress:
        for epoch in progress:
            train_loss = _train_epoch(model, loss_op, optim_op, train_gen)
            if not math.isfinite(train_loss):
                raise FloatingPointError(
                    f"the training loss of epoch {epoch + 1} is {train_loss}: "
                    "check that the weights are finite, or lower the learning rate"
                )
            val_loss, found = validate(model, loss_op, val_gen, monitor)
            if on_epoch is not None:
                on_epoch(description, train_loss, val_loss)
            if found < best:
                best, waited = found, 0
                save_checkpoint(model, checkpoint_path)
            else:
                waited += 1
            progress.set_postfix(train_loss=train_loss, val_loss=val_loss, best=best)
            if verbose >= 2:
                logger.info(
                    "%s: epoch %d, training loss %.4f, validation loss %.4f, best %.4f",
                    *(description, epoch + 1, train_loss, val_loss, best),
                )
            if waited >= patience:
                break
    load_checkpoint(model, checkpoint_path)
    return best


# --- what trains, and how fast ----------------------------------------------------------------------------


def change_trainable(module: nn.Module, trainable: bool, verbose: bool = False) -> None:
    """Freeze or thaw all parameters of a module.

    Args:
        module: Changed in place.
        trainable: Whether it trains.
        verbose: Log it.
    """
    module.requires_grad_(trainable)
    if verbose:
        logger.info("%s: %s", "thawed" if trainable else "frozen", module)


def freeze_layers(
    model: nn.Module, unfrozen_types: Sequence[str] = (), unfrozen_keyword: str | None = None
) -> nn.Module:
    """Freeze all layers but those named.

    Args:
        model: Changed in place.
        unfrozen_types: A layer trains where one of these occurs in its printed form, such as `Embedding`.
        unfrozen_keyword: A layer trains where its name contains this, such as `output_layer`.

    Returns:
        The model.
    """
    for name, layer in model.named_children():
        of_type = any(kind in str(layer) for kind in unfrozen_types)
        by_name = unfrozen_keyword is not None and unfrozen_keyword.lower() in name.lower()
        change_trainable(layer, of_type or by_name)
    return model


def make_optimizer(
    model: nn.Module, learning_rate: float, embed_l2: float, output_learning_rate: float | None = None
) -> EmbeddingAdam:
    """Make Adam for the parameters that are not frozen.

    Args:
        model: Has the layers `embed` and `output_layer`.
        learning_rate: Of everything, the output layer excepted where it has its own.
        embed_l2: L2 regularisation of the embedding.
        output_learning_rate: Of the output layer.
    """
    groups: dict[str, dict[str, Any]] = {
        "embed": {"params": [], "weight_decay": embed_l2},
        "output_layer": {"params": [], "lr": output_learning_rate or learning_rate},
    }
    others: dict[str, Any] = {"params": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.get(name.split(".")[0], others)["params"].append(parameter)
    return EmbeddingAdam([group for group in [*groups.values(), others] if group["params"]], lr=learning_rate)


def method_optimizer(
    model: nn.Module, method: str, embed_l2: float, pretrained_lr: float = PRETRAINED_LEARNING_RATE
) -> EmbeddingAdam:
    """Freeze what the method `last`, `full` or `new` does not train and make the optimizer for the rest."""
    change_trainable(model, method != "last")
    if method == "last":
        freeze_layers(model, unfrozen_keyword="output_layer")
    if method == "full":
        return make_optimizer(model, pretrained_lr, embed_l2, output_learning_rate=LEARNING_RATE)
    return make_optimizer(model, LEARNING_RATE, embed_l2)


# --- surroundings and checks -------------------------------------------------------------------------------


@contextmanager
def training_session(model: nn.Module, seed: int) -> Iterator[Path]:
    """Surround a training: seeded, in a temporary folder, without traces.

    In the block torch's generators of the CPU and of the model's CUDA device start from `seed`, and the
    embedding's gradients are sparse (see `torchmoji.training.optimizer`). After it, however it ends, all is
    as before,
    the folder is gone, and the model is in evaluation mode without gradients, its parameters'
    `requires_grad` as they were.

    Args:
        model: To be trained.
        seed: Of dropout.

    Yields:
        A folder for checkpoints.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    embed = getattr(model, "embed", None)
    was_sparse = getattr(embed, "sparse", False)
    device = device_of(model)
    cuda = [device] if device.type == "cuda" else []
    with tempfile.TemporaryDirectory(prefix="torchmoji-") as folder, torch.random.fork_rng(devices=cuda):
        # torch.manual_seed would also seed devices whose state is not saved here.
        torch.default_generator.manual_seed(seed)
        for cuda_device in cuda:
            with torch.cuda.device(cuda_device):
                torch.cuda.manual_seed(seed)
        try:
            if isinstance(embed, nn.Embedding):
                embed.sparse = True
            yield Path(folder)
        finally:
            if isinstance(embed, nn.Embedding):
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
    """Raise `ValueError` unless the model gives so many logits.

    Args:
        model: To be trained.
        nb_outputs: Size of its output layer.
        wanted_by: For the message.
    """
    if getattr(model, "output_layer", None) is None:
        raise ValueError("the model has no output_layer, so it cannot classify; use torchmoji_transfer")
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


def check_parts(
    model: nn.Module, texts: Sequence[Array], labels: Sequence[Array]
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Give (token ids, labels) of the training, validation and test part as arrays.

    Raises:
        ValueError: There are not three parts, one is empty, its labels are too many or too few, or a token id
            is beyond the model's embedding.
    """
    if len(texts) != 3 or len(labels) != 3:
        raise ValueError(
            f"{len(texts)} parts of texts and {len(labels)} of labels; wanted are three each: "
            "training, validation, test"
        )
    vocabulary_size = model.get_submodule("embed").get_parameter("weight").shape[0]
    parts = [(as_array(x), as_array(y)) for x, y in zip(texts, labels, strict=True)]
    for name, (x, y) in zip(("training", "validation", "test"), parts, strict=True):
        if len(x) == 0 or len(x) != len(y):
            raise ValueError(
                f"the {name} part has {len(x)} texts and {len(y)} labels; give one for each text"
            )
        if not np.issubdtype(x.dtype, np.integer):
            raise ValueError(f"the {name} part has token ids of {x.dtype}; they must be integers")
        if x.max() >= vocabulary_size:
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
            f"labels are {np.unique(y)}; with nb_classes={nb_classes} they must be 0 to {highest}"
        )
