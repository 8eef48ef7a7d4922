"""Fine-tuning scored by the class-average F1.

For each class, a model with one output learns to tell it from the rest, from the same initial weights; the
threshold with the best F1 on the validation part is applied to the test part; the mean over the classes is
the score. Source: DeepMoji (Felbo et al., EMNLP 2017), under the names of the 2017 package. What differs from
the latter: it runs; thresholds apply to probabilities, as in DeepMoji; the optimizer starts each class
afresh; and the validation loss is that of the validation part itself, not of `epoch_size` samples drawn from
it, which estimates the same in more time (`prepare_generators` still draws them).
"""

import copy
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim import Optimizer

from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.training.last_layer import on_features
from torchmoji.training.loop import (
    TrainingOptions,
    check_choice,
    check_model,
    check_parts,
    fit,
    keep_weights,
    train_by_method,
    training_session,
)
from torchmoji.training.metrics import find_f1_threshold, positive_probabilities
from torchmoji.training.optimizer import EMBED_L2, LEARNING_RATE, PRETRAINED_LEARNING_RATE
from torchmoji.training.sampling import (
    Array,
    Loader,
    Part,
    as_array,
    as_integers,
    get_data_loader,
    loaders_of,
)

__all__ = [
    "class_avg_chainthaw",
    "class_avg_finetune",
    "class_avg_tune_trainable",
    "prepare_generators",
    "prepare_labels",
    "relabel",
]

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)


# --- one class against the rest ---------------------------------------------------------------------------


def relabel(y: Array, current_label_nr: int, nb_classes: int) -> npt.NDArray[Any]:
    """Make labels of one class against the rest.

    Args:
        y: Class numbers (n,), or one-hot or multi-label vectors (n, C).
        current_label_nr: The class, from 0.
        nb_classes: Number of classes C.

    Returns:
        1 for the class and 0 for the rest, int64 (n,). Class numbers of two classes come back unchanged.

    Raises:
        ValueError: The labels are not of `nb_classes` classes.
    """
    as_integers(y, "labels")  # raises
    y = as_array(y)
    _check_labels(y, nb_classes)
    if not 0 <= current_label_nr < nb_classes:
        raise ValueError(f"current_label_nr is {current_label_nr}; it must be from 0 to {nb_classes - 1}")
    if y.ndim == 1 and nb_classes == 2:
        return y
    return (y == current_label_nr if y.ndim == 1 else y[:, current_label_nr] == 1).astype(np.int64)


def _check_labels(y: npt.NDArray[Any], nb_classes: int) -> None:
    if y.ndim == 2 and y.shape[1] == nb_classes and np.isin(y, (0, 1)).all():
        return
    if y.ndim == 1 and np.isin(y, np.arange(nb_classes)).all():
        return
    raise ValueError(
        f"labels of shape {y.shape} and values {np.unique(y)[:10]} are not of {nb_classes} classes; give "
        f"class numbers 0 to {nb_classes - 1}, shape (n,), or vectors of 0 and 1, shape (n, {nb_classes})"
    )


def prepare_labels(
    y_train: Array, y_val: Array, y_test: Array, iter_i: int, nb_classes: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """`relabel` the training, validation and test part for the class `iter_i`."""
    train, val, test = (relabel(y, iter_i, nb_classes) for y in (y_train, y_val, y_test))
    return train, val, test


def prepare_generators(
    X_train: Array,
    y_train_new: Array,
    X_val: Array,
    y_val_new: Array,
    batch_size: int,
    epoch_size: int,
    *,
    seed: int = 42,
) -> tuple[Loader, torch.Tensor, torch.Tensor]:
    """Make a loader of training batches and draw `epoch_size` validation samples, from `relabel`ed classes.

    Returns:
        The loader, and of the validation set the token ids (epoch_size, time) and classes (epoch_size,),
        int64.
    """
    train_gen = get_data_loader(X_train, y_train_new, batch_size, epoch_size=epoch_size, seed=seed)
    val_gen = get_data_loader(X_val, y_val_new, epoch_size, epoch_size=epoch_size, seed=seed)
    X_val_resamp, y_val_resamp = next(iter(val_gen))
    return train_gen, X_val_resamp, y_val_resamp


# --- all classes ------------------------------------------------------------------------------------------


def class_avg_finetune(
    model: Model,
    texts: Sequence[Array],
    labels: Sequence[Array],
    nb_classes: int,
    batch_size: int,
    method: str,
    epoch_size: int = 5000,
    nb_epochs: int = 1000,
    embed_l2: float = EMBED_L2,
    verbose: bool = True,
    *,
    seed: int = 42,
    patience: int = 5,
    first_stage_epochs: int | None = None,
    first_stage_dropout: bool = True,
    pretrained_lr: float = PRETRAINED_LEARNING_RATE,
) -> tuple[Model, float]:
    """Fine-tune a model for each class against the rest and give the class-average F1 of the test part.

    The same seed gives the same result on the same machine; torch's and numpy's global generators are left as
    they were.

    Args:
        model: One output, as `torchmoji_transfer(2, ...)` makes it, whatever `nb_classes` is; on any device.
        texts: Token ids of the training, validation and test part, integers (n, time).
        labels: Of the three parts: class numbers (n,), or one-hot or multi-label vectors (n, C).
        nb_classes: Number of classes C. For class numbers of two classes one round gives the F1 of class 1.
        batch_size: Texts in a batch.
        method: last, full, new or chain-thaw; see `torchmoji.finetuning`.
        epoch_size: Samples drawn for an epoch.
        nb_epochs: At most so many for each class, for chain-thaw in each stage.
        embed_l2: L2 regularisation of the embedding.
        verbose: True shows progress bars and logs the score of each class, False is silent.
        seed: Of the samples and of dropout.
        patience: Stop after so many epochs in a row without a lower validation loss.
        first_stage_epochs: See `torchmoji.finetuning.finetune`.
        first_stage_dropout: See there.
        pretrained_lr: See there.

    Returns:
        The model, with the weights for the last class, and the mean F1 of the classes.

    Raises:
        ValueError: An argument is not as described.
    """
    check_choice("method", method, FINETUNING_METHODS)
    check_model(model, 1, "class_avg_finetune, which trains each class against the rest,")
    parts = check_parts(model, texts, labels)
    for _, y in parts:
        _check_labels(y, nb_classes)
    if len({y.ndim for _, y in parts}) > 1:
        raise ValueError("labels are class numbers in one part and vectors in another; give all three alike")
    options = TrainingOptions(
        *(method, nb_epochs, patience),
        first_stage_epochs=first_stage_epochs,
        first_stage_dropout=first_stage_dropout,
        pretrained_lr=pretrained_lr,
        embed_l2=embed_l2,
        verbose=int(verbose),
    )
    tuned, parts = on_features(model, parts) if method == "last" else (model, parts)

    def fit_class(train_gen: Loader, val_gen: Loader, description: str) -> None:
        train_by_method(tuned, nn.BCEWithLogitsLoss(), train_gen, val_gen, options, description)

    with training_session(model, seed):
        f1 = _class_average_f1(tuned, nb_classes, parts, batch_size, epoch_size, fit_class, verbose, seed)
    return model, f1


def _class_average_f1(
    model: nn.Module,
    nb_classes: int,
    parts: Sequence[Part],
    batch_size: int,
    epoch_size: int,
    fit_class: Callable[[Loader, Loader, str], None],
    verbose: bool,
    seed: int,
) -> float:
    """Train each class with `fit_class(training and validation batches, description)`; average the F1."""
    parts = [(as_array(x), as_array(y)) for x, y in parts]
    initial_weights = keep_weights(model)
    rounds = 1 if nb_classes == 2 and parts[0][1].ndim == 1 else nb_classes
    scores = []
    for i in range(rounds):
        model.load_state_dict(initial_weights)
        relabelled = [(x, relabel(y, i, nb_classes)) for x, y in parts]
        train_gen, val_gen, test_gen = loaders_of(relabelled, batch_size, epoch_size, seed)
        description = f"class {i + 1}/{rounds}"
        fit_class(train_gen, val_gen, description)
        (p_val, y_val), (p_test, y_test) = (positive_probabilities(model, gen) for gen in (val_gen, test_gen))
        f1_test, threshold = find_f1_threshold(y_val, p_val, y_test, p_test)
        if verbose:
            logger.info("%s: F1 %.4f on the test part, threshold %.2f", description, f1_test, threshold)
        scores.append(f1_test)
    return float(np.mean(scores))


# --- its steps, as the 2017 package has them --------------------------------------------------------------


def class_avg_tune_trainable(
    model: nn.Module,
    nb_classes: int,
    loss_op: nn.Module,
    optim_op: Optimizer,
    train: Part,
    val: Part,
    test: Part,
    epoch_size: int,
    nb_epochs: int,
    batch_size: int,
    init_weight_path: str | os.PathLike[str],
    checkpoint_weight_path: str | os.PathLike[str],
    patience: int = 5,
    verbose: bool = True,
    *,
    seed: int = 42,
) -> float:
    """Train the optimizer's parameters for each class and give the class-average F1.

    The arguments are those of `class_avg_finetune`; `train`, `val` and `test` are pairs of token ids and
    labels. The optimizer starts each class from the state it has now. The initial weights, and the best ones
    of a class, are written to their paths.
    """
    keep_weights(model, init_weight_path)
    initial_state = copy.deepcopy(optim_op.state_dict())
    options = TrainingOptions(epochs=nb_epochs, patience=patience, verbose=int(verbose))

    def fit_class(train_gen: Loader, val_gen: Loader, description: str) -> None:
        optim_op.load_state_dict(copy.deepcopy(initial_state))  # the optimizer takes the tensors themselves
        fit(model, loss_op, optim_op, train_gen, val_gen, options, description, checkpoint_weight_path)

    parts = [train, val, test]
    return _class_average_f1(model, nb_classes, parts, batch_size, epoch_size, fit_class, verbose, seed)


def class_avg_chainthaw(
    model: nn.Module,
    nb_classes: int,
    loss_op: nn.Module,
    train: Part,
    val: Part,
    test: Part,
    batch_size: int,
    epoch_size: int,
    nb_epochs: int,
    checkpoint_weight_path: str | os.PathLike[str],
    f1_init_weight_path: str | os.PathLike[str],
    patience: int = 5,
    initial_lr: float = LEARNING_RATE,
    next_lr: float = PRETRAINED_LEARNING_RATE,
    verbose: bool = True,
    *,
    embed_l2: float = EMBED_L2,
    seed: int = 42,
) -> float:
    """Train each class by chain-thaw and give the class-average F1.

    See `class_avg_tune_trainable`; `initial_lr` and `next_lr` are the learning rates of the first stage and
    of the others.
    """
    keep_weights(model, f1_init_weight_path)
    options = TrainingOptions(
        *("chain-thaw", nb_epochs, patience),
        first_stage_lr=initial_lr,
        pretrained_lr=next_lr,
        embed_l2=embed_l2,
        verbose=int(verbose),
    )

    def fit_class(train_gen: Loader, val_gen: Loader, description: str) -> None:
        train_by_method(model, loss_op, train_gen, val_gen, options, description, checkpoint_weight_path)

    parts = [train, val, test]
    return _class_average_f1(model, nb_classes, parts, batch_size, epoch_size, fit_class, verbose, seed)
